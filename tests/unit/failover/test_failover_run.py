# SPDX-License-Identifier: Apache-2.0
"""What a failover does around its plan: its end, its stop, and another successor."""

import dataclasses
import itertools
import time
import types
from unittest import mock

import pytest

from heat_ha import exceptions, serialization, signals
from heat_ha.cloud import clock
from heat_ha.failover import (
    events,
    executor,
    failover_run,
    hand_over_watch,
    held_record,
    model,
    moves_under_way,
    observation,
    record,
)
from heat_ha.failover.model import StepState
from heat_ha.failover.rules import decide, outcome, ways_out
from heat_ha.groups import model as groups
from heat_ha.testing import clouds
from tests.unit.failover import worlds
from tests.unit.failover.test_controller import OPTIONS, Data, a_plan

CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)


@pytest.fixture
def ending(monkeypatch):
    """Return a function that makes an engine which has carried a plan to its end."""
    monkeypatch.setattr(observation, 'with_members_now', lambda _group, known: known)
    monkeypatch.setattr(record, 'read', lambda p: record.record_of(p.data()))
    monkeypatch.setattr(record, 'read_history', lambda p: record.history_of(p.data()))
    monkeypatch.setattr(failover_run.resource_data, 'fresh', lambda p: p.data())

    def make(policy, plan, *, is_held=True):
        lock = types.SimpleNamespace(is_held=lambda: is_held)
        held = held_record.HeldRecord(policy, lock)
        held.read()
        held.see(model.Record(plan=plan, state=model.State.RUNNING, active=plan.old, epoch=1))
        made = failover_run.FailoverRun(
            policy, None, OPTIONS, lock, held, events.EventEmitter(policy), time.monotonic()
        )
        made._handoff_seconds = 2.5
        return made

    return make


ENDS = {
    'done': (lambda made, plan: made.finish(plan, ()), model.State.READY),
    'stopped': (
        lambda made, plan: made._stop(
            plan, model.State.STOPPED, exceptions.Stopped('nothing answers', 'Look why')
        ),
        model.State.STOPPED,
    ),
}


@pytest.mark.parametrize('outcome', ENDS)
def test_who_finds_the_end_finds_its_line_in_the_history(ending, outcome):
    end, state = ENDS[outcome]
    policy, plan = Data(), a_plan()
    end(ending(policy, plan), plan)
    ended = [m for m in policy.moments if record.record_of(m).state is state and record.RECORD in m]
    assert ended, 'the end was not written'
    for moment in ended:
        assert [line['outcome'] for line in record.history_of(moment)] == [outcome]


def test_an_end_that_is_reported_again_keeps_the_figures_of_the_first(ending):
    policy, plan = Data(), a_plan()
    ending(policy, plan).finish(plan, ())
    again = ending(policy, plan)
    again._handoff_seconds = None
    again.finish(plan, ())
    [line] = record.history_of(policy.data())
    assert line['handoff_seconds'] == 2.5


@pytest.mark.parametrize('outcome', ENDS)
def test_an_engine_that_lost_the_group_ends_nothing(ending, outcome):
    end, _state = ENDS[outcome]
    policy, plan = Data(), a_plan()
    with pytest.raises(exceptions.LostLock):
        end(ending(policy, plan, is_held=False), plan)
    assert policy.moments == [{}]


# --- another successor -----------------------------------------------------------------------


@pytest.fixture
def group(monkeypatch, ending):
    """A group of three whose first member is the active; ``run`` carries its failover out."""
    monkeypatch.setattr(executor.handoff_steps.retry, 'FIRST_LOOK', 0.001)
    monkeypatch.setattr(executor.handoff_steps.retry, 'SLOWEST_LOOK', 0.002)
    monkeypatch.setattr(executor.handoff_steps.retry, 'REFUSED_FOR', 0.02)
    monkeypatch.setattr(executor.handoff_steps.retry, 'AFTER_REFUSAL', 0.002)
    world = clouds.FakeCloud(looks=1)
    for name in 'abc':
        world.add_server(f'server-{name}')
    world.add_volume('v1', 'server-a')

    def seen(known, plan_id):
        candidates = []
        for name in 'abc':
            server = world.server(f'server-{name}')
            candidates.append(
                model.Candidate(worlds.member(name), server, host=world.state(server))
            )
        held = frozenset({world.holder('v1')} - {None})
        return worlds.seen(
            candidates, record=known, chained=run.chained, plan_id=plan_id, held_by={'v1': held}
        )

    def run(policy):
        known = model.Record(epoch=1, active=worlds.holder('a'), left_with=run.left_with)
        plan = decide.answer(signals.Signal(), seen(known, 'p1')).plan
        plan = dataclasses.replace(plan, activate_hook=run.activate_hook)
        made = ending(policy, plan)
        made._handoff_seconds = None
        monkeypatch.setattr(made._heat_steps, 'hand_over', run.hand_over)
        numbers = itertools.count(2)

        def look_again(_plan):
            found = seen(made._held.value, f'p{next(numbers)}')
            return types.SimpleNamespace(
                looks={},
                server_and_host=lambda _one: None,
                observed=mock.Mock(candidates=found.candidates),
                has_all_moved=run.has_all_moved,
            ), found

        findings, _seen = look_again(plan)
        return made.run(plan, world, findings, look_again, is_taken_up=False)

    run.world, run.hand_over, run.chained = world, lambda _plan: None, CHAINED
    run.left_with, run.has_all_moved, run.activate_hook = (), True, None
    return run


def test_the_next_eligible_member_follows_one_that_cannot_get_the_volume(group):
    group.world.refused = {'server-b'}
    policy = Data()
    assert 'failover from a to c: done' in group(policy)
    known = record.record_of(policy.data())
    assert group.world.holder('v1') == 'server-c' and not group.world.violations
    assert (known.active, known.state) == (worlds.holder('c'), model.State.READY)
    # The old active is replaced, whoever has taken over from it, and nobody else.
    assert [one.plan.replaces for one in known.follow_ups] == [('a',)]


def test_without_another_the_old_active_gets_back_what_it_had(group):
    group.world.refused = {'server-b', 'server-c'}
    policy = Data()
    assert 'switchover from c to a: done' in group(policy)
    known = record.record_of(policy.data())
    assert group.world.holder('v1') == 'server-a' and not group.world.violations
    assert (known.active, known.state) == (worlds.holder('a'), model.State.READY)
    assert known.follow_ups == ()


def test_with_nobody_left_it_stops_and_says_so(group):
    group.world.refused = {'server-a', 'server-b', 'server-c'}
    policy = Data()
    with pytest.raises(exceptions.SuccessorFailed, match='another availability zone'):
        group(policy)
    known = record.record_of(policy.data())
    assert known.state is model.State.STOPPED and 'another availability zone' in known.reason
    assert group.world.holder('v1') is None
    assert [s.state for s in known.plan.steps if s.name == 'attach:v1'] == [StepState.FAILED]


def test_another_successor_follows_one_whose_host_dies_while_heat_hands_over(group, monkeypatch):
    monkeypatch.setattr(hand_over_watch, 'LOOK_EVERY', 0.0)
    handed_over, world = [], group.world

    def hand_over(plan):
        handed_over.append(plan.new.member)
        watch = hand_over_watch.HandOverWatch(world, plan, lambda _text: None)
        watch.look()
        if plan.new.member == 'b':
            world.let_die('server-b')
            watch.look()
            world.confirm()
            try:
                watch.look()
            finally:
                # What it has is freed by whoever confirmed that its host is down.
                world.owner_deletes('server-b')

    group.hand_over = hand_over
    policy = Data()
    assert 'failover from a to c: done' in group(policy)
    assert handed_over == ['b', 'c'] and world.holder('v1') == 'server-c'
    known = record.record_of(policy.data())
    assert (known.active, known.state) == (worlds.holder('c'), model.State.READY)
    assert not world.violations


@pytest.mark.parametrize('chained', [CHAINED, None], ids=['replaces', 'alone'])
def test_a_successor_that_died_is_replaced_and_deleted_only_where_the_template_replaces(
    group, monkeypatch, chained
):
    """S8: as for the old active, only a policy that replaces lets its server be deleted."""
    monkeypatch.setattr(hand_over_watch, 'LOOK_EVERY', 0.0)
    world = group.world
    group.chained = chained

    def hand_over(plan):
        if plan.new.member == 'b':
            world.let_die('server-b')
            world.confirm()
        hand_over_watch.HandOverWatch(world, plan, lambda _text: None).look()

    group.hand_over = hand_over
    policy = Data()
    if chained is None:
        with pytest.raises(exceptions.FencingUnconfirmed, match='Evacuate or delete the server'):
            group(policy)
        assert not [r for r in world.requests if r[0] == 'delete'] and not world.violations
        return
    assert 'failover from a to c: done' in group(policy)
    assert {r[2] for r in world.requests if r[0] == 'delete'} == {'server-b'}
    assert world.holder('v1') == 'server-c'
    known = record.record_of(policy.data())
    assert known.active == worlds.holder('c') and not world.violations
    assert [one.plan.replaces for one in known.follow_ups] == [('a', 'b')]


@pytest.mark.parametrize('is_confirmed', [False, True], ids=['silent', 'confirmed'])
def test_what_a_dropped_plan_left_with_a_server_that_is_gone_waits_for_its_host(
    group, is_confirmed
):
    """S1: Nova frees the volume of a server that is deleted while its host is silent."""
    world = group.world
    world._volumes['v1'].server = 'server-b'
    world.let_die('server-b')
    if is_confirmed:
        world.confirm()
    world.owner_deletes('server-b')
    assert world.holder('v1') is None
    group.left_with = (worlds.holder('b'),)
    policy = Data()
    if is_confirmed:
        assert 'failover from a to c: done' in group(policy)
        assert world.holder('v1') == 'server-c'
        return
    with pytest.raises(exceptions.FencingUnconfirmed, match='compute service set --down'):
        group(policy)
    assert world.holder('v1') is None


def test_a_plan_that_replaces_a_standby_is_on_record_before_anything_is_replaced(ending):
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')), chained=CHAINED)
    plan = decide.answer(signals.Signal(member='b'), world).plan
    policy = Data()
    made = ending(policy, plan)
    findings = types.SimpleNamespace(
        observed=mock.Mock(candidates=world.candidates), server_and_host=lambda _one: None
    )
    made.run(plan, None, findings, None, is_taken_up=False)
    known = record.record_of(policy.data())
    assert [one.plan.replaces for one in known.follow_ups] == [('b',)]
    assert known.suspects == ('b',) and known.state is model.State.READY
    assert known.follow_ups[0].plan.steps == plan.steps
    # Its line comes when it is replaced.
    assert record.history_of(policy.data()) == []


# S4: nothing is refused at the end, when everything is moved.
def test_a_plan_that_would_outgrow_its_record_is_refused_before_anything_is_done(ending):
    volumes = [f'{number:036}' for number in range(100)]
    world = worlds.seen(
        (worlds.candidate('a'), worlds.candidate('b')), volumes=volumes, chained=CHAINED
    )
    plan = decide.answer(signals.Signal(), world).plan
    policy = Data()
    made = ending(policy, plan)
    findings = types.SimpleNamespace(
        looks={}, observed=mock.Mock(candidates=()), server_and_host=lambda _one: None
    )
    with pytest.raises(exceptions.Refused, match='the plan takes'):
        made.run(plan, None, findings, None, is_taken_up=False)
    assert policy.moments == [{}]


@pytest.mark.parametrize('how', ['resumed', 'to another successor'])
def test_a_plan_that_has_begun_is_not_refused_for_its_size(ending, how):
    candidates = [worlds.candidate(name) for name in 'abc']
    volumes = [f'{number:036}' for number in range(72)]
    world = worlds.seen(candidates, volumes=volumes, chained=CHAINED)
    plan = decide.answer(signals.Signal(), world).plan
    policy = Data()
    record.check_room(
        outcome.at_end(model.Record(active=plan.old), plan, ()),
        failover_run.SPARE_A_STEP * len(plan.steps),
    )
    done = [
        dataclasses.replace(
            s, state=StepState.DONE, started=plan.created, seconds=1.234, reason='r' * 60
        )
        for s in plan.steps[:-2]
    ]
    left = [
        dataclasses.replace(s, state=StepState.FAILED, started=plan.created, reason='r' * 5000)
        for s in plan.steps[-2:]
    ]
    begun = dataclasses.replace(plan, steps=(*done, *left))
    made = ending(policy, begun)
    made._stop(begun, model.State.STOPPED, exceptions.Stopped('r' * 40_000, 'm' * 5000))
    known = record.record_of(policy.data())
    assert known.state is model.State.STOPPED and known.reason and known.remedy
    if how == 'resumed':
        goes_on = known.plan
        assert [s.state for s in goes_on.steps] == [s.state for s in begun.steps]
    else:
        seen = dataclasses.replace(world, record=known)
        goes_on = ways_out.with_successor(known.plan, seen, worlds.holder('c'))
    executed = []

    class Executor:
        def __init__(self, plan, *_args):
            self.plan = plan

        def run(self):
            executed.append(self.plan)
            steps = tuple(dataclasses.replace(s, state=StepState.DONE) for s in self.plan.steps)
            return dataclasses.replace(self.plan, steps=steps)

    with mock.patch.object(executor, 'PlanExecutor', Executor):
        findings = types.SimpleNamespace(
            looks={},
            observed=mock.Mock(candidates=()),
            server_and_host=lambda _one: None,
            has_all_moved=False,
        )
        assert 'done' in made.run(goes_on, None, findings, None, is_taken_up=how == 'resumed')
    assert executed == [goes_on]


@pytest.mark.parametrize('size', [300, 1000])
def test_a_failover_of_a_large_group_is_carried_out(ending, size):
    names = [f'{number:012x}' for number in range(size)]
    candidates = [
        dataclasses.replace(one, server=dataclasses.replace(one.server, host='h' * 60))
        for one in map(worlds.candidate, names)
    ]
    world = worlds.seen(candidates, active=names[0], chained=CHAINED)
    plan = decide.answer(signals.Signal(), world).plan
    members = tuple(model.MemberServer(name, f'{name:>036}') for name in names)
    known = model.Record(active=plan.old, plan=plan, seen=members, seen_rows='rows')
    policy = Data()
    record.check_room(outcome.at_end(known, plan, ()), failover_run.SPARE_A_STEP * len(plan.steps))
    record.write(policy, known)
    found = record.record_of(policy.data())
    assert (found.plan.new, found.plan.old) == (plan.new, plan.old)
    assert {names[0], plan.new.member} <= set(found.plan.considered)
    assert bool(found.seen) == (size == 300), 'the next look lists the members'


def test_what_is_left_of_a_large_failover_takes_little_room():
    volumes = [f'{number:036}' for number in range(60)]
    world = worlds.seen(
        (worlds.candidate('a'), worlds.candidate('b')), volumes=volumes, chained=CHAINED
    )
    plan = decide.answer(signals.Signal(), world).plan
    before = model.Record(plan=plan, active=plan.old)
    room = [
        len(serialization.compact(serialization.encode(known)))
        for known in (before, outcome.at_end(before, plan, ()))
    ]
    assert room[1] - room[0] < 1000


# --- other failovers of the same engine -------------------------------------------------------


@pytest.fixture
def other(monkeypatch):
    """Another failover of this engine that has something to move, and where the waits go."""
    moves = moves_under_way.MovesUnderWay()
    moves.begin('other')
    monkeypatch.setattr(moves_under_way, 'HERE', moves)
    waits = []

    def make_way(key, seconds, is_needed):
        waits.append((key, seconds, moves.wait('third', 0.0), is_needed()))
        moves.end('other')

    monkeypatch.setattr(moves_under_way, 'make_way', make_way)
    return types.SimpleNamespace(moves=moves, waits=waits)


def test_heats_record_of_what_has_moved_makes_way_for_what_has_not(group, other):
    policy, seen = Data(), []
    group.hand_over = lambda _plan: seen.append(list(other.waits))
    other.moves.begin(policy.resource_id)
    assert 'failover from a to b: done' in group(policy)
    assert seen == [[(policy.resource_id, moves_under_way.RECORD_WAITS, True, False)]]
    assert policy.resource_id not in other.moves._begun, 'nobody makes way for it any more'


@pytest.mark.parametrize('what', ['a port', 'a config'])
def test_what_is_waited_for_makes_no_way(group, other, what):
    if what == 'a port':
        group.has_all_moved = False
    else:
        group.activate_hook = model.Hook('config', {}, 10.0, 0.0, model.OnFailure.STOP)
    group(Data())
    assert other.waits == []


SIGNAL = model.Remembered('c', 'server-c', True, '2026-01-01T00:00:00+00:00', 'alarm')


@pytest.mark.parametrize('whose', ['an alarm', 'a person'])
def test_a_signal_that_waits_for_its_end_ends_the_making_way(group, other, monkeypatch, whose):
    policy = Data()
    if whose == 'an alarm':
        monkeypatch.setattr(failover_run.remembered, 'among', lambda _data: (SIGNAL,))
    else:
        policy.data_set(failover_run.MAKE_WAY, clock.now_text())
    group(policy)
    assert [is_needed for *_, is_needed in other.waits] == [True]


@pytest.mark.parametrize('is_quiet', [False, True])
def test_what_is_only_tried_again_makes_way_for_a_person(ending, is_quiet):
    policy, plan = Data(), a_plan()
    made = ending(policy, plan)
    made._makes_way = is_quiet
    made.still_wanted()
    policy.data_set(failover_run.MAKE_WAY, clock.now_text())
    if is_quiet:
        with pytest.raises(exceptions.Stopped, match='a person'):
            made.still_wanted()
    else:
        made.still_wanted()
    for of_another_time in ('2020-01-01T00:00:00+00:00', '2220-01-01T00:00:00+00:00'):
        policy.data_set(failover_run.MAKE_WAY, of_another_time)
        made.still_wanted()
