# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime
import itertools

import pytest

from heat_ha import signals
from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover import model
from heat_ha.failover.model import StepKind
from heat_ha.failover.rules import decide, later, limited, plan_builder, ways_out
from heat_ha.groups import model as groups
from tests.unit.failover import worlds

ALARM = signals.Signal()
CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)


# --- what a signal leads to ------------------------------------------------------------------


def all_groups(most):
    """Every group of up to ``most`` members with every state that matters."""
    states = [
        {'status': status, 'is_failed': failed, 'is_in_progress': busy}
        for status in ServerStatus
        for failed in (False, True)
        for busy in (False, True)
    ]
    for size in range(most + 1):
        for combination in itertools.product(states, repeat=size):
            yield tuple(
                worlds.candidate(name, **state)
                for name, state in zip('abc', combination, strict=False)
            )


def healthy(candidate):
    return (
        candidate.server.status is ServerStatus.ACTIVE
        and not candidate.member.is_failed
        and not candidate.member.is_in_progress
    )


ENDED = {ServerStatus.SHUTOFF, ServerStatus.GONE, ServerStatus.ERROR}


def is_lost(candidate):
    is_gone = candidate.server.status is ServerStatus.GONE
    return not candidate.member.is_in_progress and (candidate.member.is_failed or is_gone)


# S5
def test_only_a_healthy_member_other_than_the_active_ever_becomes_the_successor():
    count = 0
    for candidates in all_groups(3):
        for active in ('a', None):
            count += 1
            found = decide.answer(ALARM, worlds.seen(candidates, active=active))
            successors = [c for c in candidates if healthy(c) and c.member.name != active]
            if isinstance(found, decide.Start) and found.plan.new is not None:
                chosen = next(c for c in candidates if c.member.name == found.plan.new.member)
                assert chosen in successors
            elif isinstance(found, decide.Start):
                others = [c for c in candidates if c.member.name != active]
                if len(candidates) > 1:
                    assert all(is_lost(c) for c in others), 'a cold failover without standbys'
                    assert active is None or candidates[0].server.status in ENDED
                assert found.plan.steps[0].kind is StepKind.ADD_MEMBER
            else:
                assert isinstance(found, (decide.Refuse, later.Remember)) and not successors
    # A member has 6 * 2 * 2 states: 1 + 24 + 24² + 24³ groups, with and without an active.
    assert count == (1 + 24 + 24**2 + 24**3) * 2


@pytest.mark.parametrize('chained', [None, CHAINED])
@pytest.mark.parametrize('active', ['a', 'gone', None])
@pytest.mark.parametrize('lost', [1, 2])
def test_where_all_others_are_lost_their_successor_is_made_first(chained, active, lost):
    others = [worlds.candidate(name, is_failed=True) for name in 'bc'[:lost]]
    down = [worlds.candidate('a', status=ServerStatus.SHUTOFF)] if active == 'a' else []
    seen = worlds.seen((*down, *others), active=active, chained=chained)
    found = decide.answer(ALARM, seen)
    assert found.plan.new is None and found.plan.steps[0].kind is StepKind.ADD_MEMBER
    # The group has its size afterwards: one goes and one comes.
    assert found.plan.replaces == ('a' if down else 'b',)
    retained = tuple(model.Retained(name, f'server-{name}', '') for name in 'bc')
    record = dataclasses.replace(seen.record, retained=retained)
    found = decide.answer(ALARM, dataclasses.replace(seen, record=record))
    assert found.plan.replaces == (('a',) if down else ())


def test_a_member_that_is_well_again_takes_over_where_none_can_be_made():
    down, lost = worlds.candidate('a', status=ServerStatus.SHUTOFF), worlds.candidate('b')
    failed = worlds.candidate('b', is_failed=True)
    plan = decide.answer(ALARM, worlds.seen((down, failed), chained=CHAINED)).plan
    assert plan_builder.added(plan) == f'ha{plan.plan_id}'
    for state in model.StepState:
        begun = plan.with_step(dataclasses.replace(plan.step('add_member'), state=state))
        record = dataclasses.replace(worlds.seen((down,)).record, plan=begun)
        for action in (None, *model.Action):
            signal = signals.Signal(action=action)
            still = decide.answer(signal, worlds.seen((down, failed), record=record))
            assert not isinstance(still, decide.Start), (state, action)
        world = worlds.seen((down, lost), record=record)
        for action in (None, model.Action.FAILOVER, model.Action.RETRY, model.Action.RESUME):
            now = decide.answer(signals.Signal(action=action), world).plan
            assert now.new == worlds.holder('b') and now.replaces == ('a',)
            # What was made, or is perhaps being made, comes in the place of the old one.
            is_begun = state is not model.StepState.PENDING
            assert plan_builder.added(now) == (plan_builder.added(plan) if is_begun else '')
            assert not now.is_moved and now.old == plan.old
            again = ways_out.with_successor(now, world, worlds.holder('c'))
            assert plan_builder.added(again) == plan_builder.added(now)
            sick = ways_out.with_successor(now, world, worlds.holder('c'), is_sick=True)
            assert sick.replaces == ('a', 'b') and plan_builder.added(sick) == ''


@pytest.mark.parametrize('chained', [None, CHAINED])
def test_the_member_that_a_plan_has_made_is_its_successor_and_the_old_one_is_replaced(chained):
    """Its engine died before it wrote that down, or the member was not well at first."""
    down = worlds.candidate('a', status=ServerStatus.SHUTOFF)
    plan = decide.answer(ALARM, worlds.seen((down,), chained=chained)).plan
    assert plan.replaces == ('a',)
    for state in model.StepState:
        begun = plan.with_step(dataclasses.replace(plan.step('add_member'), state=state))
        record = dataclasses.replace(worlds.seen((down,)).record, plan=begun)
        made = worlds.candidate(plan_builder.added(plan))
        for action in (None, model.Action.FAILOVER, model.Action.RETRY, model.Action.RESUME):
            signal = signals.Signal(action=action)
            found = decide.answer(signal, worlds.seen((down, made), record=record))
            assert found == decide.GoOn(begun), (state, action)
        # Another member that came meanwhile takes over, and the old one goes for the one made.
        other = worlds.seen((down, made, worlds.candidate('z')), record=record)
        turned = ways_out.with_successor(begun, other, worlds.holder('z'))
        is_begun = state is not model.StepState.PENDING
        assert turned.replaces == (('a',) if is_begun or chained is not None else ())


@pytest.mark.parametrize('status', ServerStatus)
@pytest.mark.parametrize('is_failed', [False, True])
@pytest.mark.parametrize('active', ['gone', None])
def test_a_new_member_comes_in_the_place_of_a_lost_one_only(status, is_failed, active):
    alone = worlds.candidate('b', status=status, is_failed=is_failed)
    found = decide.answer(ALARM, worlds.seen((alone,), active=active))
    if healthy(alone):
        assert found.plan.new == worlds.holder('b')
    else:
        assert found.plan.replaces == (('b',) if is_lost(alone) else ()), 'no answer is none (S2)'


def test_a_plan_whose_engine_died_after_its_last_step_is_ended_by_resume():
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')))
    plan = decide.answer(ALARM, world).plan
    for step in plan.steps:
        plan = plan.with_step(dataclasses.replace(step, state=model.StepState.DONE))
    assert plan.is_done
    for state in model.State:
        record = dataclasses.replace(world.record, plan=plan, state=state)
        seen = dataclasses.replace(world, record=record)
        answer = decide.answer(signals.Signal(action=model.Action.RESUME), seen)
        is_ended = isinstance(answer, decide.GoOn)
        assert is_ended is (state is not model.State.READY), (state, answer)
        assert (decide.left_at_its_end(record) == plan) is is_ended
        # What has failed since is not taken for that plan's.
        assert not isinstance(decide.answer(ALARM, seen), decide.GoOn)
    assert decide.left_at_its_end(model.Record(state=model.State.RUNNING)) is None
    unfinished = decide.answer(ALARM, world).plan
    for state in model.State:
        record = dataclasses.replace(world.record, plan=unfinished, state=state)
        assert decide.left_at_its_end(record) is None


# S3
def test_no_second_plan_starts_while_one_is_unfinished_or_the_policy_is_paused():
    group = (worlds.candidate('a'), worlds.candidate('b'))
    started = decide.answer(ALARM, worlds.seen(group))
    assert isinstance(started, decide.Start)
    for action in (None, model.Action.FAILOVER, model.Action.SWITCHOVER, model.Action.RESUME):
        signal = signals.Signal(action=action)
        running = model.Record(epoch=1, active=worlds.holder('a'), plan=started.plan)
        found = decide.answer(signal, worlds.seen(group, record=running))
        assert found == decide.GoOn(started.plan)
        paused = dataclasses.replace(running, is_paused=True)
        assert isinstance(decide.answer(signal, worlds.seen(group, record=paused)), decide.Refuse)


def test_a_plan_is_taken_up_for_its_own_members_and_never_for_a_foreign_one():
    group = (worlds.candidate('a'), worlds.candidate('b'))
    plan = decide.answer(ALARM, worlds.seen(group)).plan
    record = model.Record(epoch=1, active=worlds.holder('a'), plan=plan)
    # The old active may be gone from the group already.
    world = worlds.seen(group[1:], record=record)
    for name in ('a', 'server-a', None):
        assert decide.answer(signals.Signal(member=name), world) == decide.GoOn(plan)
    for name in ('b', 'server-b'):
        # It says that the successor is sick, which lets no plan go on.
        found = decide.answer(signals.Signal(member=name), world)
        assert isinstance(found, later.Remember)
    found = decide.answer(signals.Signal(member='server-of-somebody'), world)
    assert isinstance(found, decide.Refuse)


@pytest.mark.parametrize('state', [signals.AlarmState.OK, signals.AlarmState.INSUFFICIENT_DATA])
def test_an_alarm_that_is_over_moves_nothing(state):
    group = (worlds.candidate('a'), worlds.candidate('b'))
    found = decide.answer(signals.Signal(alarm_state=state), worlds.seen(group))
    assert isinstance(found, decide.Nothing)


# S7
@pytest.mark.parametrize('action', [None, model.Action.FAILOVER, model.Action.SWITCHOVER])
def test_a_signal_that_names_a_foreign_member_is_refused(action):
    group = (worlds.candidate('a'), worlds.candidate('b'))
    signal = signals.Signal(action=action, member='server-of-somebody')
    found = decide.answer(signal, worlds.seen(group, chained=CHAINED))
    assert isinstance(found, decide.Refuse) and 'server-of-somebody' in found.reason


@pytest.mark.parametrize('name', ['a', 'ref-a', 'server-a'])
def test_the_active_may_be_named_by_name_reference_or_server(name):
    group = (worlds.candidate('a'), worlds.candidate('b'))
    found = decide.answer(signals.Signal(member=name), worlds.seen(group, chained=CHAINED))
    assert isinstance(found, decide.Start) and found.plan.new == worlds.holder('b')


@pytest.mark.parametrize('signal', [ALARM, signals.Signal(member='server-a')])
@pytest.mark.parametrize('left', ['bc', 'b'])
def test_an_active_that_is_no_member_any_more_is_handed_over_and_not_replaced(signal, left):
    group = tuple(worlds.candidate(name) for name in left)
    world = worlds.seen(group, active='a', chained=CHAINED)
    plan = decide.answer(signal, world).plan
    assert plan.new == worlds.holder('b') and plan.old == worlds.holder('a')
    assert all(s.kind is not StepKind.REPLACE for s in plan.steps)


def test_a_new_server_under_the_name_of_the_active_may_take_over_and_is_not_replaced():
    group = (worlds.candidate('a', servers=('server-new',)),)
    group = (dataclasses.replace(group[0], server=cloud.Server('server-new', ServerStatus.ACTIVE)),)
    for signal in (ALARM, signals.Signal(member='server-a')):
        plan = decide.answer(signal, worlds.seen(group, active='a', chained=CHAINED)).plan
        assert plan.new == model.MemberServer('a', 'server-new')
        assert [s.kind for s in plan.steps] == [
            StepKind.DETACH,
            StepKind.ATTACH,
            StepKind.HAND_OVER,
        ]


def test_a_sick_standby_is_replaced_and_nothing_moves():
    group = (worlds.candidate('a'), worlds.candidate('b'))
    signal = signals.Signal(member='server-b')
    found = decide.answer(signal, worlds.seen(group, chained=CHAINED))
    assert isinstance(found, decide.Start)
    assert [(s.kind, s.target) for s in found.plan.steps] == [(StepKind.REPLACE, 'b')]
    assert isinstance(decide.answer(signal, worlds.seen(group)), decide.Refuse)


def test_a_member_that_was_left_as_sick_is_no_standby_until_it_is_replaced():
    group = (worlds.candidate('a'), worlds.candidate('b'))
    record = model.Record(epoch=2, active=worlds.holder('b'), suspects=('a',))
    found = decide.answer(ALARM, worlds.seen(group, record=record))
    assert isinstance(found, decide.Refuse) and 'reported sick' in found.reason
    asked = decide.answer(
        signals.Signal(action=model.Action.SWITCHOVER), worlds.seen(group, record=record)
    )
    assert isinstance(asked, decide.Start) and asked.plan.new == worlds.holder('a')


@pytest.mark.parametrize(
    ('ahead', 'is_refused'), [(2, True), (59, True), (61, False), (1e8, False)]
)
def test_a_failover_on_record_from_the_future_holds_back_no_longer_than_one_of_the_past(
    ahead, is_refused
):
    limits = model.Limits(cooldown=60, max_failovers=1, period=60)
    past = (worlds.NOW + datetime.timedelta(seconds=ahead),)
    assert (limited.refusal(limits, past, worlds.NOW) is not None) is is_refused


@pytest.mark.parametrize('action', [None, model.Action.FAILOVER, model.Action.SWITCHOVER])
@pytest.mark.parametrize('active', [None, 'gone'])
def test_a_group_without_members_gets_none_made_for_it(action, active):
    world = worlds.seen((), active=active)
    answer = decide.answer(signals.Signal(action=action), world)
    assert isinstance(answer, decide.Refuse) and 'group' in answer.reason


def test_cooldown_and_flapping_guard_hold_back_alarms_but_no_switchover():
    group = (worlds.candidate('a'), worlds.candidate('b'))
    ago = [worlds.NOW - datetime.timedelta(seconds=s) for s in (50, 100, 150)]
    for limits, refused in (
        (model.Limits(cooldown=51), True),
        (model.Limits(cooldown=50), False),
        (model.Limits(max_failovers=3, period=151), True),
        (model.Limits(max_failovers=3, period=150), False),
        (model.Limits(max_failovers=4, period=1000), False),
    ):
        world = worlds.seen(group, limits=limits, past_failovers=tuple(ago))
        assert isinstance(decide.answer(ALARM, world), decide.Refuse) is refused, limits
        asked = decide.answer(signals.Signal(action=model.Action.SWITCHOVER), world)
        assert isinstance(asked, decide.Start)


def test_a_dry_run_says_what_would_be_done_and_why_not_by_the_others():
    group = (
        worlds.candidate('a'),
        worlds.candidate('b', status=ServerStatus.ERROR),
        worlds.candidate('c'),
    )
    found = decide.answer(signals.Signal(action=model.Action.PLAN), worlds.seen(group))
    assert isinstance(found, decide.Show) and isinstance(found.answer, decide.Start)
    assert found.answer.plan.new == worlds.holder('c')
    assert found.considered == {
        'a': 'not eligible: it is the active',
        'b': 'not eligible: its server is ERROR, not ACTIVE',
        'c': 'chosen: its server is ACTIVE',
    }


@pytest.mark.parametrize('action', [None, *model.Action])
def test_every_action_has_an_answer_in_every_state(action):
    group = (worlds.candidate('a'), worlds.candidate('b'))
    plan = decide.answer(ALARM, worlds.seen(group)).plan
    done = dataclasses.replace(
        plan, steps=tuple(dataclasses.replace(s, state=model.StepState.DONE) for s in plan.steps)
    )
    for found, state, is_paused in itertools.product(
        (None, plan, done), model.State, (False, True)
    ):
        record = model.Record(
            state=state, epoch=1, active=worlds.holder('a'), plan=found, is_paused=is_paused
        )
        answer = decide.answer(signals.Signal(action), worlds.seen(group, record=record))
        assert isinstance(answer, decide.Answer), (record, answer)
        if action is not None and action.only_looks:
            assert isinstance(answer, decide.Show)


def test_a_pause_changes_nothing_but_whether_alarms_are_refused():
    plan = decide.answer(ALARM, worlds.seen((worlds.candidate('a'), worlds.candidate('b')))).plan
    for kept_plan, before in itertools.product((None, plan), (True, False)):
        record = model.Record(epoch=1, plan=kept_plan, is_paused=before)
        for action, after in ((model.Action.PAUSE, True), (model.Action.UNPAUSE, False)):
            found = decide.answer(signals.Signal(action), worlds.seen((), record=record))
            assert found.record == dataclasses.replace(record, is_paused=after)


def test_only_a_plan_that_touched_nothing_can_be_cancelled():
    group = (worlds.candidate('a'), worlds.candidate('b'))
    plan = decide.answer(ALARM, worlds.seen(group)).plan
    cancel = signals.Signal(action=model.Action.CANCEL)
    fresh = model.Record(epoch=1, active=worlds.holder('a'), plan=plan)
    found = decide.answer(cancel, worlds.seen(group, record=fresh))
    assert found.record == dataclasses.replace(fresh, plan=None)
    for state in (model.StepState.RUNNING, model.StepState.DONE, model.StepState.FAILED):
        begun = plan.with_step(dataclasses.replace(plan.steps[0], state=state))
        record = dataclasses.replace(fresh, plan=begun)
        assert isinstance(decide.answer(cancel, worlds.seen(group, record=record)), decide.Refuse)
