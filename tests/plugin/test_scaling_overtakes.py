# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::ScalingPolicy in Heat's engine: a replacement beside a deletion that does not end."""

import functools
import itertools
import os

import pytest
from oslo_config import cfg

from heat_ha import exceptions
from heat_ha.groups import model, replacement_run, replacing
from heat_ha.groups.adapters import store as group_store
from tests.plugin import silent
from tests.plugin.scaling import ADDS, NESTED, in_order, last_event, names, template

# Kill at every n-th write; 1 takes minutes.
KILL_EVERY = int(os.environ.get('HEAT_HA_KILL_EVERY', '6'))

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine

ORDERS = ['create_first', 'delete_first']
CREATE_FIRST = model.Order.CREATE_FIRST


@pytest.fixture(autouse=True)
def no_sleep_before_what_is_locked():
    """A worker of Heat's sleeps some seconds of real time before it leaves what is locked alone."""
    cfg.CONF.set_override('client_retry_limit', 0)
    yield
    cfg.CONF.clear_override('client_retry_limit')


def replace(engine, stack, *named, **changes):
    """What a FailoverPolicy calls."""
    arguments = {
        'requested_by': 'failover',
        'order': CREATE_FIRST,
        'count': len(named) or 1,
        'named': named,
        'respect_cooldown': False,
    }
    loaded = engine.stack(stack)
    return replacing.replace(loaded['group'], **(arguments | changes))


def stick(engine, stack, *members):
    """Let the servers of members be such that they cannot be deleted; returns what to unlink."""
    found = engine.members(stack)
    stuck = [engine.servers / f'stuck-{s}' for n in members for s in found.member(n).servers]
    for one in stuck:
        one.touch()
    return stuck


def stuck_member(engine, member='OS::Nova::Server', order=CREATE_FIRST):
    """A stack, the member that was replaced and cannot be deleted, what to unlink, the others."""
    stack = engine.create(template(member=member), files=NESTED)
    first, *others = names(engine, stack)
    stuck = stick(engine, stack, first)
    with pytest.raises(exceptions.Stopped, match=f'{first} could not be removed'):
        replace(engine, stack, first, order=order)
    return stack, first, stuck, others


def left_on_record(engine, stack):
    loaded = engine.stack(stack)
    return group_store.read_replacement(loaded['group'])


def in_order_in_the_end(engine, stack, stuck, size=3):
    """Mend what is stuck; whatever is replaced next takes away all that is left over."""
    for one in stuck:
        one.unlink()
    assert replace(engine, stack).left_over == ()
    return in_order(engine, stack, size)


@pytest.mark.parametrize('member', ['OS::Nova::Server', 'member.yaml'])
def test_a_member_that_cannot_be_deleted_does_not_hold_up_another(engine, member):
    stack, first, stuck, (second, third) = stuck_member(engine, member)

    emitted = []
    outcome = replace(engine, stack, second, emit=emitted.append)

    (new,) = outcome.new
    assert outcome.replaced == (second,) and outcome.left_over == (first,)
    assert new in names(engine, stack) and third in names(engine, stack)
    assert second not in names(engine, stack) and len(names(engine, stack)) == 3
    assert f'member {first} could not be removed' in emitted[-1]
    # Nobody waits for anything: all that Heat could do is done, and its state says so.
    seen = engine.members(stack)
    assert not seen.is_in_progress and [m.name for m in seen.being_deleted] == [first]
    assert [p.victim for p in left_on_record(engine, stack).pairs] == [first]
    in_order_in_the_end(engine, stack, stuck)


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('before', ORDERS)
def test_the_member_that_has_come_for_it_may_be_replaced_itself(engine, before, order):
    stack, first, stuck, others = stuck_member(engine, order=model.Order(before))
    come = [n for n in names(engine, stack) if n not in others] or others[:1]

    outcome = replace(engine, stack, *come, order=model.Order(order))

    assert outcome.left_over == (first,) and outcome.replaced == tuple(come)
    assert set(outcome.new) <= set(names(engine, stack))
    # With delete_first the place of the stuck one stays free until it is gone.
    assert len(names(engine, stack)) == (3 if before == 'create_first' else 2)
    in_order_in_the_end(engine, stack, stuck)


def test_what_is_left_over_is_deleted_by_whatever_is_replaced_next_and_only_once_tried(engine):
    stack, first, stuck, (second, third) = stuck_member(engine)
    tries = len([e for e in engine.events(engine.nested(stack), first) if 'DELETE_FAILED' in e])
    replace(engine, stack, second)
    failed = [e for e in engine.events(engine.nested(stack), first) if 'DELETE_FAILED' in e]
    assert len(failed) == tries + 1
    for one in stuck:
        one.unlink()

    outcome = replace(engine, stack, third, requested_by='another')

    assert outcome.replaced == (third,) and outcome.left_over == ()
    in_order(engine, stack)


def test_who_asks_for_the_very_member_again_hears_that_it_is_still_there(engine):
    stack, first, stuck, (second, _) = stuck_member(engine)
    replace(engine, stack, second)
    for asker in ('failover', 'another'):
        with pytest.raises(exceptions.Stopped, match=f'{first} could not be removed'):
            replace(engine, stack, first, requested_by=asker)
    for one in stuck:
        one.unlink()

    assert replace(engine, stack, first, requested_by='another').replaced == (first,)

    in_order(engine, stack)


def test_a_signal_replaces_the_next_member_where_the_last_one_still_cannot_be_deleted(engine):
    stack = engine.create(template())
    first, second, third = names(engine, stack)
    stuck = stick(engine, stack, first)
    engine.signal(stack, 'policy')
    assert last_event(engine, stack)[0] == 'SIGNAL_FAILED'

    engine.signal(stack, 'policy')

    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_COMPLETE' and f'replaced {second} by' in reason
    assert f'{first} is not deleted yet' in reason
    assert third in names(engine, stack) and len(names(engine, stack)) == 3
    in_order_in_the_end(engine, stack, stuck)


def test_many_may_be_stuck_at_once(engine):
    stack = engine.create(template(member='member.yaml'), files=NESTED)
    before = names(engine, stack)
    stuck = stick(engine, stack, *before)
    for member in before:
        with pytest.raises(exceptions.Stopped, match=f'{member} could not be removed'):
            replace(engine, stack, member)
    assert not set(before) & set(names(engine, stack)) and len(names(engine, stack)) == 3
    # One of them can be deleted by now, and the others do not keep Heat from it.
    (server,) = servers_of(engine, stack, before[1])
    (engine.servers / f'stuck-{server}').unlink()
    outcome = replace(engine, stack, names(engine, stack)[0])
    assert set(outcome.left_over) == {before[0], before[2]}
    in_order_in_the_end(engine, stack, [one for one in stuck if one.exists()])


def servers_of(engine, stack, member):
    """The servers of a member, a former one too."""
    rows = engine.call('list_stack_resources', engine.nested(stack), nested_depth=2)
    return {
        r['physical_resource_id']
        for r in rows
        if r['resource_type'] == 'OS::Nova::Server'
        and member in (r['resource_name'], r.get('parent_resource'))
    }


def test_one_more_member_comes_beside_one_that_cannot_be_deleted(engine):
    stack, first, stuck, others = stuck_member(engine)
    loaded = engine.stack(stack)
    replacing.add_member(loaded['group'], requested_by='failover', name='fresh')
    assert {'fresh', *others} < set(names(engine, stack)) and len(names(engine, stack)) == 4
    assert [p.victim for p in left_on_record(engine, stack).pairs] == [first]
    in_order_in_the_end(engine, stack, stuck, 4)


def test_what_heats_own_scaling_could_not_delete_holds_nothing_up(engine):
    removes = ADDS.replace('adjustment: 1', 'adjustment: -1')
    more = '\nremoves:\n  type: OS::Heat::ScalingPolicy\n  properties:\n' + ''.join(
        f'    {line}\n' for line in removes.strip().splitlines()
    )
    stack = engine.create(template(more=more))
    first, second, third = names(engine, stack)
    stick(engine, stack, first)
    engine.signal(stack, 'removes')
    assert [m.name for m in engine.members(stack).being_deleted] == [first]

    outcome = replace(engine, stack, second)

    assert outcome.replaced == (second,) and set(names(engine, stack)) == {third, *outcome.new}
    seen = engine.members(stack)
    assert not seen.is_in_progress and [m.name for m in seen.being_deleted] == [first]


# --- deletions that go on and on ---------------------------------------------------------------


def silent_member(engine, member='OS::Nova::Server'):
    """A stack, a member whose deletion an engine is at without an end, that engine, the others."""
    stack = engine.create(template(member=member), files=NESTED)
    first, *others = names(engine, stack)
    hangs = silent.SilentEngine(engine)
    hangs.names.add(first)
    with pytest.raises(replacement_run.StillRemoving, match=f'{first} is still being deleted'):
        replace(engine, stack, first, is_needed=lambda: True)
    return stack, first, hangs, others


@pytest.mark.parametrize('member', ['OS::Nova::Server', 'member.yaml'])
def test_a_deletion_that_goes_on_and_on_does_not_hold_up_another_member(
    engine, member, monkeypatch
):
    # Whatever waits for it waits in vain.
    monkeypatch.setattr(replacement_run, 'REMOVAL_SECONDS', 1e6)
    stack, first, hangs, (second, third) = silent_member(engine, member)
    assert engine.members(stack).is_in_progress

    outcome = replace(engine, stack, second)

    assert outcome.replaced == (second,) and outcome.left_over == (first,)
    assert set(names(engine, stack)) > {third, *outcome.new} and len(names(engine, stack)) == 3
    hangs.go_on(engine.nested(stack))
    seen = engine.members(stack)
    assert not seen.being_deleted and not seen.is_in_progress
    replace(engine, stack, third)
    in_order(engine, stack)


def test_without_anybody_else_a_deletion_is_waited_for(engine):
    stack = engine.create(template())
    first = names(engine, stack)[0]
    hangs = silent.SilentEngine(engine)
    hangs.names.add(first)

    def end_some_day():
        if engine.slept > 90:
            engine.before_sleep = None
            hangs.go_on(engine.nested(stack))

    engine.before_sleep = end_some_day
    assert replace(engine, stack, first).replaced == (first,)
    assert engine.slept > 90
    in_order(engine, stack)


def test_a_signal_replaces_the_next_member_where_the_deletion_of_the_last_does_not_end(engine):
    stack = engine.create(template())
    first, second, third = names(engine, stack)
    hangs = silent.SilentEngine(engine)
    hangs.names.add(first)
    with pytest.raises(exceptions.Stopped, match=f'{first} is still being deleted'):
        replace(engine, stack, requested_by='policy', is_needed=lambda: True)

    engine.signal(stack, 'policy')

    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_COMPLETE' and f'replaced {second} by' in reason
    assert third in names(engine, stack) and len(names(engine, stack)) == 3
    hangs.go_on(engine.nested(stack))
    replace(engine, stack)
    in_order(engine, stack)


def test_who_waits_for_a_deletion_leaves_it_to_heat_when_another_asks_for_the_group(engine):
    stack = engine.create(template())
    first = names(engine, stack)[0]
    hangs = silent.SilentEngine(engine)
    hangs.names.add(first)

    def ask():
        if engine.slept > 10:
            loaded = engine.stack(stack)
            group_store.ask_for(loaded['group'])

    engine.before_sleep = ask
    with pytest.raises(exceptions.Stopped, match=f'{first} is still being deleted'):
        replace(engine, stack, first)
    assert engine.slept < 60
    engine.before_sleep = None
    # Nobody waits for long: what is forgotten does not count for ever.
    engine.slept += 61
    loaded = engine.stack(stack)
    assert not group_store.is_asked_for(loaded['group'])


@pytest.mark.parametrize('has_left', [True, False])
def test_a_request_asks_for_a_group_whose_holder_only_waits_for_a_deletion(engine, has_left):
    stack, first, _hangs, (second, _) = silent_member(engine)
    loaded = engine.stack(stack)
    group = loaded['group']
    if not has_left:
        group_store.drop_replacement(group, group_store.replacement_text(group))
    mark = model.Mark('engine-2', '2026-01-01T00:00:00+00:00', 'other', 'id')
    group_store.acquire(group, mark, None, None)

    def leave():
        loaded = engine.stack(stack)
        if group_store.is_asked_for(loaded['group']):
            engine.before_sleep = None
            group_store.release(loaded['group'], mark, None, 'test', False)

    engine.before_sleep = leave
    if has_left:
        assert replace(engine, stack, second).left_over == (first,)
        loaded = engine.stack(stack)
        assert not group_store.is_asked_for(loaded['group'])
    else:
        # The holder is at other work: that is not interrupted.
        with pytest.raises(exceptions.TryAgain, match='busy'):
            replace(engine, stack, second)


def test_of_several_members_those_after_a_silent_one_are_replaced_too(engine):
    stack = engine.create(template())
    first, second, third = names(engine, stack)
    hangs = silent.SilentEngine(engine)
    hangs.names.add(first)
    with pytest.raises(exceptions.Stopped, match=f'{first} is still being deleted'):
        replace(engine, stack, first, second, third, is_needed=lambda: engine.slept > 90)
    assert not {first, second, third} & set(names(engine, stack))
    assert len(names(engine, stack)) == 3
    hangs.go_on(engine.nested(stack))
    assert replace(engine, stack, first, second, third).left_over == ()
    in_order(engine, stack)


def test_a_deletion_that_fails_at_last_in_the_middle_of_the_next_replacement_stops_nothing(engine):
    stack, first, hangs, (second, third) = silent_member(engine)
    stuck = stick_former(engine, stack, first)
    waits = itertools.count()

    def fail_in_the_middle():
        if next(waits) == 1:
            hangs.go_on(engine.nested(stack))

    engine.before_sleep = fail_in_the_middle
    outcome = replace(engine, stack, second)
    engine.before_sleep = None

    assert outcome.replaced == (second,) and outcome.left_over == (first,)
    assert {third, *outcome.new} < set(names(engine, stack)) and len(names(engine, stack)) == 3
    in_order_in_the_end(engine, stack, stuck)


def stick_former(engine, stack, member):
    """What a member that is being deleted is stuck by from now on."""
    stuck = [engine.servers / f'stuck-{s}' for s in servers_of(engine, stack, member)]
    for one in stuck:
        one.touch()
    assert stuck
    return stuck


# --- what must stay ----------------------------------------------------------------------------


def test_a_member_that_has_become_the_active_meanwhile_stays(engine):
    stack = engine.create(template())
    before = names(engine, stack)
    first = before[0]
    active = []

    def becomes_active():
        if engine.slept > 0.4:
            active[:] = [first]

    engine.before_sleep = becomes_active
    with pytest.raises(exceptions.Stopped, match='must stay now'):
        replace(engine, stack, first, keep=lambda: tuple(active))
    assert names(engine, stack) == before
    engine.before_sleep = None
    in_order(engine, stack)


# --- an engine dies ----------------------------------------------------------------------------


@pytest.mark.parametrize('order', ORDERS)
def test_an_engine_may_die_before_any_write_of_one_that_overtakes(heat, tmp_path, order):
    died = 0
    for before_commit in itertools.count(1, KILL_EVERY):
        heat.forget_stacks()
        folder = tmp_path / str(before_commit)
        folder.mkdir()
        with heat.Engine(folder).in_place() as engine:
            stack, first, stuck, (second, third) = stuck_member(engine)
            arguments = {'order': model.Order(order)}
            work = functools.partial(replace, engine, stack, second, **arguments)
            if not engine.dies(before_commit, work):
                break
            died += 1

            outcome = replace(engine, stack, second, **arguments)

            assert outcome.left_over == (first,), before_commit
            assert second not in names(engine, stack) and third in names(engine, stack)
            assert len(names(engine, stack)) == 3, before_commit
            in_order_in_the_end(engine, stack, stuck)
    assert died > 60 / KILL_EVERY


def test_a_run_that_breaks_off_holds_nothing_any_more(engine):
    stack, first, stuck, (second, _) = stuck_member(engine)
    waits = itertools.count()

    def break_off():
        if next(waits) == 2:
            raise RuntimeError('nobody has expected that')

    engine.before_sleep = break_off
    with pytest.raises(RuntimeError):
        replace(engine, stack, second)
    engine.before_sleep = None
    engine.run()

    # Heat has tried by itself what was held, so that its change does not wait for it for ever.
    seen = engine.members(stack)
    assert not seen.is_in_progress and seen.being_deleted[0].name == first
    assert replace(engine, stack, second).left_over == (first,)
    in_order_in_the_end(engine, stack, stuck)
