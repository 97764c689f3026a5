# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha.fencing import inventory, model, survey
from heat_ha.fencing.driver import Power


def ask(settings):
    return survey.ask('c1', inventory.parse(f'hosts: {{c1: {settings}}}'), lambda: 1000.0)


def test_each_fence_of_a_host_is_asked_and_those_that_take_a_word_are_not():
    program = '{driver: command, program: "true"}'
    found = ask(f'{{levels: [{program}, {{driver: nova_forced_down}}]}}')
    assert [(a.level, a.driver, a.power, a.is_power_control) for a in found] == [
        (1, 'command', Power.ON, True),
        (2, 'nova_forced_down', Power.UNKNOWN, False),
    ]
    assert all(a.at == 1000.0 and a.host == 'c1' for a in found)


@pytest.mark.parametrize(
    'settings',
    [
        '{driver: command, program: "false"}',
        '{driver: command, program: /no/such/program}',
        '{driver: ipmi, address: a, username: u, password_file: /no/such/file}',
        '{driver: redfish, address: "http://127.0.0.1:1", system: /1, timeout: 2}',
        '{driver: redfish, address: "no address", system: /1, timeout: 2}',
        '{driver: x}',
    ],
)
def test_a_fence_that_cannot_be_asked_is_an_answer_with_its_reason(settings):
    [found] = ask(settings)
    assert found.power is Power.UNKNOWN and found.detail


def test_what_a_bmc_says_of_its_machine_is_kept(monkeypatch):
    from heat_ha.fencing import ipmi

    monkeypatch.setattr(ipmi.Ipmi, 'power', lambda self: (Power.ON, 'on'))
    monkeypatch.setattr(ipmi.Ipmi, 'facts', lambda self: model.Facts('c9', 'u'))
    closed = []
    monkeypatch.setattr(ipmi.Ipmi, 'close', lambda self: closed.append(self))
    [found] = ask('{driver: ipmi, address: BMC, username: u}')
    assert (found.host_name, found.uuid, found.address) == ('c9', 'u', 'bmc') and len(closed) == 1
