# SPDX-License-Identifier: Apache-2.0
"""The drivers against real power controls: sushy-tools' emulator, and a program as an agent.

Those that need Debian packages are in ``tests/functional/test_power_controls.py``.
"""

import contextlib
import socket
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
        assert 'switched off' in driver.fence(one, timeout=20).how, 'OFF does no harm twice'
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
        print('Status: ' + state.read_text().upper())
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


IPMITOOL = """
    #!/bin/sh
    echo "$@" > {folder}/arguments
    echo "$IPMI_PASSWORD" > {folder}/password
    echo 'Chassis Power is off'
"""


def test_a_password_is_in_no_argument(tmp_path, monkeypatch):
    program = tmp_path / 'ipmitool'
    program.write_text(textwrap.dedent(IPMITOOL).strip().format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=':')
    settings = {'driver': 'ipmi', 'address': 'a', 'username': 'u', 'password': 'hidden'}
    assert driver.load('c1', settings).power()[0] is Power.OFF
    assert 'hidden' not in (tmp_path / 'arguments').read_text()
    assert (tmp_path / 'password').read_text() == 'hidden\n'


@pytest.fixture
def quick(monkeypatch):
    """The two looks that see a host off follow each other at once."""
    monkeypatch.setattr(driver.Driver, 'apart', 0.0)


# What a program does for `status`, and for `off`; by the kind of its failing.
PROGRAMS = {
    'wrong arguments of argparse': ("import argparse; argparse.ArgumentParser().error('x')",) * 2,
    'wrong arguments of fence-agents': ("print('x?', file=sys.stderr); sys.exit(2)",) * 2,
    'only the exit status says off': ('sys.exit(2)', 'sys.exit(0)'),
    'off by a word only': ("print('Status: OFF')", 'sys.exit(0)'),
    'a word in a sentence': ("print('usage: Status: OFF or ON'); sys.exit(2)", 'sys.exit(0)'),
    'both words': ("print('Status: ON\\nStatus: OFF'); sys.exit(2)", 'sys.exit(0)'),
    'off on the error output only': (
        "print('Status: OFF', file=sys.stderr); sys.exit(2)", 'sys.exit(0)',
    ),
    'more than is read': (
        "print('Status: OFF'); print('x' * 1_000_000); sys.exit(2)", 'sys.exit(0)',
    ),
    'binary': ("sys.stdout.buffer.write(b'\\xff\\x00Status: OFF'); sys.exit(2)", 'sys.exit(0)'),
    'killed': ("print('Status: OFF', flush=True); os.kill(os.getpid(), 9)", 'sys.exit(0)'),
    'off fails': ("print('Status: OFF'); sys.exit(2)", 'sys.exit(1)'),
    'still on': ("print('Status: ON')", 'sys.exit(0)'),
}  # fmt: skip

ANSWERING = """
    #!{python}
    import os, sys
    options = dict(line.strip().split('=', 1) for line in sys.stdin)
    if options['action'] == 'status':
        {status}
    else:
        {off}
"""


def written(folder, status, off):
    """The settings of a program that answers so."""
    program = folder / 'fence_test'
    text = textwrap.dedent(ANSWERING).strip()
    program.write_text(text.format(python=sys.executable, status=status, off=off))
    program.chmod(0o755)
    return {'driver': 'command', 'program': str(program), 'timeout': 20}


@pytest.mark.parametrize('kind', PROGRAMS)
def test_no_answer_but_a_clear_one_proves_that_the_host_is_off(tmp_path, quick, kind):
    made = driver.load('c1', written(tmp_path, *PROGRAMS[kind]))
    with pytest.raises(driver.NotFenced):
        driver.fence(made, timeout=0.5)


@pytest.mark.parametrize(
    'status',
    [
        "print('Status: OFF')", "print('status: off')", "print('\\x1b[31mStatus: OFF\\x1b[0m')",
        "print('\\n  Status:  OFF \\r\\n\\nbye')", "print('Status: OFF\\n' * 3)",
        "print('Status: OFF'); print('a warning', file=sys.stderr)",
        "print('Status: OFF'); sys.stdout.buffer.write(b'\\xff\\xfe')",
    ],
    ids=['plain', 'other case', 'colours', 'spaces', 'repeated', 'a warning', 'binary beside it'],
)  # fmt: skip
def test_a_clear_answer_may_have_anything_around_it(tmp_path, quick, status):
    made = driver.load('c1', written(tmp_path, f'{status}; sys.exit(2)', 'sys.exit(0)'))
    assert 'switched off' in driver.fence(made, timeout=20).how


def test_a_program_may_have_words_of_its_own(tmp_path, quick):
    says = "print('Outlet 3 is dark'); sys.exit(2)"
    settings = written(tmp_path, says, 'sys.exit(0)')
    with pytest.raises(driver.NotFenced, match='called in a wrong way'):
        driver.fence(driver.load('c1', settings), timeout=0.5)
    own = driver.load('c1', settings | {'says_off': 'outlet 3 is dark'})
    assert 'switched off' in driver.fence(own, timeout=20).how


def test_off_may_take_as_long_as_the_timeout_of_the_host(tmp_path, quick):
    off = "import time; time.sleep(1.5); open(sys.argv[0] + '.off', 'w').close()"
    status = "os.stat(sys.argv[0] + '.off'); print('Status: OFF'); sys.exit(2)"
    settings = written(tmp_path, status, off)
    with pytest.raises(driver.NotFenced, match='did not end within 1 s'):
        driver.fence(driver.load('c1', settings | {'timeout': 0.7}), timeout=0.7)
    assert 'switched off' in driver.fence(driver.load('c1', settings), timeout=20).how
