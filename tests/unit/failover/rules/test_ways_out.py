# SPDX-License-Identifier: Apache-2.0
"""The ways out of a plan that stopped, from every step at which it can stop."""

import dataclasses
import itertools

import pytest

from heat_ha import signals
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover import model
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import decide, later, outcome, ways_out
from heat_ha.groups import model as groups
from tests.unit.failover import worlds

CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)
HOOK = model.Hook('c1', {}, 60.0, 0.0, model.OnFailure.STOP)
GROUP = tuple(worlds.candidate(name) for name in 'abc')

# The same once the old active was shut off.
SHUT_OFF = (worlds.candidate('a', ServerStatus.SHUTOFF), *GROUP[1:])


def world(**changes):
    return worlds.seen(
        changes.pop('candidates', GROUP),
        volumes=('v1', 'v2'),
        chained=CHAINED,
        quiesce=model.Quiesce.STOP,
        quiesce_hook=HOOK,
        activate_hook=HOOK,
        **changes,
    )


PLAN = decide.answer(signals.Signal(), world()).plan
MOVES = [s.name for s in PLAN.steps if not s.is_follow_up]


def stopped_at(name):
    """The plan with every step before this one done, and this one failed."""
    plan = PLAN
    for step in plan.steps:
        if step.name == name:
            return plan.with_step(dataclasses.replace(step, state=StepState.FAILED, reason='no'))
        plan = plan.with_step(dataclasses.replace(step, state=StepState.DONE))
    raise KeyError(name)


def stopped_world(name, **changes):
    plan = stopped_at(name)
    has_moved = all(s.state is StepState.DONE for s in plan.steps if s.kind is StepKind.ATTACH)
    record = model.Record(
        epoch=2 if has_moved else 1,
        active=plan.new if has_moved else plan.old,
        plan=plan,
        state=model.State.STOPPED,
        reason='no',
        remedy='resume',
    )
    return world(record=record, plan_id='p2', **changes)


@pytest.mark.parametrize('name', MOVES)
def test_from_every_step_there_are_four_ways_out(name):
    seen = stopped_world(name)
    plan = seen.record.plan
    ask = lambda action, member=None: decide.answer(signals.Signal(action, member), seen)  # noqa: E731
    assert ask(model.Action.RESUME) == decide.GoOn(plan)
    other = ask(model.Action.SWITCHOVER, 'c')
    assert isinstance(other, decide.Start) and other.plan.new == worlds.holder('c')
    assert other.plan.cause is plan.cause and other.plan.replaces == ('a',)
    assert worlds.holder('b') in other.plan.tried, 'it may have got something'
    for back in (ask(model.Action.FAIL_BACK), ask(model.Action.SWITCHOVER, 'a')):
        assert isinstance(back, decide.Start) and back.plan.new == worlds.holder('a')
        assert back.plan.replaces == () and worlds.holder('b') in back.plan.tried
    dropped = ask(model.Action.DROP)
    assert isinstance(dropped, decide.Drop) and dropped.record.plan is None
    assert dropped.record.state is model.State.READY and not dropped.record.reason
    # A switchover that names the successor goes on, and one that names nobody as well.
    assert ask(model.Action.SWITCHOVER, 'b') == ask(model.Action.SWITCHOVER) == decide.GoOn(plan)
    cancelled = ask(model.Action.CANCEL)
    assert isinstance(cancelled, decide.Refuse)
    assert all(word in cancelled.reason for word in ('resume', 'switchover', 'fail_back', 'drop'))


@pytest.mark.parametrize('name', MOVES)
def test_what_was_done_to_the_old_active_is_not_done_again_for_another_successor(name):
    seen = stopped_world(name)
    other = decide.answer(signals.Signal(model.Action.SWITCHOVER, 'c'), seen).plan
    for step in other.steps:
        if step.kind in (StepKind.QUIESCE, StepKind.STOP_SERVER):
            assert step.state is seen.record.plan.step(step.name).state or (
                step.state is StepState.PENDING
            )
            if seen.record.plan.step(step.name).state is StepState.DONE:
                assert step.state is StepState.DONE
        else:
            assert step.state is StepState.PENDING, 'each volume is looked at anew'


def test_an_alarm_about_the_successor_of_a_stopped_plan_chooses_another_one():
    seen = stopped_world('attach:v1')
    found = decide.answer(signals.Signal(member='server-b'), seen)
    assert isinstance(found, decide.Start) and found.plan.new == worlds.holder('c')
    alone = stopped_world('attach:v1', candidates=GROUP[:2])
    # Nobody has said that the plan may go on; it does so by itself when that is due.
    found = decide.answer(signals.Signal(member='b'), alone)
    assert isinstance(found, later.Remember) and 'nobody else can take over' in found.why


def test_back_is_refused_with_the_reason_when_the_old_active_is_not_well():
    off = (worlds.candidate('a', status=ServerStatus.SHUTOFF), *GROUP[1:])
    for candidates, why in ((off, 'SHUTOFF, not ACTIVE'), (GROUP[1:], 'not in the group')):
        seen = stopped_world('attach:v1', candidates=candidates)
        found = decide.answer(signals.Signal(model.Action.FAIL_BACK), seen)
        assert isinstance(found, decide.Refuse) and why in found.reason


WHERE = (None, frozenset(), frozenset({'server-a'}), frozenset({'server-b'}))


@pytest.mark.parametrize('name', MOVES)
def test_what_is_dropped_names_all_that_is_not_at_the_active(name):
    for first, second in itertools.product(WHERE, WHERE):
        seen = stopped_world(name, held_by={'v1': first, 'v2': second})
        found = decide.answer(signals.Signal(model.Action.DROP), seen)
        active = found.record.active
        for servers in (frozenset({'server-a'}), frozenset({'server-b'})):
            if first == second == servers:
                assert {active.server} == servers, 'who has all is the active'
        for target, servers in (('v1', first), ('v2', second)):
            is_named = f'{target} is at' in found.text or f'where {target} is' in found.text
            assert is_named is (servers != frozenset({active.server})), found.text
        assert 'member a is not replaced' in found.text
        assert found.record.epoch >= seen.record.epoch
        assert (active == seen.record.active) or found.record.epoch > seen.record.epoch


def test_after_a_drop_the_volumes_can_be_brought_to_any_member_the_active_too():
    seen = stopped_world('attach:v1', held_by={'v1': frozenset(), 'v2': frozenset()})
    record = decide.answer(signals.Signal(model.Action.DROP), seen).record
    after = dataclasses.replace(seen, record=record)
    for name in 'ab':
        found = decide.answer(signals.Signal(model.Action.SWITCHOVER, name), after)
        assert isinstance(found, decide.Start) and found.plan.new == worlds.holder(name)
    there = dataclasses.replace(after, held_by={'v1': frozenset({'server-a'})})
    found = decide.answer(signals.Signal(model.Action.SWITCHOVER, 'a'), there)
    assert isinstance(found, decide.Refuse) and 'it is the active' in found.reason


@pytest.mark.parametrize('name', MOVES)
@pytest.mark.parametrize('member', 'abc')
def test_who_may_have_what_a_dropped_plan_left_is_asked_by_the_next_one(name, member):
    """S1: a free volume is no proof, also where the plan that gave it away is gone by now."""
    seen = stopped_world(name, held_by={'v1': frozenset(), 'v2': frozenset()})
    dropped = decide.answer(signals.Signal(model.Action.DROP), seen).record
    steps = [s for s in seen.record.plan.steps if s.kind is StepKind.ATTACH]
    has_given = any(s.state is not StepState.PENDING for s in steps)
    assert (worlds.holder('b') in (dropped.active, *dropped.left_with)) is has_given
    # Its server is gone, and the member with it.
    after = dataclasses.replace(seen, record=dropped, candidates=(GROUP[0], GROUP[2]))
    if member == 'b':
        after = dataclasses.replace(after, candidates=GROUP)
    action = signals.Signal(model.Action.SWITCHOVER, member)
    plan = decide.answer(action, after).plan
    asked = {one for one in (plan.old, *plan.tried) if one}
    assert worlds.holder('a') in asked | {plan.new}
    assert (worlds.holder('b') in asked | {plan.new}) is (has_given or member == 'b')
    # Dropped again, it is still known; over, it is not.
    again = dataclasses.replace(dropped, plan=plan, state=model.State.STOPPED)
    twice = decide.answer(
        signals.Signal(model.Action.DROP), dataclasses.replace(after, record=again)
    ).record
    assert set(dropped.left_with) <= {twice.active, *twice.left_with}
    assert outcome.at_end(again, plan, ('a', 'c')).left_with == ()


def test_nobody_is_asked_after_a_drop_that_left_everything_at_the_active():
    there = dict.fromkeys(('v1', 'v2'), frozenset({'server-b'}))
    seen = stopped_world('hand_over', held_by=there)
    assert decide.answer(signals.Signal(model.Action.DROP), seen).record.left_with == ()


def test_what_came_back_to_the_active_itself_leaves_the_way_back_to_the_one_before():
    before = model.Record(epoch=3, active=worlds.holder('a'), previous=worlds.holder('b'))
    seen = world(record=before, held_by={'v1': frozenset(), 'v2': frozenset()})
    plan = decide.answer(signals.Signal(model.Action.SWITCHOVER, 'a'), seen).plan
    assert plan.old == plan.new
    assert outcome.at_end(before, plan, 'abc').previous == worlds.holder('b')


@pytest.mark.parametrize('name', MOVES)
def test_what_is_dropped_names_also_what_heat_hands_over(name):
    for place in WHERE:
        volumes = {'v1': frozenset({'server-b'}), 'v2': frozenset({'server-b'})}
        seen = stopped_world(name, held_by=volumes, others_at={'OS::Heat::Port p': place})
        found = decide.answer(signals.Signal(model.Action.DROP), seen)
        assert found.record.active == worlds.holder('b')
        assert ('OS::Heat::Port p' in found.text) is (place != frozenset({'server-b'})), found.text


@pytest.mark.parametrize('place', WHERE)
@pytest.mark.parametrize('asks_host', [False, True])
def test_after_a_drop_a_switchover_to_the_active_brings_there_what_heat_hands_over(
    place, asks_host
):
    record = model.Record(epoch=2, active=worlds.holder('b'), previous=worlds.holder('a'))
    volumes = {'v1': frozenset({'server-b'}), 'v2': frozenset({'server-b'})}
    after = world(
        record=record, held_by=volumes, others_at={'a port': place}, asks_old_host=asks_host
    )
    found = decide.answer(signals.Signal(model.Action.SWITCHOVER, 'b'), after)
    if place == frozenset({'server-b'}):
        assert isinstance(found, decide.Refuse) and 'it is the active' in found.reason
        return
    kinds = [step.kind for step in found.plan.steps]
    assert found.plan.new == worlds.holder('b') and StepKind.HAND_OVER in kinds
    # The active serves meanwhile, and is neither quiesced nor shut off.
    assert not {StepKind.QUIESCE, StepKind.STOP_SERVER} & set(kinds)
    # S1: who has to give something up is looked at before.
    has_holder = place == frozenset({'server-a'})
    assert (StepKind.FENCE in kinds) is (asks_host and has_holder)
    assert (worlds.holder('a') in found.plan.tried) is has_holder


def test_nothing_to_drop_is_refused_and_what_is_left_to_replace_can_be_dropped():
    assert isinstance(decide.answer(signals.Signal(model.Action.DROP), world()), decide.Refuse)
    record = model.Record(
        epoch=2, active=worlds.holder('b'), follow_ups=(model.FollowUp(PLAN),), suspects=('a',)
    )
    found = decide.answer(signals.Signal(model.Action.DROP), world(record=record))
    assert found.record.follow_ups == () and 'member a is not replaced' in found.text
    assert found.record.suspects == ('a',), 'it is still not to take over'


def refused(seen):
    plan = seen.record.plan
    return ways_out.after_refusal(plan, seen, {plan.new.member})


def test_after_a_refusal_nobody_is_tried_twice_and_it_ends():
    for count in range(2, 5):
        group = tuple(worlds.candidate(name) for name in 'abcd'[:count])
        seen = stopped_world('attach:v1', candidates=group)
        tried, got_nothing = [], set()
        for number in range(20):
            got_nothing.add(seen.record.plan.new.member)
            plan = ways_out.after_refusal(seen.record.plan, seen, got_nothing)
            if plan is None:
                break
            tried.append(plan.new.member)
            record = dataclasses.replace(seen.record, plan=plan)
            seen = dataclasses.replace(seen, record=record, plan_id=f'q{number}')
        # The others in their order, and the old active at last.
        assert tried == [*'cd'[: count - 2], 'a']


def test_a_successor_that_a_person_has_chosen_is_followed_by_the_old_active_alone():
    plan = decide.answer(signals.Signal(model.Action.SWITCHOVER, 'b'), world()).plan
    record = model.Record(epoch=1, active=worlds.holder('a'), plan=plan)
    back = refused(world(record=record, plan_id='p2'))
    assert back.new == worlds.holder('a') and back.old == worlds.holder('b')


def test_an_old_active_that_is_not_seen_to_be_well_gets_nothing_back_by_itself():
    for status in ServerStatus:
        candidates = (worlds.candidate('a', status=status), worlds.candidate('b'))
        seen = stopped_world('attach:v1', candidates=candidates)
        assert (refused(seen) is not None) is (status is ServerStatus.ACTIVE)


def test_an_update_takes_volumes_out_of_the_plan_and_brings_hooks_that_are_new():
    plan = stopped_at('attach:v1')
    new = dataclasses.replace(HOOK, config='c2')
    update = ways_out.PlanUpdate(
        'r2', frozenset({'v1'}), None, new, model.OnDeadHost.WAIT, model.Quiesce.STOP, 0.0
    )
    found = ways_out.updated(plan, update)
    for step in found.steps:
        if step.target == 'v1':
            assert (step.state is StepState.DONE and 'not in the template' in step.reason) or (
                step.kind is StepKind.DETACH
            )
        else:
            assert step == plan.step(step.name)
    assert (found.quiesce_hook, found.activate_hook) == (None, new)
    assert (found.revision, found.on_dead_host) == ('r2', model.OnDeadHost.WAIT)


def test_who_has_something_by_hand_is_asked_to_give_it_up():
    seen = world(held_by={'v1': frozenset({'server-c'}), 'v2': frozenset({'server-a'})})
    plan = decide.answer(signals.Signal(), seen).plan
    assert plan.new == worlds.holder('b') and plan.tried == (worlds.holder('c'),)
    assert not isinstance(plan, later.Remember)


def test_an_alarm_about_a_third_member_is_kept_while_a_plan_is_open():
    for name in MOVES:
        found = decide.answer(signals.Signal(member='c'), stopped_world(name))
        assert isinstance(found, later.Remember) and 'is not over' in found.why


def test_a_successor_that_was_reported_sick_is_replaced_as_well():
    seen = stopped_world('attach:v1')
    plan = decide.answer(signals.Signal(member='b'), seen).plan
    assert plan.new == worlds.holder('c') and plan.replaces == ('a', 'b')
    refused_only = refused(seen)
    assert refused_only.replaces == ('a',)
    # Who takes over is not replaced, whatever the plan before had in mind.
    both = dataclasses.replace(seen.record, plan=plan)
    again = ways_out.with_successor(plan, dataclasses.replace(seen, record=both), plan.tried[0])
    assert again.new.member not in again.replaces


def test_an_alarm_that_names_nobody_means_the_new_active_once_it_has_everything_and_is_down():
    down = (GROUP[0], worlds.candidate('b', status=ServerStatus.ERROR), GROUP[2])
    found = decide.answer(signals.Signal(), stopped_world('hand_over', candidates=down))
    assert isinstance(found, decide.Start) and found.plan.new == worlds.holder('c')
    well = stopped_world('hand_over')
    assert decide.answer(signals.Signal(), well) == decide.GoOn(well.record.plan)


def test_only_a_person_has_a_config_in_a_server_run_again():
    for name in MOVES:
        seen = stopped_world(name, candidates=SHUT_OFF)
        found = decide.answer(signals.Signal(model.Action.RETRY), seen)
        is_hook = seen.record.plan.step(name).kind in (StepKind.QUIESCE, StepKind.ACTIVATE)
        assert isinstance(found, decide.Refuse if is_hook else decide.GoOn), name


def test_who_got_nothing_an_hour_ago_is_tried_again_when_the_plan_is():
    """Nova may attach again to the first one that it refused, and not to the last."""
    seen = stopped_world('attach:v1')
    after_b = refused(seen)
    assert after_b.new == worlds.holder('c') and after_b.tried == (worlds.holder('b'),)
    later_on = dataclasses.replace(seen, record=dataclasses.replace(seen.record, plan=after_b))
    again = ways_out.after_refusal(after_b, later_on, {'c'})
    assert again.new == worlds.holder('b') and worlds.holder('c') in again.tried
    back = ways_out.back(after_b, seen, '')
    returned = dataclasses.replace(seen, record=dataclasses.replace(seen.record, plan=back))
    found = ways_out.after_refusal(back, returned, {'a'})
    assert found.new == worlds.holder('b')


def stopped_without_replacement(name, cause):
    """A plan that replaces nobody, stopped at this step."""
    alone = dataclasses.replace(world(), chained=None)
    action = model.Action.SWITCHOVER if cause is model.Cause.SWITCHOVER else None
    plan = decide.answer(signals.Signal(action), alone).plan
    states = {s.name: s.state for s in stopped_at(name).steps}
    steps = tuple(dataclasses.replace(s, state=states[s.name]) for s in plan.steps)
    seen = stopped_world(name)
    plan = dataclasses.replace(plan, steps=steps)
    assert plan.cause is cause and not plan.replaces
    return dataclasses.replace(seen, record=dataclasses.replace(seen.record, plan=plan))


# S3, S8
@pytest.mark.parametrize('cause', [model.Cause.FAILOVER, model.Cause.SWITCHOVER])
@pytest.mark.parametrize('name', MOVES)
def test_an_alarm_about_who_an_open_plan_takes_from_has_that_one_replaced(name, cause):
    seen = stopped_without_replacement(name, cause)
    before = seen.record.plan
    names = ['a', 'server-a', *([None] if seen.record.active == before.old else [])]
    for named in names:
        found = decide.answer(signals.Signal(member=named, reason='dead'), seen)
        assert isinstance(found, decide.Start), named
        plan = found.plan
        assert plan.cause is model.Cause.FAILOVER and plan.replaces == ('a',)
        assert (plan.chained, plan.old, plan.new) == (CHAINED, before.old, before.new)
        assert plan.plan_id == before.plan_id and plan.may_delete('server-a')
        moves = [s for s in plan.steps if not s.is_follow_up]
        assert moves == [s for s in before.steps if not s.is_follow_up], 'nothing is done again'
        assert plan.steps == with_states(PLAN, plan.steps).steps, 'as if it had begun so'
        # The same alarm again asks for nothing more.
        again = dataclasses.replace(seen, record=dataclasses.replace(seen.record, plan=plan))
        assert decide.answer(signals.Signal(member=named), again) == decide.GoOn(plan)
    # A person who asks for the switchover again, and what only goes on, change nothing of it.
    for action in (model.Action.RESUME, model.Action.RETRY):
        found = decide.answer(signals.Signal(action), seen)
        assert not isinstance(found, decide.Start)


def with_states(plan, steps):
    states = {s.name: (s.state, s.reason) for s in steps}
    return dataclasses.replace(
        plan,
        steps=tuple(
            dataclasses.replace(s, state=states[s.name][0], reason=states[s.name][1])
            for s in plan.steps
        ),
    )


def test_what_replaces_nobody_is_not_changed_by_an_alarm_that_has_nobody_replaced_either():
    seen = stopped_without_replacement('attach:v1', model.Cause.FAILOVER)
    plain = dataclasses.replace(seen, chained=None)
    assert decide.answer(signals.Signal(), plain) == decide.GoOn(seen.record.plan)


def test_of_a_plan_that_made_a_member_just_the_old_active_is_replaced():
    cold = worlds.seen((GROUP[0],), chained=None)
    plan = decide.answer(signals.Signal(), cold).plan
    made = [dataclasses.replace(s, state=StepState.DONE) for s in plan.steps[:1]]
    plan = dataclasses.replace(plan, steps=(*made, *plan.steps[1:]), new=worlds.holder('b'))
    record = model.Record(epoch=1, active=plan.old, plan=plan, state=model.State.STOPPED)
    two = dataclasses.replace(CHAINED, count=2)
    seen = worlds.seen(GROUP, record=record, chained=two)
    found = decide.answer(signals.Signal(member='a'), seen).plan
    assert found.replaces == ('a',) and found.chained == two


@pytest.mark.parametrize('name', MOVES)
def test_a_plan_whose_successor_left_the_group_goes_on_to_one_of_the_group(name):
    """An update of the stack may name another group, or have changed the successor's server."""
    other_group = tuple(worlds.candidate(name) for name in 'de')
    new_server = (SHUT_OFF[0], worlds.candidate('b', servers=('other',)), GROUP[2])
    for candidates, wanted in ((other_group, 'd'), (new_server, 'c')):
        seen = stopped_world(name, candidates=candidates)
        for action in (model.Action.RESUME, model.Action.RETRY):
            found = decide.answer(signals.Signal(action), seen)
            if isinstance(found, decide.Refuse):
                assert action is model.Action.RETRY, 'a config is run again by a person only'
                continue
            assert (
                found.plan.new == worlds.holder(wanted) and worlds.holder('b') in found.plan.tried
            )
            detached = [s for s in found.plan.steps if s.kind is StepKind.DETACH]
            assert all(s.state is StepState.PENDING for s in detached)
    sick = tuple(worlds.candidate(name, status=ServerStatus.ERROR) for name in 'de')
    seen = stopped_world(name, candidates=sick)
    found = decide.answer(signals.Signal(model.Action.RESUME), seen)
    assert isinstance(found, later.Remember) and 'is not in the group' in found.why
    again = decide.answer(signals.Signal(model.Action.RETRY), seen)
    if not isinstance(again, decide.Refuse):
        assert isinstance(again, decide.Change) and again.record.plan == seen.record.plan
        assert again.record.retry_due > worlds.NOW.isoformat(), 'not again and again at once'


@pytest.mark.parametrize('chained', [None, CHAINED])
def test_whoever_keeps_the_volumes_the_group_has_its_size_after_a_member_was_made_for_it(chained):
    cold = worlds.seen((GROUP[0],), chained=chained)
    plan = decide.answer(signals.Signal(), cold).plan
    made = dataclasses.replace(plan.steps[0], state=StepState.DONE, target='b')
    plan = dataclasses.replace(plan, steps=(made, *plan.steps[1:]), new=worlds.holder('b'))
    record = model.Record(epoch=1, active=plan.old, plan=plan, state=model.State.STOPPED)
    seen = worlds.seen(GROUP[:2], record=record, chained=chained)
    drop = decide.answer(signals.Signal(model.Action.DROP), seen)
    assert 'member b, made for this failover, is not removed' in drop.text

    def in_its_place(one):
        """Who goes by a plan, and who is there in that one's place."""
        (added,) = [s for s in one.steps if s.kind is StepKind.ADD_MEMBER]
        assert added.state is StepState.DONE and one.steps[-1].kind is StepKind.REPLACE
        return one.replaces, added.target

    assert in_its_place(plan) == (('a',), 'b')
    # Back and forth, by a person or because one of them is refused what it is to have.
    for _ in range(2):
        back = refused(seen)
        assert back.new == worlds.holder('a') and in_its_place(back) == (('b',), 'a')
        seen = dataclasses.replace(seen, record=dataclasses.replace(record, plan=back))
        again = ways_out.with_successor(back, seen, worlds.holder('b'))
        assert again.new == worlds.holder('b') and in_its_place(again) == (('a',), 'b')
        seen = dataclasses.replace(seen, record=dataclasses.replace(record, plan=again))


def test_nothing_goes_where_the_volumes_go_back_before_a_member_was_made():
    plan = decide.answer(signals.Signal(), worlds.seen((GROUP[0],), chained=CHAINED)).plan
    record = model.Record(epoch=1, active=plan.old, plan=plan, state=model.State.STOPPED)
    seen = worlds.seen((GROUP[0],), record=record, chained=CHAINED)
    assert ways_out.back(plan, seen, '').replaces == ()


def test_an_alarm_about_the_new_server_of_a_member_is_not_about_the_one_that_it_had():
    """An update has given the old active's member another server, which is to take over."""
    seen = stopped_without_replacement('attach:v1', model.Cause.SWITCHOVER)
    old = dataclasses.replace(seen.record.plan.new, server='server-before')
    plan = dataclasses.replace(seen.record.plan, old=old)
    again = dataclasses.replace(seen, record=dataclasses.replace(seen.record, plan=plan))
    found = decide.answer(signals.Signal(member='server-b'), again).plan
    assert found.new not in (plan.new, old), 'the successor itself is sick'
    turned = decide.answer(signals.Signal(member='server-before'), again).plan
    assert (turned.new, turned.cause) == (plan.new, model.Cause.FAILOVER)
