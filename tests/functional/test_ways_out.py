# SPDX-License-Identifier: Apache-2.0
"""Failovers that something hinders, with every way out of them; and what overtakes what.

As the tenant; Nova refuses for real: a server that its owner has locked is neither deleted nor
given a volume.
"""

import pytest

from lab.client import failover_policy, storage, waiting

GROUP = """
heat_template_version: 2021-04-16
parameters:
  size: {type: number, default: 2}
  count: {type: number, default: 1}
resources:
  volume: {type: OS::Cinder::Volume, properties: {size: 1}}
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 1
      max_size: 5
      desired_capacity: {get_param: size}
      resource:
        type: OS::Nova::Server
        properties: {image: tiny, flavor: m1.tiny, networks: [{network: private}]}
  failover:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {get_resource: group}
      resource:
        type: OS::Cinder::VolumeAttachment
        properties: {instance_uuid: '%active%', volume_id: {get_resource: volume}}
  replace:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: replace_oldest
      auto_scaling_policy_id: {get_resource: failover}
      scaling_adjustment: {get_param: count}
  more:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: change_in_capacity
      auto_scaling_group_id: {get_resource: group}
      scaling_adjustment: 1
outputs:
  volume: {value: {get_resource: volume}}
"""


class Group:
    """One group with its policies, and what its servers' owner does to them."""

    def __init__(self, stack, tenant):
        self.stack, self.tenant = stack, tenant
        self.volume = stack.output('volume')

    def seen(self):
        return failover_policy.attributes(self.stack)

    def act(self, server, **action):
        self.tenant.compute.post(f'/servers/{server}/action', json=action)

    def stop(self, server):
        self.act(server, **{'os-stop': None})
        waiting.until(
            lambda: self.tenant.compute.get_server(server).status == 'SHUTOFF', 'it is shut off'
        )

    def start(self, server):
        self.act(server, **{'os-start': None})
        waiting.until(
            lambda: self.tenant.compute.get_server(server).status == 'ACTIVE', 'it is started'
        )

    def lock(self, server):
        self.act(server, lock={'locked_reason': 'its owner works on it'})

    def unlock(self, server):
        self.act(server, unlock=None)

    def mark_unhealthy(self, server):
        (member,) = [one for one in self.stack.resources() if one['physical_resource_id'] == server]
        self.stack.mark_unhealthy(member)

    def alarm(self, server):
        self.stack.signal('replace', {'member': server})

    def until_at(self, server, seconds=90):
        waiting.until(
            lambda: storage.holder(self.tenant, self.volume) == server,
            f'the volume is at {server}',
            seconds=seconds,
        )

    def until_state(self, *states, seconds=120):
        def look():
            found = self.seen()
            return found if found['state'] in states else None

        return waiting.until(look, f'the state is one of {states}', seconds=seconds, every=1)

    def until_ready(self, size=2, seconds=240):
        """Wait until nothing is left to do; what is ready is right."""
        found = self.until_state('ready', seconds=seconds)
        # A member that could not take over once is suspected until it is seen to be well.
        left = {key: value for key, value in found['pending'].items() if key != 'suspects'}
        assert not any(left.values()), left
        servers = self.stack.servers()
        assert len(servers) == size and found['active_server'] in servers
        assert storage.holder(self.tenant, self.volume) == found['active_server']
        return found


@pytest.fixture
def make_group(make_stack, tenant, watch):
    made = []

    def make(**parameters):
        stack = make_stack(GROUP, create=False)
        stack.create(parameters)
        group = Group(stack, tenant)
        made.append((group, watch([group.volume])))
        return group

    yield make
    for group, summary in made:
        assert summary()['violations'] == []
        for server in group.stack.servers():
            group.unlock(server)


def test_a_failover_overtakes_the_replacement_that_cannot_be_done(make_group):
    group = make_group()
    first = group.seen()['active_server']
    (second,) = set(group.stack.servers()) - {first}
    group.stop(first)
    group.alarm(first)
    group.until_at(second)
    # Its owner keeps it: Nova does not delete it once a new member is there.
    group.lock(first)
    left = group.until_state('replacing')
    waiting.until(
        lambda: group.seen()['pending']['replacements'][0]['reason'],
        'why it is not replaced',
        seconds=180,
        every=1,
    )
    assert left['active_server'] == second
    third = next(s for s in group.stack.servers() if s not in (first, second))
    # The new active fails as well, while the old one is still there.
    group.stop(second)
    group.alarm(second)
    group.until_at(third, seconds=120)
    events = group.stack.events('failover')
    assert any('could not be replaced' in e and 'drop gives it up' in e for e in events), events
    # Once its owner lets go, all is put in order without another word.
    group.unlock(first)
    assert group.until_ready()['active_server'] == third
    assert not {first, second} & set(group.stack.servers())


def test_a_second_active_that_fails_while_the_first_is_replaced_is_failed_over_next(make_group):
    group = make_group()
    first = group.seen()['active_server']
    (second,) = set(group.stack.servers()) - {first}
    group.stop(first)
    group.alarm(first)
    group.until_at(second)
    # No standby is there yet: it is being made.
    group.stop(second)
    group.alarm(second)
    waiting.until(
        lambda: storage.holder(group.tenant, group.volume) not in (None, first, second),
        'the volume is at the member that has come meanwhile',
        seconds=180,
    )
    assert group.until_ready()['epoch'] == 3
    assert [line['outcome'] for line in group.seen()['history']] == ['done', 'done']


def test_the_next_member_follows_one_that_gets_nothing_and_else_the_old_one_has_it_back(
    make_group,
):
    group = make_group(size=3)
    first = group.seen()['active_server']
    (second, third) = (s for s in group.stack.servers() if s != first)
    for server in (second, third):
        group.lock(server)
    # Nobody can take over, and the active is well: it gets its volume back.
    group.stack.signal('failover', {'action': 'failover'})
    found = group.until_state('ready', seconds=180)
    assert found['active_server'] == first
    assert storage.holder(group.tenant, group.volume) == first
    # One that can is found, whichever is asked first.
    group.unlock(third)
    group.stop(first)
    group.alarm(first)
    group.until_at(third, seconds=120)
    group.unlock(second)
    assert group.until_ready(size=3)['active_server'] == third


def test_from_a_stopped_failover_every_way_out_works(make_group):
    group = make_group()
    first = group.seen()['active_server']
    (second,) = set(group.stack.servers()) - {first}

    def stop_half_way():
        group.lock(second)
        group.stop(first)
        group.stack.signal('failover', {'member': first})
        found = group.until_state('stopped')
        assert storage.holder(group.tenant, group.volume) is None
        assert 'locked' in found['reason'] and found['active_server'] == first

    # Back, once the old active is well again.
    stop_half_way()
    failover_policy.refused(group.stack, {'action': 'fail_back'}, 'SHUTOFF, not ACTIVE')
    failover_policy.refused(group.stack, {'action': 'cancel'}, 'drop to leave things')
    group.start(first)
    group.stack.signal('failover', {'action': 'fail_back'})
    group.until_at(first)
    group.until_state('ready')
    # Drop, with what is left over by name; then the volume is brought to whom it shall have.
    stop_half_way()
    group.stack.signal('failover', {'action': 'drop'})
    left = group.until_state('incomplete')
    assert left['pending']['left_over'] == [f'{group.volume} is at no server'], left
    (event, *_) = (e for e in group.stack.events('failover') if 'is dropped; ' in e)
    assert f'{group.volume} is at no server' in event
    group.start(first)
    group.stack.signal('failover', {'action': 'switchover', 'member': first})
    group.until_at(first)
    group.until_state('ready')
    # Another successor, which did not exist when it stopped; an update goes through as well.
    stop_half_way()
    group.stack.update({'size': 3})
    third = next(s for s in group.stack.servers() if s not in (first, second))
    assert group.seen()['state'] in ('stopped', 'running')
    group.stack.signal('failover', {'action': 'switchover', 'member': third})
    group.until_at(third)
    assert group.until_state('ready')['active_server'] == third
    # Go on by itself, within a minute of the last cause going away.
    group.stop(third)
    group.lock(first)
    group.stack.signal('failover', {'member': third})
    group.until_state('stopped', 'waiting')
    group.unlock(second)
    group.until_at(second, seconds=60)
    assert group.until_state('ready')['active_server'] == second
    # And the stack goes from a failover that is half-way.
    for server in (first, third):
        group.lock(server)
    group.stop(second)
    group.stack.signal('failover', {'member': second})
    group.until_state('stopped', 'waiting', 'ready')
    for server in (first, third):
        group.unlock(server)
    group.stack.delete()


def test_an_alarm_while_heat_works_on_the_members_waits_for_that(make_group):
    group = make_group()
    first = group.seen()['active_server']
    group.stop(first)
    group.stack.signal('more')
    group.alarm(first)
    waiting.until(
        lambda: storage.holder(group.tenant, group.volume) not in (None, first),
        'the volume has left the server that is shut off',
        seconds=120,
    )
    group.until_ready(size=3)
    assert first not in group.stack.servers()


def test_lost_standbys_are_replaced_and_nobody_waits_for_them(make_group):
    group = make_group()
    active = group.seen()['active_server']
    (lost,) = set(group.stack.servers()) - {active}
    group.mark_unhealthy(lost)
    # The active is well, so it stays; the alarm that names the failed one has it replaced.
    failover_policy.refused(group.stack, {'action': 'failover'}, 'Heat counts it as failed')
    assert storage.holder(group.tenant, group.volume) == active
    group.alarm(lost)
    waiting.until(lambda: lost not in group.stack.servers(), 'it is replaced', seconds=120)
    assert group.until_ready()['active_server'] == active
    # The active is down, and nobody is left who might come back: its successor is made.
    (lost,) = set(group.stack.servers()) - {active}
    group.mark_unhealthy(lost)
    group.stop(active)
    group.alarm(active)
    waiting.until(
        lambda: storage.holder(group.tenant, group.volume) not in {None, active, lost},
        'the volume is at a new member',
        seconds=120,
    )
    group.until_ready()
    assert active not in group.stack.servers(), 'the new one is in its place'
    group.alarm(lost)
    waiting.until(lambda: lost not in group.stack.servers(), 'it is replaced', seconds=120)
    group.until_ready()
