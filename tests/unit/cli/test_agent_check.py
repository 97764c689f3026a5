# SPDX-License-Identifier: Apache-2.0
"""What an operator is told before a host fails."""

import dataclasses
import itertools

import pytest

from heat_ha import exceptions
from heat_ha.agent.adapters.credential import Right
from heat_ha.cli import agent_check
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing import inventory, model
from heat_ha.fencing.driver import Power


class World:
    def __init__(self, monkeypatch, powers, *, reporting=(), problem='', file=''):
        self.powers, self.reporting, self.problem = powers, reporting, problem
        self.at, self.can_ask = 1000.0, True
        entries = ', '.join(f'{host}: {{driver: ipmi, address: {host}, username: u}}'
                            for host in powers)  # fmt: skip
        self.fences = inventory.parse(file or f'hosts: {{{entries}}}')
        monkeypatch.setattr(agent_check.survey, 'ask', self.ask)

    def ask(self, host, fences, now):
        if host not in self.powers:
            return [model.Answer(host, 1, 'none', Power.OFF, '', now(), is_power_control=False)]
        return [model.Answer(host, 1, 'ipmi', self.powers[host], 'seen', now())]

    def services(self):
        if not self.can_ask:
            raise exceptions.CouldNotAsk('nova', 'its hosts', 'timeout')
        return {
            host: ComputeService(
                host, host, True, False, False,
                heartbeat_at=self.at if host in self.reporting else 1000.0,
            )
            for host in self.powers
        }  # fmt: skip

    def pause(self, seconds):
        self.at += seconds

    def check(self):
        return agent_check.run(
            self.fences, self.services, lambda: [Right('list', self.problem)],
            self.pause, lambda: self.at,
        )  # fmt: skip


@pytest.mark.parametrize('powers', list(itertools.product(Power, repeat=2)), ids=str)
@pytest.mark.parametrize('problem', ['', 'Forbidden'])
def test_only_fences_that_answer_and_a_credential_that_may_are_good(
    monkeypatch, capsys, powers, problem
):
    world = World(monkeypatch, dict(zip(('c1', 'c2'), powers, strict=True)), problem=problem)
    is_good = set(powers) == {Power.ON} and not problem
    assert world.check() == (0 if is_good else 1)
    shown = capsys.readouterr().out
    assert shown.count('level 1 ipmi:') == 2
    assert ('the fence cannot be asked' in shown) == (Power.UNKNOWN in powers)
    assert ('Nova shows it as up' in shown) == (Power.OFF in powers)
    assert ('credential: list: Forbidden' in shown) == bool(problem)


@pytest.mark.parametrize('is_reporting', [True, False])
def test_a_host_that_reports_while_its_power_is_off_has_a_wrong_entry(
    monkeypatch, capsys, is_reporting
):
    reporting = ['c1', 'c2'] if is_reporting else ['c2']
    world = World(monkeypatch, {'c1': Power.OFF, 'c2': Power.ON}, reporting=reporting)
    assert world.check() == 1
    shown = capsys.readouterr().out
    assert ('wrong: host c1' in shown) == is_reporting and 'wrong: host c2' not in shown


def test_without_nova_the_fences_are_asked_all_the_same(monkeypatch, capsys):
    world = World(monkeypatch, {'c1': Power.ON})
    world.can_ask = False
    assert world.check() == 1
    shown = capsys.readouterr().out
    assert 'c1 level 1 ipmi: on' in shown and 'nothing was compared' in shown


def test_a_notice_is_no_problem(monkeypatch, capsys):
    world = World(monkeypatch, {'c1': Power.ON}, file='hosts: {c1: {driver: none}}')
    assert world.check() == 0
    world = World(monkeypatch, {'c1': Power.ON}, file='default: {driver: none}')
    world.powers = {}
    world.services = lambda: {'c9': ComputeService('c9', 'c9', True, False, False)}
    assert world.check() == 0 and 'c9: nothing fences it' in capsys.readouterr().out


def test_a_wrong_file_is_refused_before_anything_is_asked(monkeypatch):
    world = World(monkeypatch, {'c1': Power.ON})
    ipmi = {'driver': 'ipmi', 'address': 'a', 'username': 'u'}
    world.fences = dataclasses.replace(world.fences, default=ipmi)
    with pytest.raises(exceptions.Refused, match='default'):
        world.check()
