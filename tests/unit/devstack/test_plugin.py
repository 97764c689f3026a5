# SPDX-License-Identifier: Apache-2.0
"""devstack's phases reach the functions of our plugin, which do what Heat needs.

devstack's own functions are stand-ins here that write down how they are called.
"""

import pathlib
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[3]
DEVSTACK = ROOT / 'devstack'

STAND_INS = """
set -o errexit -o nounset
for name in setup_develop iniset inidelete define_plugin plugin_requires enable_service; do
    eval "function $name { echo \\"$name \\$*\\"; }"
done
function echo_summary { :; }
function is_service_enabled { [[ " $ENABLED " == *" $1 "* ]]; }
function get_python_exec_prefix { echo "$BIN"; }
function trueorfalse { local value="${!2:-}"; echo "${value:-$1}"; }
source "$1/settings"
shift_source() { local plugin=$1/plugin.sh; shift; source "$plugin"; }
shift_source "$@"
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs one phase and returns the calls of devstack's functions."""
    conf = tmp_path / 'heat.conf'
    conf.write_text('[DEFAULT]\nplugin_dirs = /srv/other\n')

    def phase(*words, enabled='heat-ha h-eng', **settings):
        done = subprocess.run(
            ['bash', '-c', STAND_INS, 'devstack', str(DEVSTACK), *words],
            env={
                'PATH': '/usr/bin:/bin',
                'DEST': str(tmp_path),
                'BIN': str(pathlib.Path(sys.executable).parent),
                'ENABLED': enabled,
                'HEAT_HA_DIR': str(ROOT),
                'HEAT_HA_CONF': str(conf),
                'HEAT_HA_POLICY_FILE': str(tmp_path / 'policy.d' / 'heat-ha.yaml'),
                **settings,
            },
            capture_output=True,
            text=True,
            check=True,
        )
        settings_calls = 3
        return done.stdout.splitlines()[settings_calls:]

    return phase


@pytest.mark.parametrize('name', ['plugin.sh', 'settings'])
def test_bash_accepts_the_file(name):
    subprocess.run(['bash', '-n', str(DEVSTACK / name)], check=True)


def test_install_makes_a_development_installation(run):
    assert run('stack', 'install') == [f'setup_develop {ROOT}']


def test_configure_adds_our_folder_to_those_that_heat_has(run, tmp_path):
    [call] = run('stack', 'post-config')

    start = f'iniset {tmp_path}/heat.conf DEFAULT plugin_dirs /srv/other,'
    assert call.startswith(start)
    # From a checkout these are two, from a wheel one.
    for folder in call.removeprefix(start).split(','):
        assert list(pathlib.Path(folder).glob('ha_*.py'))


def test_the_access_rules_are_in_force_only_where_asked_for(run, tmp_path):
    run('stack', 'post-config')
    assert not (tmp_path / 'policy.d').exists()

    run('stack', 'post-config', HEAT_HA_POLICY_RULES='True')

    rules = yaml.safe_load((tmp_path / 'policy.d' / 'heat-ha.yaml').read_text())
    assert 'resource_types:OS::Heat::FailoverPolicy' in rules


def test_clean_leaves_nothing_and_can_run_twice(run, tmp_path):
    run('stack', 'post-config', HEAT_HA_POLICY_RULES='True')

    assert run('clean') == [f'inidelete {tmp_path}/heat.conf DEFAULT plugin_dirs']
    assert not (tmp_path / 'policy.d' / 'heat-ha.yaml').exists()

    (tmp_path / 'heat.conf').unlink()
    assert run('clean') == []


@pytest.mark.parametrize('words', [['stack', 'pre-install'], ['stack', 'test-config'], ['unstack']])
def test_the_other_phases_do_nothing(run, words):
    assert run(*words) == []


@pytest.mark.parametrize('enabled', ['heat-ha', 'h-eng', ''])
def test_without_an_engine_or_without_the_service_nothing_is_done(run, enabled):
    assert run('stack', 'install', enabled=enabled) == []
