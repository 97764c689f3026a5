# SPDX-License-Identifier: Apache-2.0
"""What one failover costs: transactions of Heat's database, and requests to other services.

Engines and services that are busy with a host's death have no time to waste, and a request more is
seen by nobody. So the bounds here are just above what is needed; raise one only with a reason.
"""

import collections
import dataclasses
import threading

import pytest
import sqlalchemy
from heat.db import api as db_api

from heat_ha.cloud import compute_hosts
from heat_ha.cloud.model import Host, HostState, Reply
from heat_ha.failover import events
from heat_ha.groups.adapters import resource_rows
from tests.plugin import volumes

pytestmark = pytest.mark.engine

PAIR = """
heat_template_version: 2016-10-14
resources:
  group:
    type: OS::Heat::AutoScalingGroup
    properties: {min_size: 2, max_size: 2, resource: {type: OS::Nova::Server}}
  failover:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {get_resource: group}
      resource:
        type: OS::Cinder::VolumeAttachment
        properties: {instance_uuid: '%active%', volume_id: v1}
  replace:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: replace_oldest
      auto_scaling_policy_id: {get_resource: failover}
      scaling_adjustment: 1
"""

# What is counted: until the first request that changes something, from there until the volume was
# asked for on the new active, and after that. Events are counted apart: those of a step are made
# beside its request, and which of the two comes first is up to the machine.
FIRST, MOVE, REST = 'until the first request', 'until the volume moves', 'afterwards'
EVENTS = 'events'

# Transactions of the database. Of the first, Heat itself has three, and of the last more than a
# hundred, in its updates of the two nested stacks. Before each request one asks for the lock:
# nothing else keeps an engine that was frozen from sending what fitted the state before. Usually
# the last are 288: how often it is looked at what Heat does depends on how quick the machine is.
TRANSACTIONS = {FIRST: 11, MOVE: 6, REST: 306, EVENTS: 14}

# How often Heat lists the members, which loads each of their stacks: before the replacement, and
# after each of its two changes.
LISTS = {FIRST: 0, MOVE: 0, REST: 3}

# Requests to Nova and Cinder. The first four: the volume, the hosts, and both servers.
REQUESTS = {FIRST: 4, MOVE: 3, REST: 3}


class Counted(volumes.Cloud):
    """A cloud whose requests are counted, each server of which is on a host of its own.

    :ivar dead: the server whose host is confirmed down.
    :ivar phase: what is counted now; None for nothing.
    """

    def __init__(self, engine):
        super().__init__(engine)
        self.dead, self.phase = '', None
        self.asked = collections.defaultdict(list)
        self.begun, self.lists = collections.Counter(), collections.Counter()
        self._telling = threading.local()

    def _count(self, what):
        if self.phase is not None:
            self.asked[self.phase].append(what)

    def server(self, server_id):
        self._count('server')
        return dataclasses.replace(super().server(server_id), host=f'host-of-{server_id}')

    def volume(self, volume_id):
        self._count('volume')
        return super().volume(volume_id)

    def all(self):
        self._count('hosts')
        dead = {f'host-of-{self.dead}': Host(HostState.CONFIRMED_DOWN, 'its host is down')}
        return compute_hosts.HostTable(dead, Host(HostState.UP, 'its host is up'))

    def detach(self, server_id, volume_id):
        self._begins_to_move('detach')
        return super().detach(server_id, volume_id)

    def delete(self, server_id):
        self._begins_to_move('delete')
        (self._engine.servers / server_id).unlink()
        return Reply.ACCEPTED, ''

    def _begins_to_move(self, what):
        if self.phase is not None:
            self.phase = MOVE
        self._count(what)

    def attach(self, server_id, volume_id, device):
        self._count('attach')
        answer = super().attach(server_id, volume_id, device)
        if self.phase is not None:
            self.phase = REST
        return answer

    def of_group(self, group):
        """Heat lists the members."""
        if self.phase is not None:
            self.lists[self.phase] += 1
        return self.really_of_group(group)

    def begin(self, _connection):
        """A transaction has begun."""
        if self.phase is not None:
            self.begun[EVENTS if getattr(self._telling, 'now', False) else self.phase] += 1

    def tell(self, told, status, text, plan=None):
        """An event is made, by this thread."""
        self._telling.now = True
        try:
            self.really_tell(told, status, text, plan)
        finally:
            self._telling.now = False


@pytest.fixture
def cloud(engine, monkeypatch):
    monkeypatch.setattr(volumes, 'Cloud', Counted)
    with volumes.in_place(engine) as found:
        sqlalchemy.event.listen(db_api.get_engine(), 'begin', found.begin)
        found.really_of_group = resource_rows.of_group
        monkeypatch.setattr(resource_rows, 'of_group', found.of_group)
        found.really_tell = events.EventEmitter.emit
        monkeypatch.setattr(
            events.EventEmitter,
            'emit',
            lambda told, *event, **plan: found.tell(told, *event, **plan),
        )
        yield found
        sqlalchemy.event.remove(db_api.get_engine(), 'begin', found.begin)


def test_a_failover_from_a_dead_host_costs_no_more_than_it_needs(engine, cloud):
    stack = engine.create(PAIR)
    old = volumes.active(engine, stack)
    cloud.dead, cloud.phase = old.server, FIRST

    engine.signal(stack, 'replace', {'member': old.server})

    cloud.phase = None
    now = volumes.active(engine, stack)
    assert cloud.holder('v1') == now.server != old.server
    assert old.member not in [one.name for one in engine.members(stack).members]
    assert not engine.errors
    over = {p: n for p, n in cloud.begun.items() if n > TRANSACTIONS[p]}
    assert not over, f'transactions of the database: {dict(cloud.begun)}'
    over = {p: n for p, n in cloud.lists.items() if n > LISTS[p]}
    assert not over, f'lists of the members: {dict(cloud.lists)}'
    over = {p: asked for p, asked in cloud.asked.items() if len(asked) > REQUESTS[p]}
    assert not over, f'requests: {dict(cloud.asked)}'
    assert set(cloud.begun) == set(TRANSACTIONS), 'each of the phases was counted'
