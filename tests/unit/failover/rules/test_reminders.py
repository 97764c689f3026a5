# SPDX-License-Identifier: Apache-2.0
"""Whatever a policy waits for has a reminder, and the way out that it names leads out."""

import dataclasses
import datetime
import itertools
import json
import re

import pytest

from heat_ha import serialization, signals
from heat_ha.agent.rules import unfinished
from heat_ha.failover import model
from heat_ha.failover.model import StepState
from heat_ha.failover.rules import decide, reminders
from tests.unit.failover import worlds
from tests.unit.failover.rules.test_outcome import moved
from tests.unit.failover.rules.test_work import CHAINED

GROUP = tuple(worlds.candidate(name) for name in 'abc')
PLAN = worlds.plan(worlds.seen(GROUP, chained=CHAINED))
NOW = worlds.NOW.isoformat()


def failed_at(name):
    return PLAN.with_step(dataclasses.replace(PLAN.step(name), state=StepState.FAILED))


PLANS = {
    'none': {},
    'over': {'plan': moved(PLAN)},
    'runs': {'plan': failed_at('detach:v1'), 'state': model.State.RUNNING},
    'waits': {
        'plan': failed_at('detach:v1'),
        'state': model.State.WAITING_FOR_FENCE,
        'reason': 'its host does not answer',
        'remedy': 'Fence the host',
    },
    'stopped': {
        'plan': failed_at('attach:v1'),
        'state': model.State.STOPPED,
        'reason': 'Nova refuses it',
        'remedy': 'Mend it, then send the signal resume',
    },
}
FOLLOW_UPS = {
    'none': (),
    'begun': (model.FollowUp(moved(PLAN), engine='e1', due=NOW),),
    'put off': (model.FollowUp(moved(PLAN), reason='the group is busy', due=NOW),),
    'failed': (model.FollowUp(moved(PLAN), tries=3, reason='a snapshot', due=NOW),),
}
RETAINED = {
    'none': (),
    'kept': (model.Retained('c', 'server-c', '2999-01-01T00:00:00+00:00'),),
    'put off': (model.Retained('c', 'server-c', NOW, reason='the group is busy'),),
}
LEFT = {'none': (), 'v1': ('v1 is at member c',)}
ACTIVES = {'a': worlds.holder('a'), 'nobody': None}
SIGNALS = {
    'none': (),
    'about c': (model.Remembered('c', 'server-c', True, NOW, 'alarm', why='busy'),),
}

# The words by which a way out is named, and the signal that is meant.
WAYS = {
    'resume': signals.Signal(model.Action.RESUME),
    'switchover with a member': signals.Signal(model.Action.SWITCHOVER, 'c'),
    'switchover with member a': signals.Signal(model.Action.SWITCHOVER, 'a'),
    'fail_back': signals.Signal(model.Action.FAIL_BACK),
    'drop': signals.Signal(model.Action.DROP),
    'unpause': signals.Signal(model.Action.UNPAUSE),
    'failover': signals.Signal(model.Action.FAILOVER),
}


def records():
    for plan, left, retained, over, active, paused, kept in itertools.product(
        PLANS, FOLLOW_UPS, RETAINED, LEFT, ACTIVES, (False, True), SIGNALS
    ):
        record = model.Record(
            epoch=2,
            active=ACTIVES[active],
            is_paused=paused,
            follow_ups=FOLLOW_UPS[left],
            retained=RETAINED[retained],
            left_over=LEFT[over],
            **PLANS[plan],
        )
        yield record, SIGNALS[kept]


def test_whatever_is_not_ready_has_a_reminder_with_a_way_out_and_nothing_else_has():
    count = 0
    for record, kept in records():
        count += 1
        found = reminders.waits(record, kept)
        is_ready = decide.state(record, has_signals=bool(kept)) is model.State.READY
        assert bool(found) is not is_ready, record
        assert all(one.reason and one.remedy for one in found)
    assert count == 5 * 4 * 3 * 2 * 2 * 2 * 2


def named_in(remedy):
    return [way for way in WAYS if re.search(rf'(?<![a-z_]){re.escape(way)}(?![a-z_])', remedy)]


def test_the_ways_out_that_are_named_work():
    """Of what is on record alone: beside a pause, unpause comes first, and a plan before others."""
    tried = set()
    for record, kept in records():
        for one in reminders.waits(record, kept):
            if record.is_paused and 'paused' not in one.reason:
                continue
            is_of_plan = 'failover is not over' in one.reason
            if record.plan is not None and not record.plan.is_moved and not is_of_plan:
                continue
            if record.active is None and 'nobody' not in one.reason:
                continue
            ways = named_in(one.remedy)
            assert ways or kept, one
            for way in ways:
                tried.add(way)
                seen = worlds.seen(
                    GROUP,
                    record=record,
                    volumes=('v1',),
                    held_by={'v1': frozenset({'server-c'})},
                    plan_id='p9',
                )
                busy = {'a', 'c'} & {n for o in record.follow_ups for n in o.plan.replaces}
                if busy and way.startswith(('switchover', 'fail')):
                    continue
                answer = decide.answer(WAYS[way], seen)
                assert not isinstance(answer, decide.Refuse), (one, way, answer)
    assert tried == set(WAYS)


def test_the_agent_has_a_person_reminded_of_all_of_it_and_of_nothing_else():
    for record, kept in records():
        plain = json.loads(json.dumps(serialization.encode(record)))
        of_signals = [serialization.encode(one) for one in kept]
        is_waiting = bool(reminders.waits(record, kept))
        assert unfinished.is_waiting(plain, of_signals) is is_waiting, record
        for is_due, is_locked in itertools.product((False, True), (False, True)):
            found = unfinished.wanted(
                plain,
                of_signals,
                worlds.NOW - datetime.timedelta(days=1),
                is_locked=is_locked,
                is_alive=lambda _engine: True,
                is_fence_over=lambda: False,
                is_reminder_due=is_due,
            )
            if is_locked:
                assert found is None
            elif is_waiting and is_due:
                assert found is not None


@pytest.mark.parametrize('seconds', [-99999, -3600, -9, 0, 3599, 3600, 99999])
def test_a_person_is_reminded_each_hour(seconds):
    now = worlds.NOW + datetime.timedelta(seconds=seconds)
    assert reminders.is_due(NOW, now) is (abs(seconds) >= reminders.EVERY)


def test_a_retry_of_a_paused_policy_makes_no_event_of_its_own():
    seen = worlds.seen(GROUP, record=model.Record(active=worlds.holder('a'), is_paused=True))
    found = decide.answer(signals.Signal(model.Action.RETRY), seen)
    assert isinstance(found, decide.FollowUp) and not found.at_once
