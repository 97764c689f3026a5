# SPDX-License-Identifier: Apache-2.0
"""Stacks that are suspended and resumed, and actions that are cancelled."""

import dataclasses
import itertools

import pytest

from heat_ha.regions import attributes
from heat_ha.regions.model import State
from heat_ha.regions.rules import decide, spec
from heat_ha.regions.rules.steps import Request, Send
from tests.unit.regions.states import NOW, PARTS, PRESENT
from tests.unit.regions.worlds import FakeStack, Way, World


@pytest.fixture(autouse=True)
def no_settling(monkeypatch):
    monkeypatch.setattr(decide, 'SETTLE', -1.0)


def test_only_what_holds_the_newest_is_suspended_and_only_what_we_suspended_is_resumed():
    for part, observed, sleep, asleep in itertools.product(
        PARTS, PRESENT, (True, False), (True, False)
    ):
        part = dataclasses.replace(part, suspend_wanted=sleep, suspended=asleep)
        step = decide.next_step(part, observed, spec.Rules(), 'other', NOW)
        if not isinstance(step, Send):
            continue
        if step.request is Request.SUSPEND:
            assert sleep and not asleep
            assert observed.revision == 'new', (part, observed)
        if step.request is Request.RESUME:
            assert sleep != asleep and observed.action in ('SUSPEND', 'RESUME'), (part, observed)
        if step.request is Request.UPDATE and sleep != asleep and observed.status != 'IN_PROGRESS':
            assert observed.action != 'SUSPEND', 'Heat refuses to update what is suspended'


def test_all_regions_are_suspended_and_resumed_and_a_second_pass_writes_nothing():
    world = World('A', 'B')
    world.act()
    for sleep, request in ((True, Request.SUSPEND), (False, Request.RESUME)):
        world.forget_writes()
        assert not world.act(suspend_wanted=sleep)
        assert [r.writes for r in world.regions.values()] == [[request], [request]]
        assert attributes.state(world.part('A')) == ('suspended' if sleep else 'ready')
        assert not world.act()
        assert [r.writes for r in world.regions.values()] == [[request], [request]]


def test_a_region_that_is_cut_off_is_suspended_when_it_is_back():
    world = World('A', 'B')
    world.act()
    world.regions['B'].way = Way.CUT
    assert not world.act(suspend_wanted=True)
    assert attributes.pending(world.store.record) == ['B']
    world.regions['B'].way = Way.OPEN
    world.forget_writes()
    assert not world.act()
    assert world.regions['B'].writes == [Request.SUSPEND]
    assert not attributes.pending(world.store.record)


def test_what_is_resumed_and_changed_during_a_cut_is_resumed_before_it_is_updated():
    world = World('A', 'B')
    world.act()
    world.act(suspend_wanted=True)
    world.regions['B'].way = Way.CUT
    assert not world.act(suspend_wanted=False)
    world.want('two')
    assert not world.act()
    world.regions['B'].way = Way.OPEN
    world.forget_writes()
    assert not world.act()
    assert world.regions['B'].writes == [Request.RESUME, Request.UPDATE]
    assert world.regions['B'].texts() == ['two'] and world.part('B').state is State.READY


def test_a_cancel_reaches_the_regions_that_are_at_work_and_no_other():
    world = World('A', 'B')
    world.act()
    world.want('two')
    world.regions['B'].way = Way.CUT
    world.forget_writes()
    work = world.work()
    assert not work.step()
    work.cancel()
    assert world.regions['A'].writes == [Request.UPDATE, Request.CANCEL]
    assert not world.regions['B'].writes
    world.regions['B'].way = Way.OPEN
    assert not world.act()
    assert [r.texts() for r in world.regions.values()] == [['two'], ['two']]


def test_an_equal_stack_is_adopted_as_it_is():
    world = World('A')
    there = FakeStack('there', 'theirs', '', '', 'CREATE', 'COMPLETE', text='one')
    world.regions['A'].stacks['there'] = there
    world.adopts = {'A': 'theirs'}
    assert not world.act()
    assert world.part('A').stack_id == 'there' and there.mark
