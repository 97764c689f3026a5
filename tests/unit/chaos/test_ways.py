# SPDX-License-Identifier: Apache-2.0
"""Which signal brings a failover on that stopped, and what may come of it."""

import dataclasses
import itertools

import pytest

# The campaign reads the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')

from chaos import check, ways
from chaos.choice import TakeUp, Trouble
from heat_ha.failover import model

OLD, HEIR = model.MemberServer('a', 'server-a'), model.MemberServer('b', 'server-b')
THIRD = model.MemberServer('c', 'server-c')


def plan(state=model.StepState.FAILED, new=HEIR):
    step = model.Step('attach', model.StepKind.ATTACH, 'v', state=state)
    return model.Plan(
        'p1', model.Cause.FAILOVER, '', 'policy', '2026-01-01', 2, '', OLD, new, (step,)
    )


STOPPED = model.Record(
    state=model.State.STOPPED, epoch=1, active=OLD, plan=plan(), seen=(OLD, HEIR)
)
LEFT = dataclasses.replace(STOPPED, state=model.State.RUNNING)
REPLACING = dataclasses.replace(
    STOPPED, state=model.State.READY, plan=plan(model.StepState.DONE), active=HEIR
)


def test_a_person_brings_to_the_active_what_is_left_over():
    left = dataclasses.replace(REPLACING, plan=None, left_over=('v1 is at member b, …',))
    wish = ways.to_settle(left, {'v1': ('server-b',)}, has_replacer=False)
    assert wish.body == {'action': 'switchover', 'member': 'server-b'}
    there = dataclasses.replace(left, left_over=())
    assert ways.to_settle(there, {'v1': ('server-b',)}, has_replacer=False) is None


def test_a_person_has_a_standby_replaced_that_an_engine_left_failed():
    # All of them are, the active too: that one is never named, for it would be replaced.
    wish = ways.to_mend(STOPPED, ['a', 'c', 'b'])
    assert (wish.resource, wish.body) == (ways.REPLACE, {'member': 'b'})
    assert ways.to_mend(STOPPED, ['a']) is None and ways.to_mend(STOPPED, []) is None


def take_up(drawn, seen=STOPPED, used=(), may_alarm=True, may_drop=True):
    return ways.take_up(drawn, seen, used, may_alarm=may_alarm, may_drop=may_drop)


@pytest.mark.parametrize('drawn', ways.ELSEWHERE)
def test_a_plan_that_stopped_is_left_by_the_way_that_was_drawn_and_then_gone_on_with(drawn):
    first = take_up(drawn)
    assert first.body['action'] == first.way == drawn.value
    assert take_up(drawn, used=[drawn.value]).way == 'resume'


@pytest.mark.parametrize(
    ('drawn', 'seen', 'used', 'may_alarm', 'may_drop'),
    list(
        itertools.product(
            TakeUp,
            (STOPPED, LEFT, REPLACING),
            ((), ('drop',), ('fail_back',)),
            (True, False),
            (True, False),
        )
    ),
)
def test_whatever_is_drawn_something_is_sent_and_a_way_elsewhere_after_a_stop_only(
    drawn, seen, used, may_alarm, may_drop
):
    wish = take_up(drawn, seen, used, may_alarm, may_drop)
    if wish is None:
        assert drawn is TakeUp.ALARM and may_alarm
        return
    if wish.way != 'resume':
        assert seen is STOPPED and wish.way == drawn.value and wish.way not in used
        assert may_drop or wish.way != 'drop'


def test_a_switchover_names_another_successor_where_there_is_one():
    three = dataclasses.replace(STOPPED, seen=(OLD, HEIR, THIRD))
    assert take_up(TakeUp.SWITCHOVER, three).body['member'] == 'server-c'
    assert take_up(TakeUp.SWITCHOVER).body['member'] == 'server-b'
    without = dataclasses.replace(STOPPED, plan=plan(new=None), seen=(OLD,))
    assert take_up(TakeUp.SWITCHOVER, without).way == 'resume'


DROPPED = model.Record(epoch=1, active=OLD, seen=(OLD, HEIR))


@pytest.mark.parametrize(
    ('seen', 'holders', 'has_replacer', 'body'),
    [
        (DROPPED, {'v': ('server-a',) * 2}, True, None),
        (DROPPED, {'v': ()}, True, {'action': 'switchover', 'member': 'server-a'}),
        (DROPPED, {'v': ('server-b',) * 2}, True, {'action': 'switchover', 'member': 'server-a'}),
        (
            dataclasses.replace(DROPPED, active=HEIR, suspects=('a',)),
            {'v': ('server-b',) * 2},
            True,
            {'member': 'server-a'},
        ),
        (
            dataclasses.replace(DROPPED, active=HEIR, suspects=('a',)),
            {'v': ('server-b',) * 2},
            False,
            None,
        ),
        (
            dataclasses.replace(DROPPED, active=HEIR, suspects=('gone',)),
            {'v': ('server-b',) * 2},
            True,
            None,
        ),
        (dataclasses.replace(DROPPED, active=None), {'v': ()}, True, None),
    ],
)
def test_after_a_drop_what_is_elsewhere_comes_to_the_active_then_the_sick_are_replaced(
    seen, holders, has_replacer, body
):
    wish = ways.to_settle(seen, holders, has_replacer=has_replacer)
    assert (None if wish is None else dict(wish.body)) == body


@pytest.mark.parametrize('trouble', [None, Trouble.OLD_LOCKED, Trouble.UPDATED])
@pytest.mark.parametrize('used', [(), ('resume',), ('update',)])
def test_what_moves_nothing_else_excuses_nothing(trouble, used):
    assert ways.story(trouble, used) == check.PLAIN


@pytest.mark.parametrize('trouble', Trouble)
@pytest.mark.parametrize('used', [(), ('drop',), ('fail_back',), ('switchover',)])
def test_a_story_tells_no_less_for_what_is_done_in_addition(trouble, used):
    alone, both = ways.story(trouble, ()), ways.story(trouble, used)
    assert both.moves >= alone.moves and both.others_may_go >= alone.others_may_go
    assert both.may_stay >= alone.may_stay
    assert both.is_dropped is ('drop' in used)
