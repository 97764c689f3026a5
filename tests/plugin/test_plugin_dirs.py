# SPDX-License-Identifier: Apache-2.0
"""``heat-ha-plugin-dirs`` prints a line that Heat can use, and its check is right.

The check fills Heat's registry, which a process can do once; so each test is a process.
"""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def command(tmp_path):
    """Return a function that runs the command: status, the line's folders, the reports."""

    def run(*arguments, heat_conf=None, python_path=ROOT):
        words = [sys.executable, '-m', 'heat_ha.cli.plugin_dirs', *arguments]
        if heat_conf is not None:
            (tmp_path / 'heat.conf').write_text(f'[DEFAULT]\n{heat_conf}\n')
            words += ['--config-file', str(tmp_path / 'heat.conf')]
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(python_path)},
            capture_output=True,
            text=True,
        )
        first, *reports = done.stdout.splitlines()
        return done.returncode, first.removeprefix('plugin_dirs = ').split(','), reports

    return run


def test_the_line_keeps_the_folders_of_heat_conf(command):
    status, folders, reports = command(heat_conf='plugin_dirs = /srv/other,/usr/lib/heat')

    assert status == 0
    assert not reports
    assert folders[:2] == ['/srv/other', '/usr/lib/heat']
    assert all(list(pathlib.Path(folder).glob('ha_*.py')) for folder in folders[2:])


def test_a_folder_that_heat_conf_has_is_not_named_again(command):
    ours = f'{ROOT}/policies,{ROOT}/resources'

    _, folders, _ = command(heat_conf=f'plugin_dirs = {ours}')

    assert folders == ours.split(',')


def test_the_check_finds_a_heat_conf_that_lacks_our_folder(command):
    status, _, reports = command('--check', heat_conf='plugin_dirs = /srv/other')

    assert status == 1
    assert reports == ['NOT heat-ha: plugin_dirs has no plugin module of heat-ha']


def test_the_check_names_what_loads_and_says_why_the_rest_does_not(command, tmp_path):
    # A copy of the checkout in which one class is broken.
    for name in ('heat_ha', 'policies', 'resources'):
        subprocess.run(['cp', '-r', str(ROOT / name), str(tmp_path / name)], check=True)
    with open(tmp_path / 'heat_ha' / 'plugin' / 'scaling_policy.py', 'a') as file:
        file.write('raise RuntimeError("the class is broken")\n')

    status, _, reports = command('--check', python_path=tmp_path)

    assert status == 1
    assert 'NOT ha_scaling_policy.py: RuntimeError: the class is broken' in reports
    assert any(
        report.startswith('ok  OS::Heat::FailoverPolicy: loaded from ') for report in reports
    )
