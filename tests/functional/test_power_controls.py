# SPDX-License-Identifier: Apache-2.0
"""The drivers against power controls that are Debian packages; the lab installs OpenIPMI's."""

import shutil

import pytest

from heat_ha import exceptions
from heat_ha.fencing import driver, inventory, let_in, topology
from heat_ha.fencing.driver import Power
from lab.client import bmc, waiting


def test_ipmi_sees_the_power_go_off(tmp_path):
    with bmc.ipmi(tmp_path) as settings:
        made = driver.load('c1', settings)
        waiting.until(lambda: made.power()[0] is Power.ON, 'the BMC answers', seconds=20)
        wrong = driver.load('c1', settings | {'password': 'wrong'})
        assert wrong.power()[0] is Power.UNKNOWN
        with pytest.raises(driver.NotFenced):
            driver.fence(wrong, timeout=1)
        assert made.power()[0] is Power.ON
        assert 'switched off' in driver.fence(made, timeout=20).how
        assert made.power()[0] is Power.OFF
        assert 'switched off' in driver.fence(made, timeout=20).how, 'OFF does no harm twice'


needs_fence_agents = pytest.mark.skipif(
    not shutil.which('fence_dummy'),
    reason="Debian's fence-agents, which brings 28 other packages, is not installed",
)


@needs_fence_agents
def test_an_agent_of_fence_agents_switches_off(tmp_path):
    settings = bmc.fence_agents_dummy(tmp_path, 'c1')
    made = driver.load('c1', settings)
    assert made.power()[0] is Power.ON
    assert 'switched off' in driver.fence(made, timeout=20).how
    assert made.power()[0] is Power.OFF
    broken = settings | {'options': {'type': 'no such type', 'status_file': '/no/such/file'}}
    broken['options'] |= {'random_sleep_range': 'x'}
    with pytest.raises(driver.NotFenced):
        driver.fence(driver.load('c1', broken), timeout=1)


@needs_fence_agents
@pytest.mark.parametrize('unfence', ['program', 'by_hand'])
def test_an_agent_of_fence_agents_cuts_a_host_off_and_lets_it_in(tmp_path, unfence):
    settings = bmc.fence_agents_dummy(tmp_path, 'c1') | {'cuts': 'storage', 'unfence': unfence}
    fences = inventory.Inventory({'c1': settings}, {'driver': 'nova_forced_down'})
    made = driver.load('c1', settings)
    assert made.power()[0] is Power.ON
    proof = topology.fence('c1', fences.levels('c1'))
    assert proof.leaves_on and proof.storage_drivers == ('command',)
    assert made.power()[0] is Power.OFF
    if unfence == 'by_hand':
        with pytest.raises(exceptions.Refused, match='still shuts it out'):
            let_in.let_in('c1', fences, proof)
        assert made.power()[0] is Power.OFF
        assert made._call('on').code == 0, 'as a person on the host does it'
    assert let_in.let_in('c1', fences, proof) == 1
    assert made.power()[0] is Power.ON
