# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::ScalingPolicy in Heat's engine: what replace_oldest replaces, and for whom."""

from unittest import mock

import pytest

from heat_ha import exceptions
from heat_ha.groups import model, replacing
from heat_ha.groups.adapters import failure_masks, resource_rows
from heat_ha.groups.adapters import members as group_members
from tests.plugin import stand_ins
from tests.plugin.scaling import (
    DELETES_FIRST,
    NESTED,
    REPLACES,
    in_order,
    last_event,
    names,
    servers,
    template,
)

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine


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


# --- a look at the members ---------------------------------------------------------------------


def test_members_are_listed_again_only_when_heat_did_anything_to_them(engine):
    def look(known=None):
        loaded = engine.stack(stack)
        group = loaded['group']
        servers = {m.name: m.servers[0] for m in known.members} if known else {}
        listed = []
        rows = resource_rows.of_group
        with mock.patch.object(resource_rows, 'of_group', lambda g: listed.append(g) or rows(g)):
            return group_members.look(group, servers, known.rows if known else ''), bool(listed)

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
    failure_masks.mark_unhealthy(loaded['group'], victim, 'the test says so')
    marked, is_listed = look(first)
    assert is_listed and marked.member(victim).is_failed and not marked.rows
    engine.signal(stack, 'policy')
    after, is_listed = look(first)
    assert is_listed and victim not in {m.name for m in after.members} and after.rows


# --- through a FailoverPolicy ------------------------------------------------------------------


def test_a_chained_policy_gets_the_signal_and_what_is_to_be_replaced(engine):
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

    (asked,) = stand_ins.FailOver.asked
    signal, wanted = asked
    assert (signal.action, signal.member) == (None, 'whoever')
    assert wanted == model.Chained('policy', 2, model.Order.DELETE_FIRST, 7)
    assert last_event(engine, stack) == ('SIGNAL_COMPLETE', 'Signal: failed over')


# --- what the FailoverPolicy calls -------------------------------------------------------------


def test_replace_may_be_called_again_with_the_same_arguments(engine):
    stack = engine.create(template())
    oldest, keep, other = names(engine, stack)
    arguments = {
        'requested_by': 'failover',
        'order': model.Order.CREATE_FIRST,
        'named': (oldest,),
        'keep': (keep,),
        'new_names': ('fresh',),
        'respect_cooldown': False,
    }
    for _ in range(2):
        loaded = engine.stack(stack)
        outcome = replacing.replace(loaded['group'], **arguments)
        assert (outcome.replaced, outcome.new) == ((oldest,), ('fresh',))
        assert set(names(engine, stack)) == {keep, other, 'fresh'}
    in_order(engine, stack)


def test_a_member_that_was_added_beforehand_takes_the_place(engine):
    stack = engine.create(template(size=1))
    (old,) = names(engine, stack)
    for _ in range(2):
        loaded = engine.stack(stack)
        assert replacing.add_member(loaded['group'], requested_by='f', name='x') == 'x'
        assert set(names(engine, stack)) == {old, 'x'}
    loaded = engine.stack(stack)
    outcome = replacing.replace(
        loaded['group'],
        requested_by='f',
        order=model.Order.CREATE_FIRST,
        named=(old,),
        keep=('x',),
        new_names=('x',),
    )
    assert outcome.new == ('x',)
    in_order(engine, stack, 1)


def test_an_added_member_that_fails_goes_again(engine):
    stack = engine.create(template(size=1))
    before = servers(engine, stack)
    (engine.servers / 'no-valid-host').touch()
    loaded = engine.stack(stack)
    with pytest.raises(exceptions.Stopped, match='No valid host'):
        replacing.add_member(loaded['group'], requested_by='f', name='x')
    (engine.servers / 'no-valid-host').unlink()
    assert servers(engine, stack) == before
    in_order(engine, stack, 1)
