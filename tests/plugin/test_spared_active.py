# SPDX-License-Identifier: Apache-2.0
"""The active member of a FailoverPolicy while its group shrinks, grows or is updated."""

import pytest
from heat.engine import check_resource
from heat.objects import resource as resource_object

from heat_ha.plugin import watched_group
from tests.plugin import volumes
from tests.plugin.scaling import NESTED, in_order, last_event, names, servers

pytestmark = pytest.mark.engine


@pytest.fixture
def cloud(engine):
    with volumes.in_place(engine) as cloud:
        yield cloud
    assert not cloud.violations


def adjusts(kind, by):
    return f"""
adjustment_type: {kind}
auto_scaling_group_id: {{get_resource: group}}
scaling_adjustment: {by}
"""


def is_well(engine, cloud, stack):
    """Check that the volume is at the active on record, which is a member of the group."""
    active = volumes.active(engine, stack)
    assert active is not None
    assert servers(engine, stack)[active.member] == (active.server,)
    assert cloud.holder('v1') == active.server
    assert volumes.known(engine, stack).state.value == 'ready'
    return active


# --- a load policy shrinks the group -----------------------------------------------------------

SHRINKS = [
    ('change_in_capacity', -1, 2),
    ('change_in_capacity', -2, 1),
    ('exact_capacity', 2, 2),
    ('exact_capacity', 1, 1),
    ('percent_change_in_capacity', -34, 2),
    ('percent_change_in_capacity', -90, 1),
]


@pytest.mark.parametrize(('kind', 'by', 'left'), SHRINKS)
def test_the_next_in_heats_order_goes_in_the_place_of_the_active(engine, cloud, kind, by, left):
    stack = engine.create(volumes.with_failover(adjusts(kind, by)))
    first, *rest = names(engine, stack)
    before = volumes.active(engine, stack)
    assert before.member == first, 'the oldest is the active'

    engine.signal(stack, 'policy')

    assert names(engine, stack) == [first, *rest[3 - left :]]
    assert is_well(engine, cloud, stack) == before
    assert not cloud.cut_off and not cloud.requests[1:], 'the volume has not moved'
    in_order(engine, stack, left)


def test_a_failed_standby_goes_before_older_ones(engine, cloud):
    stack = engine.create(volumes.with_failover(adjusts('change_in_capacity', -1)))
    first, _second, third = names(engine, stack)
    engine.mark_unhealthy(engine.nested(stack), third)

    engine.signal(stack, 'policy')

    # Heat does not count a failed member, so with two healthy ones -1 leaves one.
    assert names(engine, stack) == [first]
    assert is_well(engine, cloud, stack).member == first


def test_a_failed_active_goes_first_as_with_heat_but_hands_over_before(engine, cloud):
    stack = engine.create(volumes.with_failover(adjusts('change_in_capacity', -1), size=4))
    first, _second, *rest = names(engine, stack)
    engine.mark_unhealthy(engine.nested(stack), first)

    engine.signal(stack, 'policy')

    assert names(engine, stack) == rest
    assert is_well(engine, cloud, stack).member in rest
    assert not cloud.cut_off


def test_a_failed_active_stays_where_nobody_can_take_over(engine, cloud):
    stack = engine.create(volumes.with_failover(adjusts('change_in_capacity', -1), size=4))
    before = servers(engine, stack)
    first, *rest = before
    engine.mark_unhealthy(engine.nested(stack), first)
    cloud.shut_off |= {server for name in rest for server in before[name]}

    engine.signal(stack, 'policy')

    assert servers(engine, stack).keys() == before.keys()
    assert cloud.holder('v1') == before[first][0] and not cloud.cut_off
    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_FAILED' and 'none of the members that stay can take over' in reason


def test_a_group_without_a_failover_policy_shrinks_as_heat_does_it(engine, cloud):
    text = volumes.with_failover(adjusts('change_in_capacity', -1))
    stack = engine.create(text.partition('  failover:')[0] + 'outputs: {}\n')
    _first, *rest = names(engine, stack)
    engine.signal(stack, 'policy')
    assert names(engine, stack) == rest


def test_a_group_that_grows_keeps_its_active(engine, cloud):
    stack = engine.create(volumes.with_failover(adjusts('change_in_capacity', 1)))
    before = volumes.active(engine, stack)
    engine.signal(stack, 'policy')
    assert len(names(engine, stack)) == 4
    assert is_well(engine, cloud, stack) == before


def test_a_group_that_shrinks_to_nothing_says_what_becomes_of_the_active(engine, cloud):
    text = volumes.with_failover(adjusts('exact_capacity', 0)).replace('min_size: 1', 'min_size: 0')
    stack = engine.create(text)

    engine.signal(stack, 'policy')

    assert names(engine, stack) == []
    known = volumes.known(engine, stack)
    assert known.active is None and 'has no member' in known.reason
    assert any('loses its last member' in text for text in volumes.texts(engine, stack))
    loaded = engine.stack(stack)
    assert loaded['failover'].FnGetAtt('active') is None
    assert 'has no member' in loaded['failover'].FnGetAtt('reason')


def test_a_parked_group_has_an_active_again_after_an_update(engine, cloud):
    text = volumes.with_failover(adjusts('exact_capacity', 0)).replace('min_size: 1', 'min_size: 0')
    stack = engine.create(text)
    engine.signal(stack, 'policy')

    engine.update(stack, text.replace('desired_capacity: 3', 'desired_capacity: 2'))

    is_well(engine, cloud, stack)
    loaded = engine.stack(stack)
    assert loaded['failover'].FnGetAtt('reason') == ''


SECOND_POLICY = """
second:
  type: OS::Heat::FailoverPolicy
  depends_on: failover
  properties:
    auto_scaling_group_id: {get_resource: group}
    resource:
      type: OS::Cinder::VolumeAttachment
      properties: {instance_uuid: '%active%', volume_id: v2}
"""


def test_of_two_actives_one_is_handed_over_before_it_goes(engine, cloud):
    stack = engine.create(volumes.with_failover(adjusts('exact_capacity', 1), more=SECOND_POLICY))
    other = names(engine, stack)[1]
    engine.signal(stack, 'second', {'action': 'switchover', 'member': other})
    assert volumes.active(engine, stack, 'second').member == other

    engine.signal(stack, 'policy')

    (left,) = servers(engine, stack).values()
    assert cloud.holder('v1') == cloud.holder('v2') == left[0]
    assert not cloud.cut_off


GOES_THROUGH = """
adjustment_type: replace_oldest
auto_scaling_policy_id: {{get_resource: failover}}
scaling_adjustment: {}
"""


@pytest.mark.parametrize('count', [1, 2])
def test_who_is_active_for_two_policies_is_handed_over_by_both_before_it_is_replaced(
    engine, cloud, count
):
    text = volumes.with_failover(GOES_THROUGH.format(count), more=SECOND_POLICY, size=4, most=6)
    stack = engine.create(text)
    first = names(engine, stack)[0]
    assert volumes.active(engine, stack) == volumes.active(engine, stack, 'second')

    engine.signal(stack, 'policy', {'member': first})

    left = servers(engine, stack)
    assert first not in left and len(left) == 4 and not cloud.cut_off
    for policy, volume in (('failover', 'v1'), ('second', 'v2')):
        active = volumes.active(engine, stack, policy)
        assert active.member in left and cloud.holder(volume) == active.server


# --- an update of the group --------------------------------------------------------------------

ROLLING = 'rolling_updates: {{min_in_service: {}, max_batch_size: {}}}\n'


def pinned(image, **changes):
    """A group whose servers are made of an image; another one takes other servers."""
    member = f'OS::Nova::Server, properties: {{image: {image}}}'
    return volumes.with_failover(member=member, **changes)


@pytest.mark.parametrize('left', [1, 2])
def test_an_update_to_fewer_members_spares_the_active(engine, cloud, left):
    stack = engine.create(volumes.with_failover())
    before = volumes.active(engine, stack)

    engine.update(stack, volumes.with_failover(size=left, most=left))

    assert len(names(engine, stack)) == left
    assert is_well(engine, cloud, stack) == before
    assert not cloud.cut_off
    in_order(engine, stack, left)


@pytest.mark.parametrize('least', [0, 1, 2])
@pytest.mark.parametrize('batch', [1, 2, 3])
@pytest.mark.parametrize('size', [2, 3])
def test_a_rolling_update_hands_over_before_it_replaces_the_active(
    engine, cloud, least, batch, size
):
    group = ROLLING.format(least, batch)
    stack = engine.create(pinned('old', group=group, size=size))
    before = servers(engine, stack)

    engine.update(stack, pinned('new', group=group, size=size))

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    after = servers(engine, stack)
    assert len(after) == size
    assert not {s for own in before.values() for s in own} & {
        s for own in after.values() for s in own
    }
    is_well(engine, cloud, stack)
    assert not cloud.cut_off
    assert any(
        text.startswith('Signal') or 'switchover from' in text
        for text in volumes.texts(engine, stack)
    )
    in_order(engine, stack, size)


@pytest.mark.parametrize(('least', 'batch'), [(0, 1), (0, 3), (1, 1), (2, 2)])
@pytest.mark.parametrize('size', [2, 3])
def test_a_rolling_update_that_failed_at_a_standby_goes_through_once_it_can(
    engine, cloud, least, batch, size
):
    group = ROLLING.format(least, batch)
    stack = engine.create(pinned('old', group=group, size=size))
    before = volumes.active(engine, stack)
    (engine.servers / 'no-valid-host').touch()
    engine.update(stack, pinned('new', group=group, size=size))
    assert engine.state(stack)[0] == 'UPDATE_FAILED'
    assert volumes.active(engine, stack) == before and not cloud.cut_off
    (engine.servers / 'no-valid-host').unlink()

    engine.update(stack, pinned('new', group=group, size=size))

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    assert is_well(engine, cloud, stack) != before and not cloud.cut_off
    in_order(engine, stack, size)


def test_a_member_that_a_failed_update_had_not_come_to_is_left_alone_by_what_comes_next(
    engine, cloud, monkeypatch
):
    check = check_resource.CheckResource.check

    def new_ones_only(self, context, resource_id, *args, **kwargs):
        row = resource_object.Resource.get_obj(context, resource_id)
        if row.stack_id != group['stack_id'] or not row.physical_resource_id:
            check(self, context, resource_id, *args, **kwargs)

    changes = {'group': ROLLING.format(2, 2), 'most': 5}
    changes['scaling_policy'] = GOES_THROUGH.format(1)
    stack = engine.create(pinned('old', **changes))
    before = servers(engine, stack)
    first = volumes.active(engine, stack).member
    (engine.servers / 'no-valid-host').touch()
    group = engine.nested(stack)
    with monkeypatch.context() as patched:
        patched.setattr(check_resource.CheckResource, 'check', new_ones_only)
        engine.update(stack, pinned('new', **changes))
    (engine.servers / 'no-valid-host').unlink()
    # Heat was to make a new member and to change an old one. It gave up at the new one.
    assert {n: s for n, s in servers(engine, stack).items() if n in before} == before

    engine.signal(stack, 'policy')

    after = servers(engine, stack)
    is_well(engine, cloud, stack)
    assert not cloud.cut_off
    gone = {name for name in before if after.get(name) != before[name]}
    assert gone == {first}, engine.events(stack, 'policy')


def test_an_update_to_fewer_members_with_a_new_definition_hands_over_in_between(engine, cloud):
    group = ROLLING.format(0, 4)
    stack = engine.create(pinned('old', group=group, size=4))
    before = volumes.active(engine, stack)

    engine.update(stack, pinned('new', group=group, size=2))

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    assert is_well(engine, cloud, stack) != before
    texts = volumes.texts(engine, stack)
    assert not any('no other member stays' in text for text in texts), texts
    in_order(engine, stack, 2)


def test_the_only_member_is_replaced_as_the_template_wishes_and_the_volume_follows(engine, cloud):
    stack = engine.create(pinned('old', size=1))
    before = volumes.active(engine, stack)

    engine.update(stack, pinned('new', size=1))

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    assert is_well(engine, cloud, stack).server != before.server
    texts = volumes.texts(engine, stack)
    assert any('no other member stays that could take over' in text for text in texts)


def test_the_only_member_hands_over_to_the_new_one_where_one_has_to_be_in_service(engine, cloud):
    group = ROLLING.format(1, 1)
    stack = engine.create(pinned('old', group=group, size=1, most=2))

    engine.update(stack, pinned('new', group=group, size=1, most=2))

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    is_well(engine, cloud, stack)
    assert not cloud.cut_off and len(names(engine, stack)) == 1


def test_a_change_that_no_guest_notices_moves_nothing(engine, cloud):
    def text(value):
        member = f'OS::Nova::Server, properties: {{image: i, metadata: {{a: {value}}}}}'
        return volumes.with_failover(member=member)

    stack = engine.create(text('x'))
    before = servers(engine, stack)
    active = volumes.active(engine, stack)
    engine.update(stack, text('y'))
    assert servers(engine, stack) == before
    assert is_well(engine, cloud, stack) == active and not cloud.requests[1:]


def test_an_update_stops_before_the_active_where_nobody_can_take_over(engine, cloud):
    stack = engine.create(pinned('old', size=2))
    before = volumes.active(engine, stack)
    engine.signal(stack, 'failover', {'action': 'pause'})

    engine.update(stack, pinned('new', size=2))

    state, reason = engine.state(stack)
    assert state == 'UPDATE_FAILED' and 'paused' in reason, reason
    assert servers(engine, stack)[before.member] == (before.server,)
    assert cloud.holder('v1') == before.server and not cloud.cut_off

    engine.signal(stack, 'failover', {'action': 'unpause'})
    engine.update(stack, pinned('new', size=2))
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    assert is_well(engine, cloud, stack) != before and not cloud.cut_off


@pytest.mark.parametrize('inner', [False, True])
def test_an_update_that_replaces_what_is_marked_unhealthy_hands_over_first(engine, cloud, inner):
    text = volumes.with_failover(member='member.yaml' if inner else 'OS::Nova::Server')
    stack = engine.create(text, files=NESTED)
    before = volumes.active(engine, stack)
    holder = engine.nested(stack)
    if inner:
        loaded = engine.stack({'stack_id': holder['stack_id']})
        holder = dict(loaded[before.member].nested_identifier())
    engine.mark_unhealthy(holder, 'server' if inner else before.member)

    engine.update(stack, text, files=NESTED)

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    assert servers(engine, stack)[before.member] != (before.server,), 'Heat has replaced it'
    assert is_well(engine, cloud, stack).member != before.member
    assert not cloud.cut_off


def test_a_group_does_not_grow_at_the_cost_of_an_active_that_nobody_can_take_over_from(
    engine, cloud
):
    stack = engine.create(volumes.with_failover(adjusts('change_in_capacity', 1), size=2))
    before = servers(engine, stack)
    first, second = before
    engine.mark_unhealthy(engine.nested(stack), first)
    cloud.shut_off |= set(before[second])

    engine.signal(stack, 'policy')

    assert servers(engine, stack) == before and not cloud.cut_off
    assert 'none of the members that stay can take over' in last_event(engine, stack)[1]


# --- an active that is gone all the same -------------------------------------------------------


@pytest.fixture
def unguarded():
    """Let groups be changed as by Heat's own type, until it is called."""
    undone = pytest.MonkeyPatch()
    undone.setattr(watched_group, 'watchers', lambda _group: [])
    yield undone.undo
    undone.undo()


@pytest.mark.parametrize('size', [1, 2])
def test_an_update_that_has_removed_the_active_brings_the_volume_to_the_next(
    engine, cloud, unguarded, size
):
    stack = engine.create(volumes.with_failover())
    first, second, third = names(engine, stack)

    engine.update(stack, volumes.with_failover(size=size, most=size))

    active = is_well(engine, cloud, stack)
    assert active.member == (third if size == 1 else second)
    told = f'{first}, the active, or its server is not in the group any more: '
    assert told + f'member {active.member} is the active now' in volumes.texts(engine, stack)


def test_an_update_that_has_given_every_member_another_server_brings_the_volume_there(
    engine, cloud, unguarded
):
    stack = engine.create(pinned('old'))
    before = volumes.active(engine, stack)
    engine.update(stack, pinned('new'))
    assert is_well(engine, cloud, stack).server != before.server
    assert any('is not in the group any more' in text for text in volumes.texts(engine, stack))


def test_an_alarm_after_the_active_was_removed_moves_the_volume_to_a_standby(
    engine, cloud, unguarded
):
    stack = engine.create(volumes.with_failover(adjusts('change_in_capacity', -1)))
    first, second, _third = names(engine, stack)
    engine.signal(stack, 'policy')
    assert first not in names(engine, stack) and cloud.holder('v1') is None

    engine.signal(stack, 'failover', {})

    assert is_well(engine, cloud, stack).member == second


def test_an_alarm_after_the_actives_server_was_deleted_moves_the_volume(engine, cloud):
    stack = engine.create(volumes.with_failover())
    _first, second, _third = names(engine, stack)
    (engine.servers / volumes.active(engine, stack).server).unlink()

    engine.signal(stack, 'failover', {})

    assert is_well(engine, cloud, stack).member == second


def test_a_parked_group_gets_an_active_by_a_signal_once_it_has_members(engine, cloud):
    more = """
grow:
  type: OS::Heat::ScalingPolicy
  properties:
    adjustment_type: change_in_capacity
    auto_scaling_group_id: {get_resource: group}
    scaling_adjustment: 2
"""
    text = volumes.with_failover(adjusts('exact_capacity', 0), more=more)
    stack = engine.create(text.replace('min_size: 1', 'min_size: 0'))
    engine.signal(stack, 'policy')
    engine.signal(stack, 'grow')
    assert len(names(engine, stack)) == 2 and cloud.holder('v1') is None

    engine.signal(stack, 'failover', {'action': 'failover'})

    is_well(engine, cloud, stack)
