# SPDX-License-Identifier: Apache-2.0
"""What is left to do when a signal is answered: nothing on record is ever left out."""

import dataclasses
import datetime
import itertools
import typing

import pytest

from heat_ha import signals
from heat_ha.failover import model
from heat_ha.failover.rules import decide, later, work
from heat_ha.groups import model as groups
from tests.unit.failover import worlds
from tests.unit.failover.rules.test_outcome import moved

CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)
PLAN = decide.answer(
    signals.Signal(), worlds.seen((worlds.candidate('a'), worlds.candidate('b')), chained=CHAINED)
).plan
OVER = moved(PLAN)
LATER = (worlds.NOW + datetime.timedelta(seconds=3)).isoformat()
EARLIER = (worlds.NOW - datetime.timedelta(seconds=3)).isoformat()


def kept(member, due=''):
    return model.Remembered(
        member, f'server-{member}', True, worlds.NOW.isoformat(), 'alarm', due=due
    )


def follow_up(due=''):
    return model.FollowUp(OVER, due=due)


DUES = ('', EARLIER, LATER)
WAITING = [(), *([(kept(m, due),) for m in 'ab' for due in DUES])]
FOLLOW_UPS = [(), *([(follow_up(due),) for due in DUES])]
PLANS = [(None, model.State.READY), (OVER, model.State.READY)] + [
    (PLAN, state) for state in (model.State.RUNNING, model.State.STOPPED)
]


def test_nothing_on_record_is_left_out():
    seen = set()
    for waiting, follow_ups, (plan, state), is_paused, is_locked, idle in itertools.product(
        WAITING, FOLLOW_UPS, PLANS, (False, True), (False, True), (0.0, work.PATIENCE + 1)
    ):
        record = model.Record(
            plan=plan, state=state, is_paused=is_paused, follow_ups=follow_ups,
            active=worlds.holder('a'),
        )  # fmt: skip
        step = work.next_work(record, waiting, worlds.NOW, idle, is_locked=is_locked)
        seen.add(type(step))
        is_open = plan is PLAN
        signal_due = any(o.due != LATER for o in waiting)
        match step:
            case work.Nothing():
                assert not waiting and not follow_ups
                assert is_locked or is_paused or not is_open
            case work.Retry():
                assert is_open and not is_locked and not is_paused
            case work.DecideAgain(signal=one):
                assert one.due != LATER and not is_locked and not is_paused
                if is_open:
                    # Only what is about the successor of a plan that nobody is at.
                    assert one.server == 'server-b'
            case work.CarryOut(follow_up=one):
                assert one.due != LATER and not is_paused
                assert not signal_due or is_open or is_locked, 'signals come first'
            case work.Pause(seconds=seconds):
                assert 0.0 < seconds <= work.LOOK_EVERY and idle <= work.PATIENCE
                assert waiting or follow_ups or is_open
            case work.Leave():
                assert (
                    idle > work.PATIENCE
                    or is_paused
                    or (not follow_ups and not is_locked and is_open)
                )
    assert seen == set(typing.get_args(work.Work)) - {work.Expire}


def test_a_signal_is_about_the_successor_by_its_server_or_by_the_name_that_its_sender_gave_it():
    def about(member, server, *, is_named=True, named=''):
        one = model.Remembered(member, server, is_named, EARLIER, 'alarm', named=named)
        return work.is_about_successor(one, PLAN)

    assert PLAN.new == worlds.holder('b')
    assert about('b', 'server-b') and about('b', 'server-b', is_named=False)
    # The record was late: the member has had another server.
    assert about('b', 'server-of-then', named='b') and about('b', 'b')
    assert not about('b', 'server-of-then') and not about('b', 'server-of-then', is_named=False)
    assert not about('c', 'server-c', named='c')


def test_a_plan_that_stopped_is_tried_again_unless_a_person_has_to_say_so():
    for step, is_paused, is_locked, due in itertools.product(
        PLAN.steps, (False, True), (False, True), DUES
    ):
        failed = dataclasses.replace(step, state=model.StepState.FAILED)
        record = model.Record(
            plan=PLAN.with_step(failed),
            state=model.State.STOPPED,
            is_paused=is_paused,
            retry_due=due,
        )
        found = work.next_work(record, (), worlds.NOW, 0.0, is_locked=is_locked)
        may = not is_paused and not is_locked
        assert (found == work.Retry()) is (may and due != LATER), step.name
    for kind in (model.StepKind.QUIESCE, model.StepKind.ACTIVATE):
        hook = model.Step('hook', kind, '', state=model.StepState.FAILED)
        record = model.Record(
            plan=dataclasses.replace(PLAN, steps=(*PLAN.steps, hook)), state=model.State.STOPPED
        )
        assert not work.may_be_retried(record)
    assert max(work.retry_pause(tries) for tries in range(1000)) < 60


def test_expired_members_go_when_nothing_else_is_under_way_and_again_when_that_is_due():
    old = model.Retained('a', 'server-a', EARLIER)
    for state, is_paused in itertools.product(model.State, (False, True)):
        record = model.Record(
            state=state, active=worlds.holder('b'), retained=(old,), is_paused=is_paused
        )
        step = work.next_work(record, (), worlds.NOW, 0.0, is_locked=False)
        is_quiet = state is model.State.READY and not is_paused
        assert step == (work.Expire(old) if is_quiet else work.Nothing())
        later = dataclasses.replace(old, due=LATER, reason='no')
        record = dataclasses.replace(record, retained=(later,))
        assert work.next_work(record, (), worlds.NOW, 0.0, is_locked=False) == work.Nothing()
        [again] = work.all_due(record).retained
        assert work.expired((again,), worlds.NOW) == (again,)


def test_of_several_retained_members_the_newest_stays_until_its_time():
    times = [EARLIER, LATER]
    old, new = (model.Retained(m, '', t) for m, t in zip('ab', times, strict=True))
    assert work.expired((old, new), worlds.NOW) == (old,)
    newest = dataclasses.replace(new, until=LATER)
    older = dataclasses.replace(old, until=LATER[:-6] + '-12:00')
    assert older not in work.expired((newest,), worlds.NOW)


def test_tries_come_less_and_less_often_and_are_never_given_up():
    pauses = [work.again_after(tries) for tries in range(1, 1000)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (work.FIRST_AGAIN, work.LONGEST_AGAIN)


def test_a_try_that_fails_is_reported_when_it_is_news_and_as_a_reminder():
    reported = [tries for tries in range(1, 100) if work.is_reported(tries, is_news=False)]
    assert reported == [1, 2, 4, 8, 16, 32, 64, 96]
    assert all(work.is_reported(tries, is_news=True) for tries in range(1, 100))
    reported = [tries for tries in range(1, 10_000) if work.is_reported(tries, is_news=False)]
    silent = [b - a for a, b in itertools.pairwise(reported)]
    assert max(silent) * work.LONGEST_AGAIN <= 8 * 3600, 'a reminder comes at last every 8 hours'


def test_follow_ups_are_changed_by_their_plan():
    other = model.FollowUp(dataclasses.replace(OVER, plan_id='p9'))
    record = model.Record(follow_ups=(follow_up(), other))
    changed = dataclasses.replace(other, tries=3, due=LATER)
    found = work.with_follow_up(record, changed)
    assert found.follow_ups == (follow_up(), changed)
    assert work.follow_up_of(found, 'p9') == changed
    assert work.follow_up_of(found, 'p8') is None
    assert [one.due for one in work.all_due(found).follow_ups] == ['', '']
    gone = model.FollowUp(dataclasses.replace(OVER, plan_id='p8'))
    assert work.with_follow_up(record, gone) == record, 'what was dropped does not come back'


def test_what_else_is_due_comes_before_the_wait_for_a_deletion():
    other = dataclasses.replace(OVER, plan_id='p9')
    claimed = dataclasses.replace(follow_up(LATER), engine='x')
    retained = model.Retained('c', 'server-c', EARLIER)
    cases = {
        'nothing': ({}, (), False),
        'another replacement': ({'follow_ups': (model.FollowUp(other),)}, (), True),
        'one that is due later': ({'follow_ups': (model.FollowUp(other, due=LATER),)}, (), False),
        'a signal': ({}, (kept('b'),), True),
        'a signal that is due later': ({}, (kept('b', LATER),), False),
        'a member kept long enough': ({'retained': (retained,)}, (), True),
        'a plan that stopped': ({'plan': PLAN, 'state': model.State.STOPPED}, (), True),
        'a paused policy': ({'follow_ups': (model.FollowUp(other),), 'is_paused': True}, (), False),
    }
    for case, (changes, waiting, is_due) in cases.items():
        record = model.Record(active=worlds.holder('a'), **changes)
        record = dataclasses.replace(record, follow_ups=(*record.follow_ups, claimed))
        found = work.is_other_due(record, waiting, worlds.NOW, OVER.plan_id, is_locked=False)
        assert found is is_due, case
        if 'plan' in changes:
            # Who has the lock is at it.
            assert not work.is_other_due(
                record, waiting, worlds.NOW, OVER.plan_id, is_locked=True
            ), case


def test_no_claim_counts_for_long_that_is_not_put_off():
    for engine, age, is_alive in itertools.product(
        ('', 'other'), (None, -60, -1, 1, 59, 61, 10**6), (False, True)
    ):
        due = '' if age is None else (worlds.NOW - datetime.timedelta(seconds=age)).isoformat()
        found = work.is_claimed(engine, due, worlds.NOW, lambda _, is_alive=is_alive: is_alive)
        is_of_late = age is not None and (age < 0 or (age < work.CLAIMED_FOR and is_alive))
        assert found is (bool(engine) and is_of_late), (engine, age, is_alive)


HOURS_AHEAD = (worlds.NOW + datetime.timedelta(hours=5)).isoformat()
WRITTEN_AHEAD = {
    'a signal': ({}, kept('a', HOURS_AHEAD), work.DecideAgain),
    'a plan that stopped': (
        {'plan': PLAN, 'state': model.State.STOPPED, 'retry_due': HOURS_AHEAD}, None, work.Retry
    ),
    'a follow-up': ({'follow_ups': (follow_up(HOURS_AHEAD),)}, None, work.CarryOut),
    'a removal': (
        {'retained': (model.Retained('c', 'server-c', EARLIER, due=HOURS_AHEAD),)}, None,
        work.Expire,
    ),
}  # fmt: skip


@pytest.mark.parametrize('what', WRITTEN_AHEAD)
def test_what_was_put_off_by_a_clock_that_was_ahead_is_due(what):
    changes, signal, kind = WRITTEN_AHEAD[what]
    record = model.Record(active=worlds.holder('b'), **changes)
    waiting = (signal,) if signal else ()
    assert isinstance(work.next_work(record, waiting, worlds.NOW, 0.0, is_locked=False), kind)
    # Whatever clock comes next, it is not put off for longer than by this one.
    for longest in (work.LONGEST_RETRY, later.LONGEST_WAIT, work.LONGEST_AGAIN):
        assert not work.is_due(work.at(worlds.NOW, longest), worlds.NOW, longest)
        assert work.is_due(work.at(worlds.NOW, 2 * longest + 1), worlds.NOW, longest)


def test_a_member_is_retained_for_as_long_as_the_template_says():
    known = model.Retained('c', 'server-c', HOURS_AHEAD)
    assert work.expired((known,), worlds.NOW) == ()


@pytest.mark.parametrize('hours', [-5, 5])
def test_no_claim_of_a_clock_that_is_far_off_counts(hours):
    due = (worlds.NOW + datetime.timedelta(hours=hours)).isoformat()
    assert not work.is_claimed('other', due, worlds.NOW, lambda _: True)


def test_what_an_engine_is_at_is_not_due_at_once_because_a_person_asks():
    claimed = dataclasses.replace(follow_up(LATER), engine='x')
    assert work.all_due(model.Record(follow_ups=(claimed,))).follow_ups == (claimed,)


def test_ages_are_never_negative():
    assert work.age(LATER, worlds.NOW) == 0.0 and work.age(EARLIER, worlds.NOW) == 3.0


def test_an_alarm_that_was_kept_while_a_switchover_ran_is_decided_once_that_has_stopped():
    group = (worlds.candidate('a'), worlds.candidate('b'))
    plain = dataclasses.replace(PLAN, chained=None)
    wish = dataclasses.replace(plain, cause=model.Cause.SWITCHOVER)
    for plan, chained, is_named in itertools.product(
        (PLAN, plain, wish), (None, CHAINED), (False, True)
    ):
        for active in (plan.old, plan.new):
            record = model.Record(
                epoch=1, active=active, plan=plan, state=model.State.WAITING_FOR_FENCE
            )
            one = dataclasses.replace(kept('a'), is_named=is_named, chained=chained)
            step = work.next_work(record, (one,), worlds.NOW, 0.0, is_locked=False)
            asks_for_more = plan is wish or (plan is plain and chained is not None)
            is_due = asks_for_more and (is_named or active == plan.old)
            assert isinstance(step, work.DecideAgain if is_due else work.Leave)
            if is_due:
                # And that is the end of it: it does not come here again and again.
                seen = worlds.seen(group, record=record, chained=chained)
                signal = signals.Signal(member='a' if is_named else None)
                assert isinstance(decide.answer(signal, seen), decide.Start)


def test_something_is_left_wherever_an_engine_would_do_or_wait_for_something():
    for waiting, follow_ups, (plan, state), is_paused in itertools.product(
        WAITING, FOLLOW_UPS, PLANS, (False, True)
    ):
        record = model.Record(
            plan=plan, state=state, follow_ups=follow_ups, is_paused=is_paused,
            active=worlds.holder('a'),
        )  # fmt: skip
        step = work.next_work(record, waiting, worlds.NOW, 0.0, is_locked=False)
        is_left = work.is_anything_left(record, waiting)
        if isinstance(step, work.Nothing):
            assert not is_left
        elif not is_paused:
            assert is_left
    waits = model.Record(plan=PLAN, state=model.State.WAITING_FOR_FENCE)
    assert work.is_anything_left(waits, ())
