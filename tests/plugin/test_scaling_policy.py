# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::ScalingPolicy in Heat's engine."""

import datetime
import itertools
import json
import os
import textwrap
from unittest import mock

import pytest

from heat_ha import exceptions
from heat_ha.groups import model

# Kill at every n-th write; 1 takes minutes.
KILL_EVERY = int(os.environ.get('HEAT_HA_KILL_EVERY', '6'))

# After how many waits of a replacement something else happens; on a slow machine there are about
# ten in all.
EARLY_AND_LATE = (1, 3, 6)

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine

MEMBER = """
heat_template_version: 2016-10-14
resources:
  server: {type: OS::Nova::Server}
  note: {type: OS::Heat::Value, properties: {value: 1}}
outputs:
  OS::stack_id: {value: {get_resource: server}}
"""


def template(policy='', group='', member='OS::Nova::Server', more='', size=3, most=4):
    """A group, a policy that replaces one member of it, and what a test changes in them."""
    text = f"""
heat_template_version: 2016-10-14
resources:
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 1
      desired_capacity: {size}
      max_size: {most}
      resource: {{type: {member}}}
{textwrap.indent(textwrap.dedent(group), '      ')}
  policy:
    type: OS::Heat::ScalingPolicy
    properties:
{textwrap.indent(textwrap.dedent(policy or REPLACES), '      ')}
{textwrap.indent(textwrap.dedent(more), '  ')}
outputs:
  refs: {{value: {{get_attr: [group, refs]}}}}
"""
    return text


REPLACES = """
adjustment_type: replace_oldest
auto_scaling_group_id: {get_resource: group}
scaling_adjustment: 1
"""
DELETES_FIRST = REPLACES + 'replacement_order: delete_first\n'
ADDS = """
adjustment_type: change_in_capacity
auto_scaling_group_id: {get_resource: group}
scaling_adjustment: 1
"""
NESTED = {'member.yaml': MEMBER}


def names(engine, stack):
    return [m.name for m in engine.members(stack).members]


def servers(engine, stack):
    return {m.name: m.servers for m in engine.members(stack).members}


def last_event(engine, stack, resource='policy'):
    return engine.events(stack, resource)[-1]


def in_order(engine, stack, size=3):
    """Check what holds whenever no replacement is at work."""
    seen = engine.members(stack)
    assert len(seen.members) == size, seen
    assert not seen.leaving and not seen.is_in_progress, seen
    held = {s for m in seen.members for s in m.servers}
    assert engine.servers_there() == held, 'a server is left over'
    loaded = engine.stack(stack)
    group = loaded['group']
    assert not (group.metadata_get() or {}).get('scaling_in_progress')
    assert 'ha_replacement' not in group.data()
    assert engine.state(stack)[0].endswith('_COMPLETE')
    return seen


def unchanged(engine, stack, before):
    assert servers(engine, stack) == before
    in_order(engine, stack, len(before))


# --- what is replaced --------------------------------------------------------------------------


@pytest.mark.parametrize('order', ['create_first', 'delete_first'])
@pytest.mark.parametrize('size', [1, 3])
def test_the_oldest_member_is_replaced_and_the_others_stay(engine, order, size):
    policy = REPLACES + f'replacement_order: {order}\n'
    stack = engine.create(template(policy, size=size))
    before = servers(engine, stack)
    oldest = names(engine, stack)[0]

    engine.signal(stack, 'policy')

    after = servers(engine, stack)
    in_order(engine, stack, size)
    assert oldest not in after
    assert {n: s for n, s in before.items() if n != oldest}.items() <= after.items()
    assert not engine.errors
    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_COMPLETE' and f'replaced {oldest} by' in reason
    assert engine.most_servers == size + (order == 'create_first')


def test_each_step_is_an_event_with_its_reason(engine):
    stack = engine.create(template())
    before = names(engine, stack)
    oldest = before[0]

    engine.signal(stack, 'policy')

    (new,) = set(names(engine, stack)) - set(before)
    reasons = [r for s, r in engine.events(stack, 'policy') if s == 'SIGNAL_IN_PROGRESS']
    assert reasons[0] == f'replacing member {oldest} (oldest) by {new}'
    assert any(r.startswith(f'new member {new} is complete after ') for r in reasons)
    assert any(r.startswith(f'member {oldest} is gone after ') for r in reasons)


def test_no_name_ever_comes_back(engine):
    stack = engine.create(template())
    ever = set(names(engine, stack))
    for _ in range(4):
        engine.signal(stack, 'policy')
        new = set(names(engine, stack)) - ever
        assert len(new) == 1
        ever |= new
    in_order(engine, stack)


def test_a_member_with_a_template_of_its_own_is_replaced_as_a_whole(engine):
    stack = engine.create(template(member='member.yaml'), files=NESTED)
    before = servers(engine, stack)
    assert all(len(s) == 1 for s in before.values())

    engine.signal(stack, 'policy')

    after = servers(engine, stack)
    assert len(before.items() & after.items()) == 2
    in_order(engine, stack)


@pytest.mark.parametrize('how', ['member', 'server', 'reference', 'event'])
def test_the_member_that_the_signal_names_is_replaced(engine, how):
    stack = engine.create(template(member='member.yaml'), files=NESTED)
    chosen = engine.members(stack).members[1]
    details = {
        'member': {'action': 'replace', 'member': chosen.name},
        'server': {'member': chosen.servers[0]},
        'reference': {'member': chosen.reference},
        'event': {
            'alarm_name': 'sick',
            'alarm_id': 'a',
            'current': 'alarm',
            'previous': 'ok',
            'reason': 'r',
            'reason_data': {
                'type': 'event',
                'event': {'traits': [['instance_id', 1, chosen.servers[0]]]},
            },
        },
    }[how]

    engine.signal(stack, 'policy', details)

    after = names(engine, stack)
    assert chosen.name not in after and len(after) == 3
    assert 'named by the signal' in str(engine.events(stack, 'policy'))
    in_order(engine, stack)


def test_an_unhealthy_member_goes_before_older_ones_and_others_are_not_touched(engine):
    stack = engine.create(template())
    first, second, third = names(engine, stack)
    before = servers(engine, stack)
    engine.mark_unhealthy(engine.nested(stack), second)

    engine.signal(stack, 'policy')

    after = servers(engine, stack)
    assert second not in after
    assert after[first] == before[first] and after[third] == before[third]
    assert f'{second} (failed)' in str(engine.events(stack, 'policy'))
    in_order(engine, stack)


@pytest.mark.parametrize('order', ['create_first', 'delete_first'])
def test_another_unhealthy_member_keeps_its_server_and_its_mark(engine, order):
    stack = engine.create(
        template(REPLACES + f'replacement_order: {order}\n', member='member.yaml'), files=NESTED
    )
    first, second, third = engine.members(stack).members
    engine.mark_unhealthy(engine.nested(stack), second.name, 'a person marked it')
    inner = dict(engine.nested(stack))
    inner = next(
        r['stack_identity']
        for r in engine.call('list_stack_resources', inner, nested_depth=2)
        if r['physical_resource_id'] == third.servers[0]
    )
    engine.mark_unhealthy(inner, 'server', 'the agent marked it')

    engine.signal(stack, 'policy', {'member': first.name})

    seen = in_order(engine, stack)
    after = {m.name: m for m in seen.members}
    assert first.name not in after
    for old, reason in ((second, 'a person marked it'), (third, 'the agent marked it')):
        new = after[old.name]
        assert new.servers == old.servers
        assert new.is_failed and new.reason == reason


def test_n_members_are_replaced_where_the_adjustment_is_n(engine):
    stack = engine.create(
        template(REPLACES.replace('adjustment: 1', 'adjustment: 2'), member='member.yaml'),
        files=NESTED,
    )
    last = names(engine, stack)[-1]

    engine.signal(stack, 'policy')

    assert last in names(engine, stack)
    in_order(engine, stack)
    assert engine.most_servers == 4


def test_batches_keep_to_the_groups_bounds(engine):
    stack = engine.create(
        template(
            REPLACES.replace('adjustment: 1', 'adjustment: 3'),
            group='rolling_updates: {max_batch_size: 2, pause_time: 40}',
        )
    )
    before = set(names(engine, stack))

    engine.signal(stack, 'policy')

    assert not before & set(names(engine, stack))
    in_order(engine, stack)
    assert engine.most_servers == 5
    assert engine.slept >= 40
    assert 'pausing for 40 s' in str(engine.events(stack, 'policy'))


def test_delete_first_leaves_min_in_service(engine):
    policy = DELETES_FIRST.replace('adjustment: 1', 'adjustment: 3')
    stack = engine.create(
        template(policy, group='rolling_updates: {max_batch_size: 3, min_in_service: 2}')
    )
    before = set(names(engine, stack))

    engine.signal(stack, 'policy')

    assert not before & set(names(engine, stack))
    in_order(engine, stack)
    assert engine.most_servers == 3 and engine.fewest_servers(after=3) == 2


def test_the_new_member_is_in_the_groups_attributes_at_once(engine):
    stack = engine.create(template())

    engine.signal(stack, 'policy')

    loaded = engine.stack(stack)
    assert set(loaded['group'].FnGetAtt('refs')) == engine.servers_there()
    assert loaded['group'].FnGetAtt('current_size') == 3


def test_a_group_that_heat_holds_for_failed_is_mended_all_the_same(engine):
    stack = engine.create(template())
    oldest = names(engine, stack)[0]
    loaded = engine.stack(stack)
    group = loaded['group']
    group.state_set('CHECK', 'FAILED', 'sick')

    engine.signal(stack, 'policy')

    assert oldest not in names(engine, stack)
    in_order(engine, stack)


# --- what is not -------------------------------------------------------------------------------


@pytest.mark.parametrize('state', ['ok', 'insufficient data', 'OK'])
def test_an_alarm_that_is_none_replaces_nothing_and_says_nothing(engine, state):
    stack = engine.create(template())
    before = servers(engine, stack)
    events = engine.events(stack, 'policy')

    engine.signal(stack, 'policy', {'current': state, 'previous': 'alarm', 'reason': 'r'})

    unchanged(engine, stack, before)
    assert engine.events(stack, 'policy') == events


BAD_BODIES = {
    'text': 'no JSON',
    'a list': ['replace'],
    'a number': 7,
    'another action': {'action': 'explode'},
    'an action of the FailoverPolicy': {'action': 'switchover'},
    'a foreign server': {'member': '11111111-2222-4333-8444-555555555555'},
    'a foreign server in an event': {
        'reason_data': {'event': {'traits': [['instance_id', 1, 'somebody-elses']]}}
    },
    'an unknown key': {'action': 'replace', 'force': True},
    'a member of a wrong type': {'member': ['a', 'b']},
    'an unknown state': {'current': 'burning'},
    'a megabyte': {'reason': 'x' * 1_000_000},
    'a long name': {'member': 'x' * 1000},
}


@pytest.mark.parametrize('kind', BAD_BODIES)
def test_a_bad_signal_is_refused_with_an_event_and_changes_nothing(engine, kind):
    stack = engine.create(template(size=2))
    before = servers(engine, stack)

    engine.signal(stack, 'policy', BAD_BODIES[kind])

    unchanged(engine, stack, before)
    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_FAILED' and 10 < len(reason) < 400
    assert not engine.errors


def test_a_text_is_refused_by_heats_own_adjustments_too(engine):
    stack = engine.create(template(ADDS, size=2))
    before = servers(engine, stack)

    engine.signal(stack, 'policy', 'no JSON')

    unchanged(engine, stack, before)
    assert last_event(engine, stack)[0] == 'SIGNAL_FAILED'


def test_more_members_than_there_are_is_refused(engine):
    stack = engine.create(template(REPLACES.replace('adjustment: 1', 'adjustment: 4')))
    before = servers(engine, stack)

    engine.signal(stack, 'policy')

    unchanged(engine, stack, before)
    assert 'scaling_adjustment' in last_event(engine, stack)[1]


def test_the_cooldown_holds(engine):
    stack = engine.create(template(REPLACES + 'cooldown: 300\n'))
    engine.signal(stack, 'policy')
    before = servers(engine, stack)

    engine.signal(stack, 'policy')

    unchanged(engine, stack, before)
    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_FAILED' and 'cooldown until' in reason


def test_a_replacement_begins_heats_own_cooldown(engine):
    more = f"""
    adds:
      type: OS::Heat::ScalingPolicy
      properties:
        {textwrap.indent(ADDS, '        ').strip()}
        cooldown: 300
    """
    stack = engine.create(template(REPLACES + 'cooldown: 300\n', more=more))
    engine.signal(stack, 'policy')
    before = servers(engine, stack)

    engine.signal(stack, 'adds')

    unchanged(engine, stack, before)


def test_a_group_that_is_being_updated_is_left_alone(engine):
    stack = engine.create(template())
    before = servers(engine, stack)
    loaded = engine.stack(stack)
    group = loaded['group']
    group.state_set('UPDATE', 'IN_PROGRESS')

    engine.signal(stack, 'policy')

    assert servers(engine, stack) == before
    assert 'UPDATE_IN_PROGRESS' in last_event(engine, stack)[1]


def test_a_nested_stack_that_somebody_changes_is_left_alone_until_its_timeout(engine):
    stack = engine.create(template())
    before = servers(engine, stack)
    nested = engine.nested(stack)
    engine.set_status(nested, 'IN_PROGRESS')
    engine.age(nested, datetime.timedelta(0))

    engine.signal(stack, 'policy')

    assert servers(engine, stack) == before
    assert 'is being changed' in last_event(engine, stack)[1]
    engine.age(nested, datetime.timedelta(hours=2))
    engine.signal(stack, 'policy')
    assert servers(engine, stack) != before
    in_order(engine, stack)


def test_min_in_service_that_leaves_no_room_is_refused(engine):
    stack = engine.create(template(DELETES_FIRST, group='rolling_updates: {min_in_service: 3}'))
    before = servers(engine, stack)

    engine.signal(stack, 'policy')

    unchanged(engine, stack, before)
    assert 'min_in_service' in last_event(engine, stack)[1]


# --- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize('member', ['OS::Nova::Server', 'member.yaml'])
@pytest.mark.parametrize('is_marked', [False, True])
def test_the_old_member_stays_where_the_new_one_fails(engine, member, is_marked):
    stack = engine.create(template(member=member), files=NESTED)
    before = servers(engine, stack)
    oldest = names(engine, stack)[0]
    if is_marked:
        engine.mark_unhealthy(engine.nested(stack), oldest, 'sick')
    (engine.servers / 'no-valid-host').touch()

    engine.signal(stack, 'policy')

    assert servers(engine, stack) == before
    assert engine.servers_there() == {s for ids in before.values() for s in ids}
    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_FAILED'
    assert f'member {oldest} is still there' in reason and 'No valid host' in reason
    seen = {m.name: m for m in engine.members(stack).members}
    assert seen[oldest].is_failed == is_marked

    (engine.servers / 'no-valid-host').unlink()
    engine.signal(stack, 'policy')
    assert oldest not in names(engine, stack)
    in_order(engine, stack)


def test_a_replacement_that_failed_begins_no_cooldown(engine):
    stack = engine.create(template(REPLACES + 'cooldown: 300\n'))
    before = servers(engine, stack)
    (engine.servers / 'no-valid-host').touch()
    engine.signal(stack, 'policy')
    assert servers(engine, stack) == before
    (engine.servers / 'no-valid-host').unlink()

    engine.signal(stack, 'policy')

    assert servers(engine, stack) != before
    in_order(engine, stack)


def test_with_delete_first_the_next_signal_replaces_what_failed(engine):
    stack = engine.create(template(DELETES_FIRST))
    second, third = names(engine, stack)[1:]
    (engine.servers / 'no-valid-host').touch()

    engine.signal(stack, 'policy')

    assert last_event(engine, stack)[0] == 'SIGNAL_FAILED'
    assert len(names(engine, stack)) == 3
    (engine.servers / 'no-valid-host').unlink()
    engine.signal(stack, 'policy')
    assert {second, third} < set(names(engine, stack))
    in_order(engine, stack)


def test_what_cannot_be_deleted_is_deleted_by_the_next_signal(engine):
    stack = engine.create(template())
    oldest = engine.members(stack).members[0]
    stuck = engine.servers / f'stuck-{oldest.servers[0]}'
    stuck.touch()

    engine.signal(stack, 'policy')

    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_FAILED' and f'{oldest.name} could not be removed' in reason
    assert oldest.servers[0] in engine.servers_there()
    stuck.unlink()
    engine.signal(stack, 'policy')
    assert oldest.name not in names(engine, stack)
    in_order(engine, stack)


@pytest.mark.parametrize('member', ['OS::Nova::Server', 'member.yaml'])
def test_a_member_that_never_came_up_is_replaced_and_no_other(engine, member):
    more = f"""
    adds:
      type: OS::Heat::ScalingPolicy
      properties:
        {textwrap.indent(ADDS, '        ').strip()}
    """
    stack = engine.create(template(member=member, more=more), files=NESTED)
    before = servers(engine, stack)
    (engine.servers / 'no-valid-host').touch()
    engine.signal(stack, 'adds')
    (engine.servers / 'no-valid-host').unlink()
    (failed,) = (m.name for m in engine.members(stack).members if m.is_failed)
    assert len(names(engine, stack)) == 4
    engine.errors.clear()

    engine.signal(stack, 'policy')

    after = servers(engine, stack)
    assert failed not in after and before.items() <= after.items()
    in_order(engine, stack, 4)
    assert not engine.errors


def test_a_stack_may_be_deleted_in_the_middle_of_a_replacement(engine):
    for after in EARLY_AND_LATE:
        stack = engine.create(template(), name=f'stack{after}')
        left = [after]

        def delete(left=left, stack=stack):
            left[0] -= 1
            if left[0] == 0:
                engine.call('delete_stack', stack)

        engine.before_sleep = delete
        engine.signal(stack, 'policy')
        engine.before_sleep = None

        assert not engine.servers_there()
        assert engine.is_gone(stack)
        assert not engine.errors
        if after == EARLY_AND_LATE[0]:
            # Nothing that was not done is told as done.
            assert 'SIGNAL_COMPLETE' not in str(engine.events(stack, 'policy'))


def test_a_stack_may_be_updated_in_the_middle_of_a_replacement(engine):
    for after in EARLY_AND_LATE:
        stack = engine.create(template(), name=f'stack{after}')
        others = engine.servers_there() - {s for m in servers(engine, stack).values() for s in m}
        left = [after]

        def update(left=left, stack=stack):
            left[0] -= 1
            if left[0] == 0:
                engine.begin_update(stack, template(size=3))

        engine.before_sleep = update
        engine.signal(stack, 'policy')
        engine.before_sleep = None
        engine.signal(stack, 'policy')

        held = {s for ids in servers(engine, stack).values() for s in ids}
        assert len(held) == 3, (after, engine.events(stack, 'policy'))
        assert engine.servers_there() - others == held


# --- a look at the members ---------------------------------------------------------------------


def test_members_are_listed_again_only_when_heat_did_anything_to_them(engine, heat):
    def look(known=None):
        loaded = engine.stack(stack)
        group = loaded['group']
        servers = {m.name: m.servers[0] for m in known.members} if known else {}
        listed = []
        rows = heat.heat_group._rows
        with mock.patch.object(heat.heat_group, '_rows', lambda g: listed.append(g) or rows(g)):
            return heat.heat_group.look(group, servers, known.rows if known else ''), bool(listed)

    stack = engine.create(template())
    first, is_listed = look()
    assert is_listed and first.rows
    again, is_listed = look(first)
    assert not is_listed
    assert [(m.name, m.servers, m.reference) for m in again.members] == [
        (m.name, m.servers, m.reference) for m in first.members
    ]
    assert again.rows == first.rows and all(m.is_in_service for m in again.members)

    victim = first.members[0].name
    loaded = engine.stack(stack)
    heat.heat_group.mark_unhealthy(loaded['group'], victim, 'the test says so')
    marked, is_listed = look(first)
    assert is_listed and marked.member(victim).is_failed and not marked.rows
    engine.signal(stack, 'policy')
    after, is_listed = look(first)
    assert is_listed and victim not in {m.name for m in after.members} and after.rows


# --- an engine dies ----------------------------------------------------------------------------


@pytest.mark.parametrize('order', ['create_first', 'delete_first'])
def test_an_engine_may_die_before_any_write_and_the_next_signal_ends_it(heat, tmp_path, order):
    policy = REPLACES + f'replacement_order: {order}\n'
    died = 0
    for before_commit in itertools.count(1, KILL_EVERY):
        heat.forget_stacks()
        folder = tmp_path / str(before_commit)
        folder.mkdir()
        with heat.Engine(folder).in_place() as engine:
            stack = engine.create(template(policy))
            before = servers(engine, stack)
            oldest = names(engine, stack)[0]
            is_dead = engine.dies(before_commit, engine.signal, stack, 'policy')
            if not is_dead:
                break
            died += 1
            has_begun = bool(engine.stack(stack)['group'].data().get('ha_replacement'))

            engine.signal(stack, 'policy')

            seen = in_order(engine, stack)
            after = {m.name: m.servers for m in seen.members}
            kept = before.keys() & after.keys()
            assert oldest not in after, before_commit
            assert len(kept) == 2 or not has_begun, (before_commit, before, after)
            assert all(before[n] == after[n] for n in kept)
            assert last_event(engine, stack)[0] == 'SIGNAL_COMPLETE'
    assert died > 60 / KILL_EVERY


@pytest.mark.parametrize('order', ['create_first', 'delete_first'])
def test_a_server_whose_engine_died_before_its_id_was_on_record_is_not_left_over(
    engine, heat, order
):
    stack = engine.create(template(REPLACES + f'replacement_order: {order}\n'))
    with mock.patch.object(heat.Server, 'resource_id_set', side_effect=lambda _: os._exit(9)):
        assert engine.dies(1_000_000, engine.signal, stack, 'policy')

    engine.signal(stack, 'policy')

    in_order(engine, stack)


def test_the_mark_of_a_living_engine_is_respected(engine, heat):
    stack = engine.create(template())
    before = servers(engine, stack)
    held = model.Mark('engine-2', '2026-01-01T00:00:00+00:00', 'other', 'id')
    loaded = engine.stack(stack)
    heat.group_record.take(loaded['group'], held, None, None)

    engine.signal(stack, 'policy')

    assert servers(engine, stack) == before
    assert 'other changes it since' in last_event(engine, stack)[1]
    engine.dead.add('engine-2')
    engine.signal(stack, 'policy')
    assert servers(engine, stack) != before
    in_order(engine, stack)


@pytest.mark.parametrize('policy', [REPLACES, ADDS])
def test_a_mark_of_heats_own_that_nobody_stands_behind_is_taken_back(engine, policy):
    stack = engine.create(template(policy))
    before = servers(engine, stack)
    loaded = engine.stack(stack)
    group = loaded['group']
    metadata = dict(group.metadata_get())
    group.metadata_set({**metadata, 'scaling_in_progress': True})
    engine.age(engine.nested(stack), datetime.timedelta(hours=1))

    engine.signal(stack, 'policy')

    assert servers(engine, stack) != before
    in_order(engine, stack, 3 if policy == REPLACES else 4)
    assert engine.slept >= 60


def test_an_engine_that_dies_in_heats_own_scaling_is_noticed_at_once(heat, tmp_path):
    for before_commit in range(8, 40, 8):
        heat.forget_stacks()
        folder = tmp_path / str(before_commit)
        folder.mkdir()
        with heat.Engine(folder).in_place() as engine:
            stack = engine.create(template(ADDS, most=9))
            assert engine.dies(before_commit, engine.signal, stack, 'policy')
            slept = engine.slept

            engine.signal(stack, 'policy')

            assert last_event(engine, stack)[0] == 'SIGNAL_COMPLETE'
            assert engine.slept - slept < 60
            assert len(names(engine, stack)) in (4, 5)


def test_an_engine_whose_work_was_taken_over_leaves_off(engine, heat):
    stack = engine.create(template())
    begun = []

    def taken_over(*_args):
        # Another engine takes this one for dead in the middle of the work.
        if not begun:
            begun.append(True)
            loaded = engine.stack(stack)
            group = loaded['group']
            wanted = heat.group_record.read_replacement(group)
            heat.group_record.write_replacement(
                group, heat.dataclasses.replace(wanted, id='theirs', engine='engine-2')
            )

    engine.before_sleep = taken_over
    engine.signal(stack, 'policy')

    loaded = engine.stack(stack)
    assert heat.group_record.read_replacement(loaded['group']).id == 'theirs'
    assert "another engine's now" in last_event(engine, stack)[1]


# --- through a FailoverPolicy ------------------------------------------------------------------


def test_a_chained_policy_gets_the_signal_and_what_is_to_be_replaced(engine, heat):
    chained = """
    adjustment_type: replace_oldest
    auto_scaling_policy_id: {get_resource: failover}
    scaling_adjustment: 2
    replacement_order: delete_first
    cooldown: 7
    """
    more = """
    failover: {type: Test::FailOver}
    """
    stack = engine.create(template(chained, more=more))

    engine.signal(stack, 'policy', {'action': 'replace', 'member': 'whoever'})

    (asked,) = heat.FailOver.asked
    signal, wanted = asked
    assert (signal.action, signal.member) == (None, 'whoever')
    assert wanted == model.Chained('policy', 2, model.Order.DELETE_FIRST, 7)
    assert last_event(engine, stack) == ('SIGNAL_COMPLETE', 'Signal: failed over')


# --- what the FailoverPolicy calls -------------------------------------------------------------


def test_replace_may_be_called_again_with_the_same_arguments(engine, heat):
    stack = engine.create(template())
    oldest, spare, other = names(engine, stack)
    arguments = {
        'requested_by': 'failover',
        'order': model.Order.CREATE_FIRST,
        'named': (oldest,),
        'spare': (spare,),
        'new_names': ('fresh',),
        'respect_cooldown': False,
    }
    for _ in range(2):
        loaded = engine.stack(stack)
        outcome = heat.replacing.replace(loaded['group'], **arguments)
        assert (outcome.replaced, outcome.new) == ((oldest,), ('fresh',))
        assert set(names(engine, stack)) == {spare, other, 'fresh'}
    in_order(engine, stack)


def test_a_member_that_was_added_beforehand_takes_the_place(engine, heat):
    stack = engine.create(template(size=1))
    (old,) = names(engine, stack)
    for _ in range(2):
        loaded = engine.stack(stack)
        assert heat.replacing.add_member(loaded['group'], requested_by='f', name='x') == 'x'
        assert set(names(engine, stack)) == {old, 'x'}
    loaded = engine.stack(stack)
    outcome = heat.replacing.replace(
        loaded['group'],
        requested_by='f',
        order=model.Order.CREATE_FIRST,
        named=(old,),
        spare=('x',),
        new_names=('x',),
    )
    assert outcome.new == ('x',)
    in_order(engine, stack, 1)


def test_an_added_member_that_fails_goes_again(engine, heat):
    stack = engine.create(template(size=1))
    before = servers(engine, stack)
    (engine.servers / 'no-valid-host').touch()
    loaded = engine.stack(stack)
    with pytest.raises(exceptions.Stopped, match='No valid host'):
        heat.replacing.add_member(loaded['group'], requested_by='f', name='x')
    (engine.servers / 'no-valid-host').unlink()
    assert servers(engine, stack) == before
    in_order(engine, stack, 1)


# --- validation --------------------------------------------------------------------------------

FAILOVER = 'failover: {type: Test::FailOver}'
BAD_PROPERTIES = {
    'neither': ('adjustment_type: replace_oldest\nscaling_adjustment: 1', '', 'auto_scaling'),
    'both': (REPLACES + 'auto_scaling_policy_id: {get_resource: failover}', FAILOVER, 'same time'),
    'no group': (
        REPLACES.replace('resource: group', 'resource: note'),
        'note: {type: OS::Heat::Value, properties: {value: 1}}',
        'no OS::Heat::AutoScalingGroup',
    ),
    'no policy': (
        REPLACES.replace('auto_scaling_group_id', 'auto_scaling_policy_id'),
        '',
        'no OS::Heat::FailoverPolicy',
    ),
    'a ScalingPolicy': (
        REPLACES.replace('group_id: {get_resource: group', 'policy_id: {get_resource: other'),
        'other:\n  type: OS::Heat::ScalingPolicy\n  properties:\n' + textwrap.indent(ADDS, '    '),
        'no OS::Heat::FailoverPolicy',
    ),
    'itself': (
        REPLACES.replace('group_id: {get_resource: group}', 'policy_id: policy'),
        '',
        'policy -> policy',
    ),
    'a chain with another adjustment': (
        ADDS.replace('group_id: {get_resource: group', 'policy_id: {get_resource: failover'),
        FAILOVER,
        'replace_oldest',
    ),
    'zero': (REPLACES.replace('adjustment: 1', 'adjustment: 0'), '', 'whole number'),
    'negative': (REPLACES.replace('adjustment: 1', 'adjustment: -1'), '', 'whole number'),
    'a fraction': (REPLACES.replace('adjustment: 1', 'adjustment: 1.5'), '', 'whole number'),
    'more than the most': (REPLACES.replace('adjustment: 1', 'adjustment: 5'), '', 'at most 4'),
    'a step': (REPLACES + 'min_adjustment_step: 1', '', 'percent_change_in_capacity'),
    'another order': (REPLACES + 'replacement_order: sideways', '', 'create_first'),
    'another type': (REPLACES.replace('replace_oldest', 'replace_eldest'), '', 'replace_oldest'),
}


@pytest.mark.parametrize('kind', BAD_PROPERTIES)
def test_bad_properties_are_an_error_of_validation(engine, kind):
    policy, more, what = BAD_PROPERTIES[kind]
    assert what in engine.refusal(template(policy, more=more))


def test_two_policies_in_a_loop_are_named(engine):
    policy = REPLACES.replace('group_id: {get_resource: group}', 'policy_id: other')
    more = 'other:\n  type: OS::Heat::ScalingPolicy\n  properties:\n' + textwrap.indent(
        policy.replace('other', 'policy'), '    '
    )
    refusal = engine.refusal(template(policy, more=more))
    assert ' -> other -> policy' in refusal or ' -> policy -> other' in refusal


def test_the_type_is_heats_with_additions(heat):
    ours = heat.resources.global_env().registry.get_class('OS::Heat::ScalingPolicy')
    heats = heat.scaling_policy.AutoScalingPolicy
    assert ours is not heats and issubclass(ours, heats)
    assert set(ours.properties_schema) - set(heats.properties_schema) == {
        'auto_scaling_policy_id',
        'replacement_order',
    }
    assert ours.attributes_schema == heats.attributes_schema
    for name, theirs in heats.properties_schema.items():
        schema = ours.properties_schema[name]
        assert (schema.type, schema.default, schema.update_allowed) == (
            theirs.type,
            theirs.default,
            theirs.update_allowed,
        )
        assert schema.required == (theirs.required and name != 'auto_scaling_group_id')
        assert schema.description().endswith('.') if callable(schema.description) else True


def test_properties_change_in_place(engine):
    stack = engine.create(template())
    loaded = engine.stack(stack)
    url = loaded['policy'].resource_id

    engine.update(stack, template(DELETES_FIRST + 'cooldown: 5\n'))

    loaded = engine.stack(stack)
    assert loaded['policy'].resource_id == url
    engine.signal(stack, 'policy')
    assert engine.most_servers == 3


@pytest.mark.parametrize(
    ('adjustment', 'size'),
    [
        ('change_in_capacity\nscaling_adjustment: 1', 4),
        ('change_in_capacity\nscaling_adjustment: -2', 1),
        ('exact_capacity\nscaling_adjustment: 2', 2),
        ('percent_change_in_capacity\nscaling_adjustment: -34\nmin_adjustment_step: 2', 1),
    ],
)
@pytest.mark.parametrize('details', [None, {'current': 'ok'}, {'action': 'whatever', 'x': 1}])
def test_heats_own_adjustments_do_what_they_did(engine, adjustment, size, details):
    policy = f'adjustment_type: {adjustment}\nauto_scaling_group_id: {{get_resource: group}}\n'
    stack = engine.create(template(policy))

    engine.signal(stack, 'policy', details)

    in_order(engine, stack, size)
    assert last_event(engine, stack)[0] == 'SIGNAL_COMPLETE'
    json.dumps(engine.events(stack, 'policy'))
