# SPDX-License-Identifier: Apache-2.0
"""The drivers against power controls that are Debian packages; the lab installs OpenIPMI's."""

import shutil

import pytest

from heat_ha.fencing import driver
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


@pytest.mark.skipif(
    not shutil.which('fence_dummy'),
    reason="Debian's fence-agents, which brings 28 other packages, is not installed",
)
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
