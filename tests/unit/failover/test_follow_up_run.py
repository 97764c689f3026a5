# SPDX-License-Identifier: Apache-2.0
"""What is left of a failover: done, put off, failed, dropped in the middle."""

import dataclasses
import datetime
import types

import pytest

from heat_ha import exceptions, signals
from heat_ha.cloud import lease
from heat_ha.failover import (
    events,
    follow_up_claim,
    follow_up_run,
    heat_steps,
    model,
    observation,
    record,
)
from heat_ha.failover.rules import decide, outcome, work
from heat_ha.groups import model as groups
from heat_ha.testing import clouds
from tests.unit.failover import worlds
from tests.unit.failover.rules.test_outcome import moved
from tests.unit.failover.test_controller import Data

CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)
HELD = types.SimpleNamespace(is_held=lambda: True)


class Lock:
    """A lock that is free; it counts how often it is taken, and says when it is held."""

    def __init__(self):
        self.taken, self.is_held_now, self.is_busy = 0, False, False

    def acquire(self):
        if self.is_busy:
            raise lease.Busy('a failover runs')
        assert not self.is_held_now
        self.taken, self.is_held_now = self.taken + 1, True

    def release(self):
        self.is_held_now = False

    def is_held(self):
        return self.is_held_now


class Policy(Data):
    """A policy whose events are kept."""

    def __init__(self):
        super().__init__()
        self.context, self.events = None, []

    def _add_event(self, *args):
        self.events.append(args)


@pytest.fixture
def over(monkeypatch):
    """A policy with a failover from a to b that is over; ``run`` tries what is left once."""
    monkeypatch.setattr(record, 'read', lambda p: record.record_of(p.data()))
    monkeypatch.setattr(record, 'read_history', lambda p: record.history_of(p.data()))
    monkeypatch.setattr(follow_up_run.resource_data, 'fresh', lambda p: p.data())
    seen = (worlds.holder('b'), worlds.holder('c'))
    monkeypatch.setattr(
        observation, 'with_members_now', lambda _g, known: dataclasses.replace(known, seen=seen)
    )
    monkeypatch.setattr(follow_up_run.clients, 'StackClients', lambda _p: clouds.FakeCloud())
    monkeypatch.setattr(follow_up_run.lease, 'own_engine_id', lambda: 'engine-1')
    monkeypatch.setattr(
        follow_up_run.lease, 'engine_is_alive', lambda _context, engine: engine != 'dead'
    )
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')), chained=CHAINED)
    plan = moved(decide.answer(signals.Signal(), world).plan)
    policy = Policy()
    known = outcome.at_end(model.Record(epoch=2, active=plan.new), plan, {'a', 'b'})
    record.write(policy, known)
    line = outcome.past(plan, 'done', handoff_seconds=1.0, seconds=2.0)
    record.add_to_history(policy, line, HELD)
    lock = Lock()
    asked = []

    def run(replace):
        def do(_self, plan, step, beside):
            assert not lock.is_held_now, 'the next failover would wait for it'
            asked.append((step.target, beside.keep()))
            run.keep, run.at_work = beside.keep, beside.at_work
            run.is_needed = beside.is_needed
            return replace()

        monkeypatch.setattr(heat_steps.HeatSteps, 'replace', do)
        left = record.record_of(policy.data()).follow_ups
        run.made = follow_up_run.FollowUpRun(
            policy, None, lock, events.EventEmitter(policy), left[0], 'deleting'
        )
        run.tried = run.made.carry_out()
        return record.record_of(policy.data())

    run.policy, run.asked, run.plan, run.lock = policy, asked, plan, lock
    return run


def raises(exc):
    def replace():
        raise exc

    return replace


def test_who_stays_is_asked_for_again_while_a_member_is_replaced(over):
    def becomes_active():
        known = record.record_of(over.policy.data())
        record.write(over.policy, dataclasses.replace(known, active=worlds.holder('c')))
        return f'{over.keep()} stay'

    known = over(becomes_active)
    assert over.asked == [('a', ('b',))]
    assert known.plan.step('replace').reason == "('c',) stay"


def test_what_is_done_is_off_the_record_and_in_the_graph_and_in_the_history(over):
    known = over(lambda: 'replaced a by c')
    assert over.asked == [('a', ('b',))]
    assert known.follow_ups == () and known.suspects == () and known.plan.is_done
    [line] = record.history_of(over.policy.data())
    assert line['outcome'] == 'done' and 'replace' in line['steps']
    assert known.seen == (worlds.holder('b'), worlds.holder('c'))
    assert [args[1] for args in over.policy.events][-1] == events.COMPLETE


def test_what_fails_is_tried_again_later_and_says_so(over):
    reason = exceptions.Stopped('the volume of a has a snapshot', 'Delete it')
    for tries in range(1, 9):
        before = len(over.policy.events)
        known = over(raises(reason))
        [left] = known.follow_ups
        assert (left.tries, left.engine, left.reason) == (tries, '', reason.reason)
        assert known.state is model.State.READY and known.suspects == ('a',)
        seconds = datetime.datetime.fromisoformat(left.due) - datetime.datetime.now(
            datetime.timezone.utc
        )
        assert 0.5 * work.again_after(tries) < seconds.total_seconds() <= work.again_after(tries)
        failures = [a for a in over.policy.events[before:] if a[1] == events.FAILED]
        assert bool(failures) is (tries in (1, 2, 4, 8))
        assert all('drop' in a[2] and 'snapshot' in a[2] for a in failures)
    assert over(lambda: 'replaced a by c').follow_ups == ()


def test_a_group_that_somebody_else_changes_is_no_failure(over):
    known = over(raises(heat_steps.GroupBusy('group is being scaled')))
    [left] = known.follow_ups
    assert left.tries == 0 and left.due and 'being scaled' in left.reason
    assert not [a for a in over.policy.events if a[1] == events.FAILED]


def test_an_error_that_nobody_expects_is_a_try_that_failed(over):
    [left] = over(raises(RuntimeError('what?'))).follow_ups
    assert left.tries == 1 and 'what?' in left.reason


def test_what_was_dropped_is_not_done_and_does_not_come_back(over):
    def drop():
        known = record.record_of(over.policy.data())
        record.write(over.policy, dataclasses.replace(known, follow_ups=()))
        raise exceptions.Stopped('too late', 'x')

    assert over(drop).follow_ups == ()
    known = record.record_of(over.policy.data())
    left = model.FollowUp(over.plan)
    follow_up_run.FollowUpRun(
        over.policy, None, over.lock, events.EventEmitter(over.policy), left, 'deleting'
    ).carry_out()
    assert record.record_of(over.policy.data()) == known and len(over.asked) == 1


def test_nothing_is_replaced_for_a_policy_that_is_being_deleted(over):
    over.policy.data_set('deleting', 'true')
    over(lambda: 'replaced a by c')
    assert over.asked == []


def test_who_is_the_active_or_is_to_become_it_stays_whatever_has_happened_since(over):
    known = record.record_of(over.policy.data())
    world = worlds.seen(
        (worlds.candidate('b'), worlds.candidate('c')),
        record=dataclasses.replace(known, follow_ups=()),
        plan_id='p2',
    )
    running = decide.answer(signals.Signal(member='b'), world).plan
    record.write(over.policy, dataclasses.replace(known, plan=running, state=model.State.RUNNING))
    known = over(lambda: 'replaced a by d')
    assert over.asked == [('a', ('b', 'c'))]
    # The failover that has begun since keeps its plan.
    assert known.plan == running and known.follow_ups == ()


def ago(seconds):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now - datetime.timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ('engine', 'seconds', 'is_taken_up'),
    [
        ('living', -30, False),
        ('living', 0.5 * work.CLAIMED_FOR, False),
        # Its thread has ended without a word, or it would have put that off.
        ('living', work.CLAIMED_FOR + 1, True),
        ('dead', -30, False),
        ('dead', 1, True),
        ('engine-1', -30, True),
        ('engine-1', 1, True),
        ('', 1, True),
    ],
)
def test_a_claim_that_was_not_put_off_is_taken_up_whoever_lives(over, engine, seconds, is_taken_up):
    known = record.record_of(over.policy.data())
    [left] = known.follow_ups
    claimed = dataclasses.replace(left, engine=engine, due=ago(seconds))
    record.write(over.policy, work.with_follow_up(known, claimed))
    known = over(lambda: 'replaced a by c')
    assert bool(over.asked) is is_taken_up
    assert (known.follow_ups == ()) is is_taken_up
    assert (over.tried is follow_up_run.Tried.ELSEWHERE) is not is_taken_up


def test_whoever_works_puts_the_end_of_the_claim_off(over, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(follow_up_claim, 'time', types.SimpleNamespace(monotonic=lambda: clock[0]))
    later = [datetime.timedelta()]
    now = datetime.datetime.now(datetime.timezone.utc)
    monkeypatch.setattr(follow_up_claim.clock, 'now', lambda: now + later[0])

    def works():
        for seconds in range(0, 3600, 2):
            clock[0], later[0] = 1000.0 + seconds, datetime.timedelta(seconds=seconds)
            # A failover that runs has the lock for some time.
            over.lock.is_busy = seconds % 100 < 30
            over.at_work()
            [left] = record.record_of(over.policy.data()).follow_ups
            assert left.engine == 'engine-1'
            assert work.is_claimed(left.engine, left.due, now + later[0], lambda _: True)
        over.lock.is_busy = False
        return 'replaced a by c'

    assert over(works).follow_ups == ()
    assert 3600 / follow_up_claim.RENEW_EVERY / 2 < over.lock.taken < 300


def test_a_claim_that_cannot_be_put_off_hinders_no_work(over, monkeypatch):
    monkeypatch.setattr(follow_up_claim, 'RENEW_EVERY', 0.0)

    monkeypatch.setattr(follow_up_claim, 'time', types.SimpleNamespace(monotonic=lambda: 1.0))
    lock, acquire = over.lock, over.lock.acquire

    def works():
        lock.acquire = lambda: 1 / 0
        over.at_work()
        lock.acquire = acquire
        return 'replaced a by c'

    assert over(works).follow_ups == ()


def test_what_another_engine_has_taken_over_keeps_its_claim(over):
    def taken_over(end):
        def replace():
            known = record.record_of(over.policy.data())
            [left] = known.follow_ups
            other = dataclasses.replace(left, engine='living', due=ago(-60))
            record.write(over.policy, work.with_follow_up(known, other))
            raise end

        return replace

    for end in (exceptions.Stopped('taken over', 'x'), heat_steps.GroupBusy('busy')):
        before = len(over.policy.events)
        [left] = over(taken_over(end)).follow_ups
        assert left.engine == 'living' and left.tries == 0
        assert events.FAILED not in [args[1] for args in over.policy.events[before:]]
        known = record.record_of(over.policy.data())
        record.write(over.policy, work.with_follow_up(known, dataclasses.replace(left, engine='')))
        known = record.record_of(over.policy.data())


def test_to_wait_for_a_busy_group_is_no_progress(over):
    over(raises(heat_steps.GroupBusy('group is being scaled')))
    assert over.tried is follow_up_run.Tried.PUT_OFF
    over(raises(heat_steps.StillRemoving('a is still being deleted')))
    assert over.tried is follow_up_run.Tried.PUT_OFF
    over(raises(exceptions.Stopped('no', 'x')))
    assert over.tried is follow_up_run.Tried.ENDED
    over(lambda: 'replaced a by c')
    assert over.tried is follow_up_run.Tried.ENDED


def test_a_deletion_that_is_left_to_heat_is_no_failure_and_is_looked_at_again(over):
    [left] = over(raises(heat_steps.StillRemoving('a is still being deleted'))).follow_ups
    assert left.tries == 0 and left.engine == '' and 'being deleted' in left.reason
    due = datetime.datetime.fromisoformat(left.due) - datetime.datetime.now(datetime.timezone.utc)
    assert 0 < due.total_seconds() <= follow_up_run.AFTER_REMOVAL
    assert not [a for a in over.policy.events if a[1] == events.FAILED]


@pytest.mark.parametrize('is_due', [False, True])
def test_a_deletion_is_waited_for_only_while_nothing_else_is_due(over, monkeypatch, is_due):
    monkeypatch.setattr(follow_up_run.lease, 'is_held_by_living', lambda *_args: False)
    other = model.FollowUp(
        dataclasses.replace(over.plan, plan_id='p9'), due=ago(1 if is_due else -60)
    )
    answers = []

    def waits():
        known = record.record_of(over.policy.data())
        record.write(over.policy, dataclasses.replace(known, follow_ups=(*known.follow_ups, other)))
        answers.append(over.is_needed())
        return 'replaced a by c'

    over(waits)
    assert answers == [is_due]


def test_an_engine_whose_follow_up_was_taken_over_leaves_off_when_it_wakes_up(over):
    """Each question says so, whatever it is asked for, and its end is not put on record."""
    asked = []

    def replace():
        known = record.record_of(over.policy.data())
        [left] = known.follow_ups
        other = dataclasses.replace(left, engine='living', due=ago(-60))
        record.write(over.policy, work.with_follow_up(known, other))
        for check in (over.made.still_wanted, over.made.check_ours):
            with pytest.raises(follow_up_run.NoLongerWanted, match='living'):
                check()
            asked.append(check)
        return 'replaced a by c'

    before = len(over.policy.events)
    [left] = over(replace).follow_ups
    assert len(asked) == 2 and left.engine == 'living'
    assert events.COMPLETE not in [args[1] for args in over.policy.events[before:]]
