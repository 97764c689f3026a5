# SPDX-License-Identifier: Apache-2.0
"""``fencing: storage``: a host is silent, and its guest alone is shut out from the volumes."""

import dataclasses
import json
import textwrap
import time

import pytest
from heat.common import exception

from heat_ha.cloud import compute_hosts
from heat_ha.cloud.model import Host, HostState, Reply
from heat_ha.failover import fence_wait, guest_fence, observation
from heat_ha.failover.adapters import guest_proofs
from heat_ha.fencing.rules import guests
from tests.plugin import volumes
from tests.plugin.test_cost import Counted

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
      fencing: storage
      fencing_timeout: TIMEOUT
      resource:
        type: OS::Cinder::VolumeAttachment
        properties: {instance_uuid: '%active%', volume_id: v1}
"""

REPLACED = textwrap.indent(
    textwrap.dedent("""
replace:
  type: OS::Heat::ScalingPolicy
  properties:
    adjustment_type: replace_oldest
    auto_scaling_policy_id: {get_resource: failover}
    scaling_adjustment: 1
"""),
    '  ',
)


class Silent(Counted):
    """The host of ``dead`` is silent; the servers of all others are on hosts that are up."""

    written = 5.0

    def deleted_server(self, server_id):
        # Nova still has the host of one that is deleted.
        return dataclasses.replace(super().deleted_server(server_id), host=f'host-of-{server_id}')

    def detach(self, server_id, volume_id):
        if server_id == self.dead:
            return Reply.CONFLICT, 'its host is down'
        return super().detach(server_id, volume_id)

    def all(self):
        found = Host(HostState.DOWN, 'its host does not answer', self.written)
        silent = {f'host-of-{self.dead}': found}
        return compute_hosts.HostTable(silent, Host(HostState.UP, 'its host is up'))


class Agents:
    """What the agents have on record; they answer after some looks.

    :ivar answers: with which they answer a request, None: there is no agent.
    :ivar asked: all requests that were made.
    """

    def __init__(self):
        self.answers, self.looks, self.asked = None, 0, []

    def of(self, server, host_id):
        self.looks += 1
        if self.answers is None or self.looks < 3 or not self.asked:
            return None
        found = self.answers(self.asked[-1])
        return found if (found.server, found.host_id) == (server, host_id) else None


@pytest.fixture
def agents(monkeypatch):
    made = Agents()
    monkeypatch.setattr(guest_proofs, 'of', made.of)
    put = guest_fence.GuestFence._put

    def noted(fence, request):
        made.asked.append(request)
        put(fence, request)

    monkeypatch.setattr(guest_fence.GuestFence, '_put', noted)
    monkeypatch.setattr(fence_wait, 'FENCE_LOOK', 0.05)
    return made


@pytest.fixture
def cloud(engine, monkeypatch):
    monkeypatch.setattr(volumes, 'Cloud', Silent)
    with volumes.in_place(engine) as found:
        yield found


def make(engine, cloud, timeout=5, more=REPLACED):
    stack = engine.create(PAIR.replace('TIMEOUT', str(timeout)) + more)
    old = volumes.active(engine, stack)
    cloud.dead = old.server
    return stack, old


def shut_out(request):
    now = time.time()
    return guests.GuestFence(
        request.server, request.host, host='h1', volumes=('v1',), clients=('192.0.2.1:0/1',),
        proved_for=(request.request_id,), written=5.0, at=now, until=now + 9999, seen_at=now,
        who='agent-1',
    )  # fmt: skip


def refused(request):
    return guests.GuestFence(
        request.server, request.host, answers=(request.request_id,), refused='it lacks the lock'
    )


def waits(request):
    return guests.GuestFence(
        request.server, request.host, answers=(request.request_id,), waits='it holds back'
    )


def data_of(engine, stack):
    return engine.stack(stack)['failover'].data()


def events_of(engine, stack):
    return '\n'.join(volumes.texts(engine, stack))


def test_the_volume_moves_once_the_guest_is_shut_out(engine, cloud, agents):
    stack, old = make(engine, cloud)
    agents.answers = shut_out
    engine.signal(stack, 'replace', {'member': old.server})
    now = volumes.active(engine, stack)
    assert cloud.holder('v1') == now.server != old.server
    assert old.server not in engine.servers_there()
    text = events_of(engine, stack)
    assert 'is asked to shut server' in text and 'shut its guest out from its volumes' in text
    assert guests.REQUEST not in data_of(engine, stack)
    # What tenants read names neither hosts nor addresses of the cloud.
    assert '192.0.2' not in text and ' h1' not in text


def test_what_the_request_says(engine, cloud, agents):
    stack, old = make(engine, cloud, timeout=1)
    engine.signal(stack, 'replace', {'member': old.server})
    assert cloud.holder('v1') == old.server
    request = json.loads(data_of(engine, stack)[guests.REQUEST])
    assert request['server'] == old.server and request['volumes'] == ['v1']
    assert request['host'] == f'host-of-{old.server}' and request['request_id']
    assert 0 < request['until'] - time.time() <= 1 + guest_fence.STANDS_FOR


@pytest.mark.parametrize(
    'wrong',
    [
        {'volumes': ('v2',)},
        {'is_over': True},
        {'seen_at': 1.0},
        {'until': 1.0},
        {'refused': 'its image lacks exclusive-lock'},
        {'host_id': 'host-of-another'},
        {'proved_for': ('of-another-failure',)},
        # The host was heard since.
        {'written': 4.0},
        {'is_void': True},
    ],
)
def test_no_volume_moves_for_less_than_a_proof(engine, cloud, agents, wrong):
    stack, old = make(engine, cloud, timeout=1)
    agents.answers = lambda asked: dataclasses.replace(
        shut_out(asked), answers=(asked.request_id,), **wrong
    )
    engine.signal(stack, 'replace', {'member': old.server})
    assert cloud.holder('v1') == old.server and old.server in engine.servers_there()
    text = events_of(engine, stack)
    assert 'openstack compute service set --down' in text
    assert ('lacks exclusive-lock' in text) is ('refused' in wrong)
    # What was wrong is mended, and somebody says so.
    agents.answers = shut_out
    engine.signal(stack, 'failover', {'action': 'resume'})
    assert cloud.holder('v1') == volumes.active(engine, stack).server != old.server


def test_without_an_agent_the_events_say_so(engine, cloud, agents, monkeypatch):
    monkeypatch.setattr(guest_fence, 'SILENT_AFTER', 0.1)
    stack, old = make(engine, cloud, timeout=1)
    engine.signal(stack, 'replace', {'member': old.server})
    assert events_of(engine, stack).count('no heat-ha-agent has answered') == 1
    assert cloud.holder('v1') == old.server


def test_a_server_that_nothing_may_delete_waits_for_a_person(engine, cloud, agents):
    stack, old = make(engine, cloud, timeout=1, more='')
    agents.answers = shut_out
    engine.signal(stack, 'failover', {'member': old.server})
    assert old.server in engine.servers_there() and cloud.holder('v1') == old.server
    assert 'nothing may delete the server' in events_of(engine, stack)


def test_what_keeps_the_agents_from_it_is_an_event_once(engine, cloud, agents):
    stack, old = make(engine, cloud, timeout=1)
    agents.answers = waits
    engine.signal(stack, 'replace', {'member': old.server})
    assert events_of(engine, stack).count('it holds back') == 1
    # Of an earlier request, it says nothing about this one.
    agents.answers = lambda asked: dataclasses.replace(refused(asked), answers=('earlier',))
    engine.signal(stack, 'failover', {'action': 'resume'})
    assert 'it lacks the lock' not in events_of(engine, stack)
    agents.answers = refused
    engine.signal(stack, 'failover', {'action': 'resume'})
    assert events_of(engine, stack).count('it lacks the lock') == 1


def test_an_old_record_does_not_hide_that_no_agent_runs(engine, cloud, agents, monkeypatch):
    monkeypatch.setattr(guest_fence, 'SILENT_AFTER', 0.1)
    stack, old = make(engine, cloud, timeout=1)
    agents.answers = lambda asked: dataclasses.replace(
        shut_out(asked), is_over=True, proved_for=('earlier',)
    )
    engine.signal(stack, 'replace', {'member': old.server})
    assert 'no heat-ha-agent has answered' in events_of(engine, stack)


def test_a_drop_takes_the_request_back_and_says_how_the_guest_gets_its_volumes(
    engine, cloud, agents
):
    stack, old = make(engine, cloud, timeout=1, more='')
    agents.answers = shut_out
    engine.signal(stack, 'failover', {'member': old.server})
    assert guests.REQUEST in data_of(engine, stack)
    engine.signal(stack, 'failover', {'action': 'drop'})
    assert guests.REQUEST not in data_of(engine, stack)
    assert f'the guest of server {old.server} is shut out' in events_of(engine, stack)
    assert 'reboot --hard' in events_of(engine, stack)


@pytest.mark.parametrize('how', ['drop', 'update', 'delete'])
def test_nothing_is_asked_for_any_more_once_nobody_waits(engine, cloud, agents, how):
    stack, old = make(engine, cloud, timeout=1)
    engine.signal(stack, 'replace', {'member': old.server})
    assert guests.REQUEST in data_of(engine, stack)
    if how == 'drop':
        engine.signal(stack, 'failover', {'action': 'drop'})
    elif how == 'update':
        text = (PAIR + REPLACED).replace('TIMEOUT', '1')
        engine.update(stack, text.replace('fencing: storage', 'fencing: none'))
    else:
        engine.stack(stack)['failover'].handle_delete()
    assert guests.REQUEST not in data_of(engine, stack)


def test_a_request_asked_twice_by_one_plan_keeps_its_id(engine, cloud, agents):
    stack, old = make(engine, cloud, timeout=1)
    engine.signal(stack, 'replace', {'member': old.server})
    engine.signal(stack, 'failover', {'action': 'resume'})
    assert len(agents.asked) >= 2 and len({one.request_id for one in agents.asked}) == 1
    assert agents.asked[-1].until > agents.asked[0].until


def test_a_later_failover_asks_anew(engine, cloud, agents):
    stack, old = make(engine, cloud, timeout=1)
    engine.signal(stack, 'replace', {'member': old.server})
    engine.signal(stack, 'failover', {'action': 'drop'})
    agents.looks = 0
    engine.signal(stack, 'replace', {'member': old.server})
    assert len({one.request_id for one in agents.asked}) == 2


def test_candidates_are_looked_at_without_the_records_of_the_agents(engine, cloud, agents):
    stack, old = make(engine, cloud, timeout=1, more='')
    agents.answers = shut_out
    engine.signal(stack, 'failover', {'member': old.server})
    seen, observe = [], observation.observe

    def noted(*args, **more):
        seen.append(args[1].hosts)
        return observe(*args, **more)

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(observation, 'observe', noted)
        engine.signal(stack, 'failover', {'action': 'resume'})
    assert seen and not any(isinstance(one, guest_fence.FencedHosts) for one in seen)


def test_storage_needs_time_and_volumes(engine, cloud, agents):
    with pytest.raises(exception.StackValidationFailed, match='fencing_timeout'):
        engine.create(PAIR.replace('TIMEOUT', '0'))
    ports = PAIR.replace('TIMEOUT', '5').replace(
        'OS::Cinder::VolumeAttachment', 'OS::Heat::PortAttachment'
    )
    ports = ports.replace('instance_uuid:', 'server:').replace('volume_id: v1', 'port: p')
    with pytest.raises(exception.StackValidationFailed, match='shuts a server out from volumes'):
        engine.create(ports)
