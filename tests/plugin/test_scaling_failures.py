# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::ScalingPolicy in Heat's engine: members that fail and engines that die."""

import dataclasses
import datetime
import itertools
import json
import os
import textwrap
from unittest import mock

import pytest
from heat.engine.resources import stack_resource
from heat.objects import stack as stack_object

from heat_ha import exceptions, serialization
from heat_ha.groups import model, replacing
from heat_ha.groups.adapters import changes
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.adapters import store as group_store
from tests.plugin import stand_ins
from tests.plugin.scaling import (
    ADDS,
    DELETES_FIRST,
    NESTED,
    REPLACES,
    in_order,
    last_event,
    names,
    servers,
    template,
)

# Kill at every n-th write; 1 takes minutes.
KILL_EVERY = int(os.environ.get('HEAT_HA_KILL_EVERY', '6'))

# After how many waits of a replacement something else happens; on a slow machine there are about
# ten in all.
EARLY_AND_LATE = (1, 3, 6)

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine


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


@pytest.mark.parametrize('order', ['create_first', 'delete_first'])
@pytest.mark.parametrize('times', [1, 3])
def test_what_may_pass_is_tried_again_by_itself(engine, order, times):
    stack = engine.create(template(REPLACES + f'replacement_order: {order}\n'))
    oldest, *others = names(engine, stack)
    for n in range(times):
        (engine.servers / f'busy-{n}').touch()

    engine.signal(stack, 'policy')

    assert last_event(engine, stack)[0] == 'SIGNAL_COMPLETE', engine.events(stack, 'policy')
    reasons = [reason for _, reason in engine.events(stack, 'policy') if 'trying again' in reason]
    assert len(reasons) == times and 'HTTP 503' in reasons[0]
    in_order(engine, stack)
    assert set(others) < set(names(engine, stack)) and oldest not in names(engine, stack)


@pytest.mark.parametrize('order', ['create_first', 'delete_first'])
def test_what_does_not_pass_in_time_is_gone_on_with_by_the_next_signal(engine, order):
    stack = engine.create(template(REPLACES + f'replacement_order: {order}\n'))
    oldest, *others = names(engine, stack)
    for n in range(4):
        (engine.servers / f'busy-{n}').touch()

    engine.signal(stack, 'policy')

    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_FAILED' and 'HTTP 503' in reason
    engine.signal(stack, 'policy')
    in_order(engine, stack)
    assert set(others) < set(names(engine, stack)) and oldest not in names(engine, stack)


def test_a_member_that_failed_in_the_place_of_one_that_is_gone_is_not_forgotten(engine):
    stack = engine.create(template())
    oldest, *others = names(engine, stack)
    for n in range(4):
        (engine.servers / f'busy-{n}').touch()

    def replace():
        loaded = engine.stack(stack)
        return replacing.replace(
            loaded['group'],
            requested_by='failover',
            order=model.Order.DELETE_FIRST,
            named=(oldest,),
        )

    with pytest.raises(exceptions.MayPass, match='HTTP 503'):
        replace()
    assert oldest not in names(engine, stack) and len(names(engine, stack)) == 3

    outcome = replace()

    assert len(outcome.new) == 1 and set(names(engine, stack)) == {*others, *outcome.new}
    in_order(engine, stack)
    # It is over: whoever asks once more gets the same answer, and nobody else goes.
    assert replace().replaced == (oldest,)
    assert set(names(engine, stack)) == {*others, *outcome.new}


def test_a_failed_member_that_has_become_the_active_stays_when_one_more_is_added(engine):
    # Somebody healed it by hand, it became the active, and then an update of it failed.
    stack = engine.create(template())
    oldest, *others = names(engine, stack)
    for n in range(4):
        (engine.servers / f'busy-{n}').touch()
    loaded = engine.stack(stack)
    with pytest.raises(exceptions.MayPass, match='HTTP 503'):
        replacing.replace(
            loaded['group'],
            requested_by='failover',
            order=model.Order.DELETE_FIRST,
            named=(oldest,),
        )
    (active,) = set(names(engine, stack)) - set(others)

    loaded = engine.stack(stack)
    replacing.add_member(loaded['group'], requested_by='failover', name='fresh', keep=(active,))

    assert set(names(engine, stack)) == {*others, active, 'fresh'}
    assert engine.members(stack).member('fresh').is_in_service
    # What was short is not: nothing is taken up by the next one.
    loaded = engine.stack(stack)
    assert group_store.read_replacement(loaded['group']) is None


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


def test_what_failed_is_not_tried_again_beyond_a_lower_max_size(engine):
    stack = engine.create(template(DELETES_FIRST))
    (engine.servers / 'no-valid-host').touch()
    engine.signal(stack, 'policy')
    (engine.servers / 'no-valid-host').unlink()
    engine.update(stack, template(DELETES_FIRST, size=2, most=2))
    assert len(names(engine, stack)) == 2

    engine.signal(stack, 'policy')

    assert len(names(engine, stack)) == len(engine.servers_there()) == 2


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
            # What was not done is never reported as done.
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
def test_a_server_whose_engine_died_before_its_id_was_on_record_is_not_left_over(engine, order):
    stack = engine.create(template(REPLACES + f'replacement_order: {order}\n'))
    with mock.patch.object(stand_ins.Server, 'resource_id_set', side_effect=lambda _: os._exit(9)):
        assert engine.dies(1_000_000, engine.signal, stack, 'policy')

    engine.signal(stack, 'policy')

    in_order(engine, stack)


@pytest.mark.parametrize('order', ['create_first', 'delete_first'])
def test_a_members_stack_whose_asker_died_before_its_id_was_on_record_is_not_left_over(
    engine, order
):
    policy = REPLACES + f'replacement_order: {order}\n'
    stack = engine.create(template(policy, member='member.yaml'), files=NESTED)
    group = engine.nested(stack)['stack_id']

    def count():
        """How many stacks there are of members, whether Heat knows of them or not."""
        return len(list(stack_object.Stack.get_all_by_owner_id(engine.context(), group)))

    kind = 'heat.engine.resources.template_resource.TemplateResource'
    with mock.patch(f'{kind}.resource_id_set', side_effect=lambda _: os._exit(9)):
        assert engine.dies(1_000_000, engine.signal, stack, 'policy')
    assert count() == (4 if order == 'create_first' else 3)

    engine.signal(stack, 'policy')

    in_order(engine, stack)
    assert count() == 3


def test_the_mark_of_a_living_engine_is_respected(engine):
    stack = engine.create(template())
    before = servers(engine, stack)
    held = model.Mark('engine-2', '2026-01-01T00:00:00+00:00', 'other', 'id')
    loaded = engine.stack(stack)
    group_store.acquire(loaded['group'], held, None, None)

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


def test_an_engine_whose_work_was_taken_over_leaves_off(engine):
    stack = engine.create(template())
    begun = []

    def taken_over(*_args):
        # Another engine takes this one for dead in the middle of the work.
        if not begun:
            begun.append(True)
            loaded = engine.stack(stack)
            group = loaded['group']
            wanted = group_store.read_replacement(group)
            group_store.write_replacement(
                group,
                group_store.replacement_text(group),
                dataclasses.replace(wanted, id='theirs', engine='engine-2'),
            )

    engine.before_sleep = taken_over
    engine.signal(stack, 'policy')

    loaded = engine.stack(stack)
    assert group_store.read_replacement(loaded['group']).id == 'theirs'
    assert "another engine's now" in last_event(engine, stack)[1]


FROZEN_IN = {
    'before it is on record': (group_store, 'replacement_text'),
    'before a look': (group_members, 'look'),
    'before a change is sent': (changes, '_template'),
    'before it waits': (changes, 'wait'),
    'at its end': (changes, 'notify'),
}


@pytest.mark.parametrize('place', FROZEN_IN)
@pytest.mark.parametrize('count', [1, 2])
def test_an_engine_that_was_frozen_changes_nothing_of_what_another_began(
    engine, monkeypatch, place, count
):
    """It loses the group there, and wakes up when another engine is at work on it."""
    stack = engine.create(template())
    module, name = FROZEN_IN[place]
    real, left = getattr(module, name), [count]
    sent, at_that_time = [], []
    theirs = model.Replacement(
        'theirs', 'other', model.Order.CREATE_FIRST, 2, (), (), engine='engine-2',
        since='2026-01-01T00:00:00+00:00',
    )  # fmt: skip

    def frozen(group, *args, **kwargs):
        found = real(group, *args, **kwargs)
        left[0] -= 1
        if left[0] == 0:
            loaded = engine.stack(stack)
            other = loaded['group']
            mark = model.Mark('engine-2', theirs.since, 'other', 'theirs')
            other.metadata_set({**other.metadata_get(), 'scaling_in_progress': vars(mark)})
            other.data_set('ha_replacement', json.dumps(serialization.encode(theirs)))
            at_that_time.append(len(sent))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(module, name, frozen)
        update = stack_resource.StackResource.update_with_template
        patch.setattr(
            stack_resource.StackResource,
            'update_with_template',
            lambda *args, **kwargs: sent.append(args) or update(*args, **kwargs),
        )
        engine.signal(stack, 'policy')
    if not at_that_time:
        assert count > 1, 'it does not come there at all, so nothing was tested'
        pytest.skip('it does not come there as often')
    loaded = engine.stack(stack)
    assert group_store.read_replacement(loaded['group']) == theirs
    assert len(sent) == at_that_time[0], 'it sent a change'
