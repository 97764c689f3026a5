# SPDX-License-Identifier: Apache-2.0
"""What a failover looks at before it decides."""

import threading
import types

import pytest

from heat_ha.cloud import compute_hosts
from heat_ha.cloud import model as cloud
from heat_ha.failover import model, observation
from heat_ha.groups import model as groups
from heat_ha.groups.adapters import members as group_members
from tests.unit.failover import worlds


class Nova:
    """Answers for any server, and keeps which were asked for."""

    def __init__(self, failures=0):
        self.asked = []
        self._failures = failures

    def server(self, server):
        self.asked.append(server)
        if self.asked.count(server) <= self._failures:
            return cloud.Server(server, cloud.ServerStatus.COULD_NOT_ASK)
        return cloud.Server(server, cloud.ServerStatus.ACTIVE)


UP = cloud.Host(cloud.HostState.UP, 'its host is up')


@pytest.fixture
def look(monkeypatch):
    def look(names, likely='', active=None, failures=0, another=cloud.HostState.UP):
        members = tuple(worlds.member(name) for name in names)
        monkeypatch.setattr(group_members, 'look', lambda *_: groups.Group('group', members))
        nova = Nova(failures)
        table = compute_hosts.HostTable(
            {'of another server': cloud.Host(another, another.value)}, UP
        )
        observed = observation.observe(
            None,
            types.SimpleNamespace(nova=nova, hosts=types.SimpleNamespace(all=lambda: table)),
            active=active and worlds.holder(active),
            last=model.Record(seen=tuple(worlds.holder(name) for name in likely)),
        )
        return observed.candidates, sorted(nova.asked)

    return look


@pytest.mark.parametrize('likely', ['', 'abc', 'bc', 'xyz', 'ax'])
def test_each_member_has_the_look_at_its_own_server_whatever_was_on_record(look, likely):
    candidates, asked = look('abc', likely, active='a')
    assert [c.server.server for c in candidates] == ['server-a', 'server-b', 'server-c']
    assert len(asked) == len(set(asked)), 'no server is looked at twice'
    assert {c.member.name for c in candidates} == set('abc'), 'a former member is none'


@pytest.mark.parametrize('likely', ['', 'ab'])
def test_the_active_of_a_pair_is_not_waited_for(look, likely):
    candidates, asked = look('ab', likely, active='a')
    assert asked == ['server-b']
    assert [c.server and c.server.server for c in candidates] == [None, 'server-b']


@pytest.mark.parametrize('another', list(cloud.HostState))
def test_the_active_of_a_pair_is_looked_at_where_a_host_is_confirmed_down(look, another):
    candidates, asked = look('ab', 'ab', active='a', another=another)
    is_asked = another is cloud.HostState.CONFIRMED_DOWN
    assert asked == (['server-a', 'server-b'] if is_asked else ['server-b'])
    assert (candidates[0].host is not None) == is_asked


def test_the_active_on_a_dead_host_is_looked_at_before_all_else_is_known(look, monkeypatch):
    at_active = threading.Event()

    def server(nova, server):
        if server == 'server-a':
            at_active.set()
        else:
            assert at_active.wait(10.0), 'it comes after a look that may have to log in'
        return cloud.Server(server, cloud.ServerStatus.ACTIVE)

    monkeypatch.setattr(Nova, 'server', server)
    candidates, _ = look('ab', 'ab', active='a', another=cloud.HostState.CONFIRMED_DOWN)
    assert [c.server.server for c in candidates] == ['server-a', 'server-b']


def test_what_is_put_on_record_names_every_member_with_one_server(look):
    candidates, _ = look('ab', active='a')
    assert observation.member_servers(candidates) == (worlds.holder('a'), worlds.holder('b'))


@pytest.mark.parametrize(
    ('failures', 'status'),
    [(2, cloud.ServerStatus.ACTIVE), (3, cloud.ServerStatus.COULD_NOT_ASK)],
)
def test_a_lost_answer_is_asked_for_again_but_not_for_ever(look, monkeypatch, failures, status):
    monkeypatch.setattr(observation, 'ASK_AGAIN', (0.0, 0.0))
    candidates, asked = look('ab', active='a', failures=failures)
    assert candidates[1].server.status is status
    assert asked == ['server-b'] * 3
