# SPDX-License-Identifier: Apache-2.0
"""The drivers against real power controls: sushy-tools' emulator, and a program as an agent.

Those that need Debian packages are in ``tests/functional/test_power_controls.py``.
"""

import contextlib
import socket
import subprocess
import sys
import textwrap

import pytest

from heat_ha import exceptions
from heat_ha.fencing import driver
from heat_ha.fencing.driver import Power
from lab.client import bmc


def test_redfish_sees_the_power_go_off_and_keeps_the_proof(tmp_path):
    with bmc.redfish(tmp_path, ['c1', 'c2']) as address:
        one = driver.load('c1', bmc.redfish_settings(address, 'c1'))
        other = driver.load('c2', bmc.redfish_settings(address, 'c2'))
        assert one.power()[0] is Power.ON
        proof = driver.fence(one, timeout=20)
        assert proof.who == 'redfish' and 'switched off' in proof.how
        assert one.power()[0] is Power.OFF and other.power()[0] is Power.ON
        assert 'was off already' in driver.fence(one, timeout=20).how
        unknown = driver.load('c3', bmc.redfish_settings(address, 'c3'))
        assert unknown.power()[0] is Power.UNKNOWN
        with pytest.raises(driver.NotFenced):
            driver.fence(unknown, timeout=1)


def test_a_bmc_that_does_not_answer_proves_nothing():
    with contextlib.closing(socket.socket()) as nobody:
        nobody.bind(('127.0.0.1', 0))
        address = f'http://127.0.0.1:{nobody.getsockname()[1]}'
        made = driver.load('c1', bmc.redfish_settings(address, 'c1'))
        assert made.power()[0] is Power.UNKNOWN
        with pytest.raises(driver.NotFenced):
            driver.fence(made, timeout=1)


AGENT = """
    #!{python}
    import pathlib, sys
    options = dict(line.strip().split('=', 1) for line in sys.stdin)
    state = pathlib.Path(options['status_file'])
    if options['action'] == 'status':
        sys.exit(2 if state.read_text() == 'off' else 0)
    if options.get('broken'):
        sys.exit(1)
    state.write_text(options['action'])
"""


@pytest.fixture
def agent(tmp_path):
    """A program with the interface of fence-agents."""
    program, state = tmp_path / 'fence_test', tmp_path / 'state'
    program.write_text(textwrap.dedent(AGENT).strip().format(python=sys.executable))
    program.chmod(0o755)
    state.write_text('on')
    return {'driver': 'command', 'program': str(program), 'options': {'status_file': str(state)}}


def test_a_program_switches_off_and_is_asked_for_the_status(agent):
    assert 'switched off' in driver.fence(driver.load('c1', agent), timeout=20).how


def test_a_program_that_fails_is_no_fence(agent):
    agent['options']['broken'] = 'yes'
    with pytest.raises(driver.NotFenced, match='ended with 1'):
        driver.fence(driver.load('c1', agent), timeout=20)


def test_a_program_that_is_missing_is_refused_at_the_start(agent):
    with pytest.raises(exceptions.Refused, match='not installed'):
        driver.load('c1', agent | {'program': '/no/such/program'})


def test_a_password_is_in_no_argument(monkeypatch):
    seen = {}

    def run(command, **kwargs):
        seen.update(command=command, env=kwargs['env'])
        return subprocess.CompletedProcess(command, 0, 'Chassis Power is off\n', '')

    monkeypatch.setattr(subprocess, 'run', run)
    settings = {'driver': 'ipmi', 'address': 'a', 'username': 'u', 'password': 'hidden'}
    assert driver.load('c1', settings).power()[0] is Power.OFF
    assert 'hidden' not in ' '.join(seen['command']) and seen['env']['IPMI_PASSWORD'] == 'hidden'
