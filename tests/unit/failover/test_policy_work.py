# SPDX-License-Identifier: Apache-2.0
"""One signal, from its arrival until nothing is left: what is kept, and when it is decided."""

import contextlib
import dataclasses
import datetime
import itertools
import types

import pytest

from heat_ha import exceptions, signals
from heat_ha.failover import (
    attributes,
    controller,
    events,
    failover_run,
    instance_failure,
    model,
    policy_work,
    record,
    remembered,
    work_loop,
)
from heat_ha.failover.rules import later, reminders, work
from tests.unit.failover import worlds
from tests.unit.failover.policies import CHAINED, RUNNING, change, kept
from tests.unit.failover.rules.test_outcome import moved
from tests.unit.failover.test_controller import OPTIONS

Action = model.Action


def test_what_is_decided_is_answered_and_nothing_is_kept(made):
    made.answers = ['done']
    assert made.handle(signals.Signal(member='a'), CHAINED, 'alarm') == 'done'
    assert made.decided == [('a', CHAINED, False)] and kept(made) == ()
    assert made.lock.released == 1


@pytest.mark.parametrize('exc', [exceptions.Refused('no'), exceptions.Stopped('no', 'Look')])
def test_the_lock_is_given_back_whatever_becomes_of_the_signal(made, exc):
    made.answers = [exc]
    with pytest.raises(type(exc)):
        made.handle(signals.Signal(), None, 'alarm')
    assert made.lock.released == 1 and not made.lock.is_ours


# S3
@pytest.mark.parametrize('member', ['b', 'server-b'])
def test_a_signal_about_another_member_than_the_failover_under_way_is_kept_and_done_next(
    made, member
):
    change(made, plan=RUNNING, state=model.State.RUNNING)
    made.lock.busy = 'x'
    text = made.handle(signals.Signal(member=member, reason='ill'), CHAINED, 'alarm')
    assert 'is kept' in text
    [one] = kept(made)
    assert (one.member, one.server, one.chained, one.reason) == ('b', 'server-b', CHAINED, 'ill')
    # Who had the lock looks for work when it is over.
    change(made, plan=moved(RUNNING), state=model.State.READY, active=worlds.holder('b'))
    made.lock.busy, made.answers = None, ['done']
    made._loop.go_on(waits=True)
    assert made.decided == [(member, CHAINED, False)] and kept(made) == ()


@pytest.mark.parametrize(('member', 'on_record'), [('b', 'b'), ('server-b', ''), (None, '')])
def test_a_kept_signal_is_decided_by_what_its_sender_called_the_member(made, member, on_record):
    made.answers = [exceptions.TryAgain('Heat updates the group'), 'done']
    made.handle(signals.Signal(member=member), CHAINED, 'alarm')
    [one] = kept(made)
    assert one.named == on_record, 'a version before reads what needs no more than the server'
    # The update has given the member another server.
    change(made, seen=(worlds.holder('a'), model.MemberServer('b', 'server-of-now')))
    made._loop.go_on(waits=True)
    assert [named for named, *_rest in made.decided] == [member, member]


def test_a_signal_about_the_same_member_joins(made):
    change(made, plan=RUNNING, state=model.State.RUNNING)
    made.lock.busy = 'x'
    for named in ('a', 'server-a', None):
        with pytest.raises(exceptions.Refused, match='joins it'):
            made.handle(signals.Signal(member=named), None, 'alarm')
    assert kept(made) == ()


@pytest.mark.parametrize('action', [a for a in Action if a is not Action.FAILOVER])
def test_what_a_person_asks_for_is_refused_while_the_group_is_busy(made, action):
    change(made, plan=RUNNING, state=model.State.RUNNING)
    made.lock.busy = 'x'
    with pytest.raises(exceptions.Refused, match='again'):
        made.handle(signals.Signal(action, 'b'), None, 'alarm')
    assert kept(made) == ()


def test_a_signal_that_cannot_be_decided_is_decided_again_until_it_can(made):
    hindered = later.Remember('no standby can take over', until=3600.0)
    made.answers = [hindered] * 5 + ['done']
    assert 'no standby' in made.handle(signals.Signal(), CHAINED, 'alarm')
    assert [(one.member, one.is_named) for one in kept(made)] == [('a', False)]
    made._loop.go_on(waits=True)
    assert len(made.decided) == 6 and kept(made) == () and made.clock[0] < 60


def test_a_signal_that_comes_while_nobody_is_active_is_about_the_active_in_words(made):
    change(made, active=None)
    made.answers = [later.Remember('no standby', until=100.0)] * 1000
    kept_text = made.handle(signals.Signal(), None, 'alarm')
    [one] = kept(made)
    assert 'about the active waits' in attributes.reason(model.Record(), (one,))
    assert 'about the active waits' in reminders.waits(model.Record(), (one,))[-1].reason
    made._loop.go_on(waits=True)
    texts = [kept_text, *(args[2] for args in made.policy.events)]
    assert len([text for text in texts if 'signal about the active' in text]) >= 2
    assert not [text for text in texts if 'about  ' in text]


def test_an_alarm_that_named_nobody_is_not_about_an_active_that_came_later(made):
    made.answers = [later.Remember('no standby', until=3600.0), 'joined']
    made.handle(signals.Signal(), None, 'alarm')
    change(made, active=worlds.holder('b'))
    made._loop.go_on(waits=True)
    assert made.decided[-1] == (None, None, True), 'the decision hears that it was overtaken'


def test_a_signal_waits_no_longer_than_its_bound_and_its_end_is_an_event(made):
    made.answers = [later.Remember('no standby', until=100.0)] * 1000
    made.handle(signals.Signal(), None, 'alarm')
    made._loop.go_on(waits=True)
    assert kept(made) == () and 100 < made.clock[0] < 100 + 2 * later.LONGEST_PAUSE
    assert any('not decided within 100 s' in args[2] for args in made.policy.events)


def test_a_thread_waits_no_longer_than_its_patience_and_leaves_the_signal_on_record(made):
    made.answers = [later.Remember('no standby', until=10**6)] * 1000
    made.handle(signals.Signal(), None, 'alarm')
    made._loop.go_on(waits=True)
    assert len(kept(made)) == 1
    assert work.PATIENCE < made.clock[0] < work.PATIENCE + 2 * later.LONGEST_PAUSE


@pytest.mark.parametrize('exc', [exceptions.Refused('in no case'), exceptions.Stopped('no', 'x')])
def test_a_kept_signal_that_is_refused_or_stops_is_over_and_says_so(made, exc):
    made.answers = [later.Remember('no standby', until=3600.0), exc]
    made.handle(signals.Signal(), None, 'alarm')
    made._loop.go_on(waits=True)
    assert kept(made) == ()
    assert [args[1] for args in made.policy.events][-1] == events.FAILED


def test_who_waits_for_heat_looks_whether_anybody_is_at_work_at_all(made, monkeypatch):
    made._loop._group = types.SimpleNamespace(resource_id='members')
    looks = []

    def scanner_of(_context, stack_id):
        assert stack_id == 'members' and not looks
        return types.SimpleNamespace(look=lambda: looks.append(made.clock[0]))

    monkeypatch.setattr(work_loop.nested_stack, 'scanner_of', scanner_of)
    made.answers = [later.Remember('Heat is still working on b', until=3600.0)] * 5 + ['done']
    made.handle(signals.Signal(), None, 'alarm')
    made._loop.go_on(waits=True)
    assert kept(made) == () and not made.lock.is_ours
    # As often as it waits, and at most a few seconds apart, until the signal is decided.
    assert len(looks) >= 5 and looks[-1] > 10


def test_after_a_change_of_the_stack_a_thread_asks_for_one_that_has_loaded_it(made):
    made.answers = [later.Remember('no standby', until=3600.0)]
    made.handle(signals.Signal(), None, 'alarm')
    made.statuses[0] = 'UPDATE_IN_PROGRESS'
    made._loop.go_on(waits=True)
    assert made.asked == [made.policy] and len(kept(made)) == 1


def test_signals_are_decided_before_anything_is_replaced(made):
    made.answers = [later.Remember('no standby', until=3600.0), 'done']
    made.handle(signals.Signal(), None, 'alarm')
    left = model.FollowUp(moved(RUNNING))
    change(made, follow_ups=(left,))
    made.while_asleep.append(lambda _now: None)
    order = []
    handle = controller.FailoverController.handle

    def decide_now(self, *args, **kwargs):
        order.append('decided')
        return handle(self, *args, **kwargs)

    controller.FailoverController.handle = decide_now
    try:
        made._loop._carry_out = lambda one: (
            order.append('replaced'),
            change(made, follow_ups=()),
            one,
        )
        made._loop.go_on(waits=True)
    finally:
        controller.FailoverController.handle = handle
    assert order == ['decided', 'replaced']


def test_a_policy_that_is_being_deleted_has_nothing_left_to_do(made):
    change(made, follow_ups=(model.FollowUp(moved(RUNNING)),))
    made.policy.data_set(failover_run.DELETING, 'true')
    made._loop.go_on(waits=True)
    assert made.carried == []


def test_what_goes_wrong_afterwards_does_not_change_the_answer(made, monkeypatch):
    monkeypatch.setattr(work_loop.work, 'next_work', types.SimpleNamespace())
    made._loop.go_on(waits=True)


def test_another_thread_that_was_faster_leaves_nothing_to_decide(made):
    made.answers = [later.Remember('no standby', until=3600.0)]
    made.handle(signals.Signal(), None, 'alarm')
    [one] = kept(made)
    remembered.RememberedSignals(made.policy).forget(one)
    assert made._loop._decide_again(one) and len(made.decided) == 1


def stopped(made, kind, reason='no'):
    plan = RUNNING
    for step in plan.steps:
        if step.kind is kind:
            plan = plan.with_step(dataclasses.replace(step, state=model.StepState.FAILED))
            break
    change(made, plan=plan, state=model.State.STOPPED, reason=reason, remedy='resume')


def test_a_plan_that_stopped_is_tried_again_well_within_a_minute_and_only_news_are_events(made):
    stopped(made, model.StepKind.ATTACH)
    made.answers = [exceptions.Stopped('no', 'x')] * 5 + [exceptions.Stopped('other', 'x')]
    made.answers += [exceptions.Stopped('no', 'x')] * 100
    times = []
    made.while_asleep.append(lambda now: times.append((now, len(made.decided))))
    made._loop.go_on(waits=True)
    tries = [next(now for now, count in times if count >= n) for n in range(1, 10)]
    assert all(b - a < 60 for a, b in itertools.pairwise(tries))
    texts = [args[2] for args in made.policy.events]
    assert texts[:2] == ['tried', 'stopped: other. x']
    assert made.clock[0] > work.PATIENCE


def test_a_config_in_a_server_is_not_run_again_by_itself(made):
    plan = dataclasses.replace(
        RUNNING, steps=(*RUNNING.steps, model.Step('activate', model.StepKind.ACTIVATE, ''))
    )
    plan = plan.with_step(dataclasses.replace(plan.steps[-1], state=model.StepState.FAILED))
    change(made, plan=plan, state=model.State.STOPPED, reason='no', remedy='resume')
    made._loop.go_on(waits=True)
    assert made.decided == []


def test_the_signal_of_the_agent_is_no_news_while_nothing_changes(made):
    stopped(made, model.StepKind.ATTACH)
    made.answers = [exceptions.Stopped('no', 'x')]
    with pytest.raises(exceptions.StillStopped):
        made.handle(signals.Signal(Action.RETRY), None, 'agent')
    assert made.policy.events == []
    made.answers = ['done']
    assert made.handle(signals.Signal(Action.RETRY), None, 'agent') == 'done'
    assert [args[2] for args in made.policy.events] == ['tried']


def test_one_thread_of_an_engine_waits_for_a_policy_and_the_others_leave(made):
    made.answers = [later.Remember('no standby', until=10**6)] * 1000
    made.handle(signals.Signal(), None, 'alarm')
    others = []

    def come(_now):
        if len(others) < 3:
            other = policy_work.PolicyWork(made.policy, None, OPTIONS)
            others.append(other)
            before = made.clock[0]
            other._loop.go_on(waits=True)
            assert made.clock[0] == before, 'it did not wait'

    made.while_asleep.append(come)
    made._loop.go_on(waits=True)
    assert len(others) == 3 and work_loop._WAITERS == {}


def test_only_a_signal_that_has_led_to_something_holds_a_thread(made, monkeypatch):
    asked = []
    monkeypatch.setattr(made._loop, 'go_on', lambda waits: asked.append(waits))

    def after(signal, *answers, busy=False):
        del asked[:]
        made.answers = list(answers)
        made.lock.busy = 'x' if busy else None
        with contextlib.suppress(exceptions.HaError):
            made.handle(signal, None, 'alarm')
        made.go_on()
        return asked[:]

    assert after(signals.Signal(alarm_state=signals.AlarmState.OK)) == []
    monkeypatch.setattr(
        policy_work.admissions.Admission,
        'refuse_foreign',
        lambda _self, named: (_ for _ in ()).throw(exceptions.Refused('foreign')),
    )
    assert after(signals.Signal(member='x')) == []
    assert after(signals.Signal(), exceptions.Refused('no')) == [False]
    assert after(signals.Signal(), 'done') == [True]
    assert after(signals.Signal(), exceptions.Stopped('no', 'x')) == [True]
    assert after(signals.Signal(), later.Remember('no standby', until=9.0)) == [True]
    change(made, plan=RUNNING, state=model.State.RUNNING)
    assert after(signals.Signal(), busy=True) == [False], 'it joins'


@pytest.mark.parametrize(
    'exc', [exceptions.CouldNotAsk('heat', 'members', 'no answer'), exceptions.TryAgain('busy')]
)
def test_an_alarm_whose_look_got_no_answer_is_kept(made, exc):
    made.answers = [exc]
    assert 'is kept' in made.handle(signals.Signal(), None, 'alarm')
    assert [one.member for one in kept(made)] == ['a']
    made.answers = [exc]
    with pytest.raises(type(exc)):
        made.handle(signals.Signal(Action.DROP), None, 'alarm')


def test_a_person_waits_for_the_lock_and_says_so_to_who_only_tries_again(made):
    change(made, plan=RUNNING, state=model.State.RUNNING)
    made.lock.busy = 'x'

    def give_way(_now):
        if failover_run.MAKE_WAY in made.policy.data():
            made.lock.busy = None

    made.while_asleep.append(give_way)
    made.answers = ['dropped']
    assert made.handle(signals.Signal(Action.DROP), None, 'policy') == 'dropped'
    assert failover_run.MAKE_WAY not in made.policy.data()


def test_a_thread_that_waits_for_a_busy_group_leaves_it_to_others_after_its_patience(
    made, monkeypatch
):
    tried = work_loop.follow_up_run.Tried
    change(made, follow_ups=(model.FollowUp(moved(RUNNING)),))

    def carry_out(_self):
        made.carried.append(made.clock[0])
        assert made.clock[0] < 2 * work.PATIENCE
        known = record.record_of(made.policy.data())
        due = work.at(worlds.NOW + datetime.timedelta(seconds=made.clock[0]), 5.0)
        [left] = known.follow_ups
        change(made, follow_ups=(dataclasses.replace(left, due=due),))
        return tried.PUT_OFF

    monkeypatch.setattr(work_loop.follow_up_run.FollowUpRun, 'carry_out', carry_out)
    made._loop.go_on(waits=True)
    assert len(made.carried) > 50 and made.clock[0] < work.PATIENCE + 10
    assert len(record.record_of(made.policy.data()).follow_ups) == 1


def test_an_error_that_nobody_expects_ends_no_thread_that_waits(made, monkeypatch):
    tried = work_loop.follow_up_run.Tried
    change(made, follow_ups=(model.FollowUp(moved(RUNNING)),))

    def carry_out(_self):
        made.carried.append(made.clock[0])
        if len(made.carried) < 3:
            raise RuntimeError('the database is away')
        change(made, follow_ups=())
        return tried.ENDED

    monkeypatch.setattr(work_loop.follow_up_run.FollowUpRun, 'carry_out', carry_out)
    made._loop.go_on(waits=False)
    assert made.carried == [0.0], 'who does not wait leaves it to others'
    made._loop.go_on(waits=True)
    assert made.carried == [0.0, 0.0, work_loop.AFTER_ERROR]
    assert work_loop._WAITERS == {}


def test_a_thread_that_only_meets_errors_ends_after_its_patience(made, monkeypatch):
    change(made, follow_ups=(model.FollowUp(moved(RUNNING)),))
    monkeypatch.setattr(work_loop.follow_up_run.FollowUpRun, 'carry_out', lambda _self: 1 / 0)
    made._loop.go_on(waits=True)
    assert work.PATIENCE < made.clock[0] < work.PATIENCE + 2 * work_loop.AFTER_ERROR


def test_an_alarm_that_leaves_open_whom_it_means_does_so_when_it_is_decided_again(made):
    by = 'ping of 10.0.0.6'
    made.answers = [later.Remember('it may be', until=1000.0, due_in=300.0, alarms=(by,))]
    made.handle(signals.Signal(member='a', host='10.0.0.6', alarm='ping'), CHAINED, 'alarm')
    (one,) = kept(made)
    assert (one.is_named, one.named, one.alarms) == (False, '', (by,))


@pytest.mark.parametrize('asks', [True, False])
def test_an_alarm_that_is_kept_for_another_reason_hears_as_well_when_it_says_ok(made, asks):
    if asks:
        made.policy.data_set(instance_failure.INSTANCE_FAILURE, '{"group":"group"}')
    made.answers = [exceptions.CouldNotAsk('nova', 'servers', 'no answer')]
    made.handle(signals.Signal(sources=('cpu',)), CHAINED, 'alarm')
    made.handle(signals.Signal(alarm_state=signals.AlarmState.OK, over=('cpu',)), None, 'alarm')
    assert kept(made)[0].over == (('cpu',) if asks else ()), 'others need not know it'


def test_an_alarm_by_address_that_has_to_wait_leaves_open_whom_it_means_from_then_on(made):
    made.policy.data_set(instance_failure.INSTANCE_FAILURE, '{"group":"group"}')
    by = ('ping of 10.0.0.6',)
    made.answers = [
        exceptions.TryAgain('busy'),
        later.Remember('it may be', until=1000.0, due_in=300.0, alarms=by),
        'done',
    ]
    made.handle(signals.Signal(member='a', host='10.0.0.6', sources=by), CHAINED, 'alarm')
    (one,) = kept(made)
    assert (one.is_named, one.host, one.alarms) == (True, '10.0.0.6', by)
    made._loop.go_on(waits=True)
    assert [named for named, *_rest in made.decided] == ['a', 'a', None] and kept(made) == ()


def test_what_has_ended_beside_an_alarm_that_goes_on_is_heard(made):
    first = later.Remember('it may be', until=1000.0, due_in=300.0, alarms=('cpu', 'ping'))
    made.answers = [first, dataclasses.replace(first, alarms=('ping',))]
    made.handle(signals.Signal(sources=('cpu', 'ping')), CHAINED, 'alarm')
    made.handle(signals.Signal(sources=('ping',), over=('cpu',)), CHAINED, 'alarm')
    assert (kept(made)[0].alarms, kept(made)[0].over) == (('ping',), ('cpu',))
    ok = signals.AlarmState.OK
    made.handle(signals.Signal(alarm_state=ok, over=('ping',)), CHAINED, 'alarm')
    assert (kept(made)[0].alarms, set(kept(made)[0].over)) == ((), {'cpu', 'ping'})


def test_an_alarm_that_waits_is_kept_by_its_name_and_hears_when_that_says_ok(made):
    waits = later.Remember('it may be about the same', until=1000.0, due_in=300.0, alarms=('cpu',))
    made.answers = [waits, 'done']
    made.handle(signals.Signal(alarm='cpu'), CHAINED, 'alarm')
    ok = signals.Signal(over=('cpu',), alarm_state=signals.AlarmState.OK)
    unclear = signals.Signal(sources=('cpu',), alarm_state=signals.AlarmState.INSUFFICIENT_DATA)
    made.handle(unclear, CHAINED, 'alarm')
    assert kept(made)[0].alarms == ('cpu',)
    made.handle(ok, CHAINED, 'alarm')
    assert (kept(made)[0].alarms, kept(made)[0].over) == ((), ('cpu',))
    made._loop.go_on(waits=True)
    assert kept(made) == () and 300 <= made.clock[0] < 310
