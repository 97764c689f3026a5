# SPDX-License-Identifier: Apache-2.0
"""A heat-ha that is broken or half there never keeps a Heat engine from starting.

Heat's loader lets the errors of plugin modules through, so that one of them stops the engine.
The guard against that is printed in HACKING.rst, and what is tested here is what is printed
there; the last tests hold our real plugin modules to it.
"""

import itertools
import json
import pathlib
import shutil
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[2]
REAL_FOLDERS = [str(ROOT / 'policies'), str(ROOT / 'resources')]
HEATS_OWN = 'heat.engine.resources.openstack.heat.scaling_policy.AutoScalingPolicy'

WORKING = """
    from heat.engine.resources.openstack.heat import scaling_policy

    class ScalingPolicy(scaling_policy.AutoScalingPolicy):
        pass
"""

FAULTS = [
    'def broken(:',
    'import a_module_that_nobody_has',
    'from heat.engine import a_name_that_heat_lost',
    'from heat_ha import a_name_of_a_newer_heat_ha',
    'import heat_ha; heat_ha.signals.ACTIONS',
    'raise RuntimeError("no")',
]


@pytest.fixture(scope='module')
def engine():
    """Return a function that starts Heat's registry in a world of its own."""
    program = subprocess.Popen(
        [sys.executable, str(pathlib.Path(__file__).with_name('engine_start.py'))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def start(plugin_dirs, python_path=(), blocked=()):
        world = {
            'plugin_dirs': [str(path) for path in plugin_dirs],
            'python_path': [str(path) for path in python_path],
            'blocked': list(blocked),
        }
        program.stdin.write(json.dumps(world) + '\n')
        program.stdin.flush()
        return json.loads(program.stdout.readline())

    yield start
    program.stdin.close()
    program.wait(timeout=30)
    program.stdout.close()


def printed_guard():
    """Return the plugin module that HACKING.rst prints."""
    lines = iter((ROOT / 'HACKING.rst').read_text().splitlines())
    for line in lines:
        if line == '.. code-block:: python':
            break
    block = []
    for line in lines:
        if line and not line.startswith('   '):
            break
        block.append(line)
    return textwrap.dedent('\n'.join(block)).strip() + '\n'


def install(folder, name='ha_scaling_policy.py', text=None):
    """Put a plugin module into a folder for ``plugin_dirs``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(printed_guard() if text is None else text)
    return folder


def heat_ha(site, scaling_policy=WORKING, root=''):
    """Put a ``heat_ha`` with one type on the path."""
    plugin = site / 'heat_ha' / 'plugin'
    plugin.mkdir(parents=True)
    (site / 'heat_ha' / '__init__.py').write_text(root)
    (plugin / '__init__.py').touch()
    (plugin / 'scaling_policy.py').write_text(textwrap.dedent(scaling_policy))
    return site


def test_the_whole_takes_the_place_of_heats_own_type(engine, tmp_path):
    install(tmp_path / 'lib')

    seen = engine([tmp_path / 'lib'], [heat_ha(tmp_path / 'site')])

    assert seen['started'], seen['why']
    assert seen['types']['OS::Heat::ScalingPolicy'] == (
        'heat_ha.plugin.scaling_policy.ScalingPolicy'
    )
    assert not seen['errors']


def test_without_heat_ha_the_engine_starts_with_heats_own_type(engine, tmp_path):
    install(tmp_path / 'lib')

    seen = engine([tmp_path / 'lib'], blocked=['heat_ha'])

    assert seen['started'], seen['why']
    assert seen['types']['OS::Heat::ScalingPolicy'] == HEATS_OWN
    assert 'OS::Heat::ScalingPolicy is not available' in seen['errors']


@pytest.mark.parametrize(
    ('where', 'fault'),
    [
        *itertools.product(['root', 'scaling_policy'], FAULTS),
        ('scaling_policy', 'class ClassOfAnotherName: pass'),
    ],
)
def test_with_a_broken_heat_ha_the_engine_starts_with_heats_own_type(
    engine, tmp_path, where, fault
):
    install(tmp_path / 'lib')

    seen = engine([tmp_path / 'lib'], [heat_ha(tmp_path / 'site', **{where: fault})])

    assert seen['started'], seen['why']
    assert seen['types']['OS::Heat::ScalingPolicy'] == HEATS_OWN
    assert 'OS::Heat::ScalingPolicy is not available' in seen['errors']
    assert 'Traceback' in seen['errors'], 'the operator sees no cause'


def test_one_of_the_two_folders_is_enough_to_start(engine, tmp_path):
    folders = [install(tmp_path / 'policies'), tmp_path / 'resources']

    seen = engine(folders, [heat_ha(tmp_path / 'site')])

    assert seen['started'], seen['why']
    assert seen['types']['OS::Heat::ScalingPolicy'] != HEATS_OWN


def test_folders_that_are_not_there_do_not_matter(engine, tmp_path):
    seen = engine([tmp_path / 'policies', tmp_path / 'resources'])

    assert seen['started'], seen['why']
    assert seen['types']['OS::Heat::ScalingPolicy'] == HEATS_OWN


def test_installed_twice_is_the_same_as_once(engine, tmp_path):
    folders = [install(tmp_path / 'usr' / 'lib'), install(tmp_path / 'usr' / 'local' / 'lib')]

    seen = engine(folders, [heat_ha(tmp_path / 'site')])

    assert seen['started'], seen['why']
    assert seen['types']['OS::Heat::ScalingPolicy'] == (
        'heat_ha.plugin.scaling_policy.ScalingPolicy'
    )
    assert not seen['errors']


def test_a_plugin_of_somebody_else_beside_ours_is_loaded_too(engine, tmp_path):
    install(tmp_path / 'lib')
    install(
        tmp_path / 'lib',
        name='other.py',
        text=textwrap.dedent("""
            from heat.engine.resources.openstack.heat import none_resource

            def resource_mapping():
                return {'OS::Heat::Other': none_resource.NoneResource}
        """),
    )

    seen = engine([tmp_path / 'lib'], [heat_ha(tmp_path / 'site')])

    assert seen['types']['OS::Heat::ScalingPolicy'] != HEATS_OWN
    assert 'OS::Heat::Other' in seen['types']


def real_modules():
    return sorted(path for folder in REAL_FOLDERS for path in pathlib.Path(folder).glob('*.py'))


def test_no_real_module_stops_the_engine_when_heat_ha_is_missing(engine):
    seen = engine(REAL_FOLDERS, blocked=['heat_ha'])

    assert seen['started'], seen['why']
    assert seen['types']['OS::Heat::ScalingPolicy'] == HEATS_OWN
    assert seen['errors'].count('is not available') == len(real_modules()), seen['errors']


def test_no_real_module_stops_the_engine_when_heat_ha_is_empty(engine, tmp_path):
    (tmp_path / 'heat_ha').mkdir()
    (tmp_path / 'heat_ha' / '__init__.py').touch()

    seen = engine(REAL_FOLDERS, [tmp_path])

    assert seen['started'], seen['why']
    assert seen['types']['OS::Heat::ScalingPolicy'] == HEATS_OWN


def test_every_real_module_loads_from_the_folder_of_the_wheel(engine, tmp_path):
    for module in real_modules():
        shutil.copy(module, tmp_path)

    seen = engine([tmp_path])

    assert seen['started'], seen['why']
    assert not seen['errors']
    ours = [cls for cls in seen['types'].values() if not cls.startswith('heat.engine.resources.')]
    assert len(ours) >= len(real_modules())


def test_real_modules_have_names_of_their_own():
    # The wheel puts both folders into one, and of two modules with one name Heat loads the first.
    names = [module.name for module in real_modules()]

    assert len(names) == len(set(names))
    assert all(name.startswith('ha_') for name in names)
