# SPDX-License-Identifier: Apache-2.0
"""Which members go after a failover: never one that leaves anyway."""

import dataclasses

import pytest

from heat_ha import signals
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover import model
from heat_ha.failover.rules import decide, standbys
from heat_ha.groups import model as groups
from tests.unit.failover import worlds

UNTIL = '2026-01-02T00:00:00.000+00:00'
NAMES = 'abcd'


def kept(name):
    return model.Retained(name, f'server-{name}', UNTIL)


def chained(count):
    return groups.Chained('replace', count, groups.Order.CREATE_FIRST)


def follow_up(name):
    world = worlds.seen([worlds.candidate(n) for n in NAMES], chained=chained(1))
    return model.FollowUp(decide.answer(signals.Signal(member=name), world).plan)


def group(record, count):
    """A group with b, the active; who is retained is shut off."""
    shut_off = {one.member for one in record.retained}
    return worlds.seen(
        [worlds.candidate(n, **({'status': ServerStatus.SHUTOFF} if n in shut_off else {}))
         for n in NAMES],
        record=dataclasses.replace(record, epoch=2, active=worlds.holder('b')),
        chained=chained(count),
    )  # fmt: skip


LEAVING = [
    model.Record(),
    model.Record(retained=(kept('a'),)),
    model.Record(retained=(kept('a'), kept('c'))),
    model.Record(follow_ups=(follow_up('a'),)),
    model.Record(follow_ups=(follow_up('a'),), retained=(kept('c'),)),
]


@pytest.mark.parametrize('record', LEAVING)
@pytest.mark.parametrize('count', [1, 2, 3])
def test_as_many_members_go_as_the_policy_in_front_wants_beside_those_that_leave_anyway(
    record, count
):
    leaving = standbys.leaving(record)
    plan = decide.answer(signals.Signal(member='b'), group(record, count)).plan
    assert plan.replaces[0] == 'b' and not leaving & set(plan.replaces)
    may_go = set(NAMES) - leaving - {'b', plan.new.member}
    assert len(plan.replaces) == 1 + min(count - 1, len(may_go))


@pytest.mark.parametrize('named', ['a', 'server-a', 'ref-a'])
def test_an_alarm_about_a_member_that_is_kept_for_a_look_replaces_nobody(named):
    found = decide.answer(signals.Signal(member=named), group(LEAVING[1], 1))
    assert found == decide.Refuse('member a is kept for a look only, and another is in its place')
    of_another = decide.answer(signals.Signal(member='c'), group(LEAVING[1], 1))
    assert isinstance(of_another, decide.Start) and of_another.plan.replaces == ('c',)
