# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import json

import pytest

from heat_ha import exceptions, serialization, signals
from heat_ha.cloud.model import Host, HostState, VolumeStatus
from heat_ha.failover import executor, handoff_steps, model
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import decide, retry
from heat_ha.groups import model as groups
from heat_ha.testing import clouds
from tests.unit.failover import worlds

CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)


class Killed(BaseException):
    """The engine dies: nothing after this line runs."""


class FakeShell:
    """A policy's record as JSON text, killed on demand at one of its saves."""

    def __init__(self, kill_at=None):
        self.stored = None
        self.events = []
        self.handed_over = []
        self.replaced = []
        self.hooks = []
        self.saves = 0
        self.kill_at = kill_at
        self.lost = False

    def save(self, plan):
        if self.lost:
            raise exceptions.LostLock
        self.saves += 1
        if self.saves == self.kill_at:
            raise Killed
        self.stored = json.dumps(serialization.encode(plan))

    def still_wanted(self):
        if self.lost:
            raise exceptions.LostLock

    def check_ours(self):
        self.still_wanted()

    def begun(self, plan):
        pass

    def plan(self):
        return serialization.read(model.Plan, self.stored, 'the plan')

    def report(self, step, plan):
        self.events.append((step.name, step.state))

    def add_member(self, plan):
        return worlds.holder('n')

    def hand_over(self, plan):
        self.handed_over.append(plan.new.server)

    def replace(self, plan, step):
        self.replaced.append(step.target)
        return 'replaced'

    def run_hook(self, plan, step):
        holder = plan.new if step.kind is StepKind.ACTIVATE else plan.old
        self.hooks.append((step.name, holder.server, len(self.handed_over)))
        return 'it is done on the server'

    def moved(self, plan):
        pass


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch):
    monkeypatch.setattr(retry, 'FIRST_LOOK', 0.001)
    monkeypatch.setattr(retry, 'SLOWEST_LOOK', 0.002)
    monkeypatch.setattr(handoff_steps, 'POLLED_LOOK', 0.01)
    # Every state that may be on record when an engine dies.
    monkeypatch.setattr(executor, 'SAVE_EVERY', 0.0)


HOOK = model.Hook('c1', {'a': 1}, 60.0, 0.0, model.OnFailure.STOP)


def make(
    volumes=('v1', 'v2'), quiesce=model.Quiesce.NONE, hooks=None, by_host=False, **cloud_options
):
    cloud = clouds.FakeCloud(**cloud_options)
    for name in 'ab':
        cloud.add_server(f'server-{name}')
    for name in volumes:
        cloud.add_volume(name, 'server-a')
    world = worlds.seen(
        (worlds.candidate('a'), worlds.candidate('b')),
        volumes=volumes,
        chained=CHAINED,
        quiesce=quiesce,
        quiesce_hook=hooks,
        activate_hook=hooks,
        asks_old_host=by_host,
    )
    return cloud, decide.answer(signals.Signal(), world).plan


def run(plan, shell, cloud, **seen):
    """Carry out the failover, and then what it has left to do."""
    moved = executor.PlanExecutor(plan, shell, cloud, **seen).run()
    assert moved.is_moved
    return executor.PlanExecutor(moved, shell, cloud, of_follow_up=True).run()


def is_handed_over(cloud, shell, volumes):
    return (
        all(cloud.holder(v) == 'server-b' for v in volumes)
        and set(shell.handed_over) == {'server-b'}
        and set(shell.replaced) == {'a'}
    )


@pytest.mark.parametrize('quiesce', list(model.Quiesce))
@pytest.mark.parametrize('count', [0, 1, 8])
def test_a_failover_brings_every_volume_to_the_successor(count, quiesce):
    volumes = tuple(f'v{i}' for i in range(count))
    cloud, plan = make(volumes, quiesce)
    shell = FakeShell()
    assert run(plan, shell, cloud).is_done
    assert is_handed_over(cloud, shell, volumes) and not cloud.violations
    assert {name for name, state in shell.events} == {s.name for s in plan.steps}


def test_the_storage_is_asked_between_the_old_active_and_the_new_one():
    cloud, plan = make(('v1',))
    moved = executor.PlanExecutor(plan, FakeShell(), cloud).run()
    assert 'server-a had v1, and None has it now; ' in moved.step('attach:v1').reason


@pytest.mark.parametrize('kill_at', range(1, 9))
def test_the_old_active_is_quiesced_and_the_new_one_activated_whatever_save_it_was_killed_at(
    kill_at,
):
    cloud, plan = make(hooks=HOOK, quiesce=model.Quiesce.STOP)
    shell = FakeShell()
    shell.save(plan)
    shell.kill_at = kill_at + 1
    try:
        run(shell.plan(), shell, cloud)
    except Killed:
        shell.kill_at = None
        assert run(shell.plan(), shell, cloud).is_done
    names = [name for name, _, _ in shell.hooks]
    assert names == sorted(names, key=['quiesce', 'activate'].index), names
    assert {('quiesce', 'server-a', 0)} <= set(shell.hooks)
    # What hangs on the active beside volumes is there before it is activated.
    assert all(handed for name, _, handed in shell.hooks if name == 'activate')
    assert is_handed_over(cloud, shell, ('v1', 'v2')) and not cloud.violations


# S4
def test_the_plan_is_durable_before_the_first_side_effect():
    cloud, plan = make()
    shell = FakeShell(kill_at=1)
    with pytest.raises(Killed):
        run(plan, shell, cloud)
    assert cloud.requests == [] and shell.stored is None


def test_a_failover_ends_right_whatever_save_it_was_killed_at():
    for kill_at in itertools.count(1):
        cloud, plan = make()
        shell = FakeShell()
        shell.save(plan)
        shell.kill_at = kill_at + 1
        try:
            run(shell.plan(), shell, cloud)
        except Killed:
            shell.kill_at = None
            assert run(shell.plan(), shell, cloud).is_done
        else:
            # Four saves at the least: before detaching, attaching, handing over, replacing.
            assert kill_at > 4, 'every save was tried'
            break
        assert is_handed_over(cloud, shell, ('v1', 'v2')), kill_at
        assert not cloud.violations, kill_at


# S4
def test_doing_a_whole_plan_twice_asks_for_nothing_twice():
    cloud, plan = make()
    run(plan, FakeShell(), cloud)
    before = list(cloud.requests)
    shell = FakeShell()
    assert run(plan, shell, cloud).is_done
    assert cloud.requests == before


def run_out(plan, shell, cloud):
    """Carry out the plan as far as it goes. :returns: what it waits for, None for nothing."""
    shell.save(plan)
    try:
        run(plan, shell, cloud)
    except exceptions.FencingUnconfirmed as exc:
        return exc
    return None


# S1
@pytest.mark.parametrize('quiesce', list(model.Quiesce))
@pytest.mark.parametrize('is_waiting', [False, True])
@pytest.mark.parametrize('end', ['confirm', 'return'])
def test_a_server_that_its_owner_deletes_on_a_silent_host_frees_nothing_by_that(
    quiesce, is_waiting, end
):
    cloud, plan = make(('v1', 'v2'), quiesce)
    shell = FakeShell()
    cloud.let_die('server-a')
    if is_waiting:
        assert run_out(plan, shell, cloud) is not None
        plan = shell.plan()
    # Nova shows the server gone and the volumes free, and the guest writes on.
    cloud.owner_deletes('server-a')
    assert cloud.volume('v1').status is VolumeStatus.AVAILABLE
    waits = run_out(plan, shell, cloud)
    assert waits is not None and waits.server == 'server-a' and 'set --down' in waits.remedy
    assert not cloud.requests and not cloud.violations
    if end == 'confirm':
        cloud.confirm()
    else:
        cloud.let_die('')
    assert run_out(shell.plan(), shell, cloud) is None
    assert is_handed_over(cloud, shell, ('v1', 'v2')) and not cloud.violations


@pytest.mark.parametrize('volumes', [(), ('v1', 'v2')])
def test_heat_takes_a_port_from_a_dead_host_only_after_its_server_is_deleted(volumes):
    cloud, plan = make(volumes, by_host=True)
    shell = FakeShell()
    cloud.let_die('server-a')
    waits = run_out(plan, shell, cloud)
    assert waits is not None and waits.server == 'server-a' and 'set --down' in waits.remedy
    assert not shell.handed_over and not cloud.requests
    cloud.confirm()
    assert run_out(shell.plan(), shell, cloud) is None
    assert is_handed_over(cloud, shell, volumes) and not cloud.violations
    assert {name for name, _, _ in cloud.requests} >= {'delete'}


def test_without_the_wish_to_delete_it_a_dead_host_keeps_what_it_has_until_a_person_helps():
    cloud, plan = make((), by_host=True)
    plan = dataclasses.replace(plan, on_dead_host=model.OnDeadHost.WAIT)
    shell = FakeShell()
    cloud.let_die('server-a')
    cloud.confirm()
    waits = run_out(plan, shell, cloud)
    assert waits is not None and 'Evacuate or delete' in waits.remedy
    assert not shell.handed_over and not cloud.requests
    # Evacuated: its host is another one, and answers.
    cloud.let_die('')
    assert run_out(shell.plan(), shell, cloud) is None
    assert shell.handed_over == ['server-b'] and not cloud.requests


@pytest.mark.parametrize('tried', [(), ('c',)])
def test_a_living_host_is_looked_at_once_and_whoever_may_have_something_else_too(tried):
    cloud, plan = make((), by_host=True)
    plan = dataclasses.replace(plan, tried=tuple(worlds.holder(n) for n in tried))
    for name in tried:
        cloud.add_server(f'server-{name}')
        cloud.let_die(f'server-{name}')
    shell = FakeShell()
    waits = run_out(plan, shell, cloud)
    assert (waits.server if waits else '') == ('server-c' if tried else '')
    assert bool(shell.handed_over) is not bool(tried) and not cloud.requests


def late(volumes, at, *, when='detach'):
    """A plan whose volumes are free for b, and then come to another server ``at`` all the same."""
    cloud, plan = make(volumes)
    for name in volumes:
        plan = plan.with_step(
            dataclasses.replace(plan.step(f'detach:{name}'), state=StepState.DONE)
        )
        cloud.add_volume(name)
    for name in 'cx':
        cloud.add_server(f'server-{name}')
    for name in volumes:
        cloud.attach(at, name, None)
        if when == 'in use':
            while cloud.volume(name).status is not VolumeStatus.IN_USE:
                pass
    cloud.requests.clear()
    return cloud, dataclasses.replace(plan, tried=(worlds.holder('c'),))


@pytest.mark.parametrize('volumes', [('v1',), ('v1', 'v2')])
@pytest.mark.parametrize('when', ['attaching', 'in use'])
def test_what_comes_late_to_an_earlier_successor_is_taken_from_it(volumes, when):
    cloud, plan = late(volumes, 'server-c', when=when)
    shell = FakeShell()
    run(plan, shell, cloud)
    assert {cloud.holder(name) for name in volumes} == {'server-b'} and not cloud.violations
    for name in volumes:
        own = [(what, server) for what, thing, server in cloud.requests if thing == name]
        assert own == [('detach', 'server-c'), ('attach', 'server-b')]


@pytest.mark.parametrize('at', ['server-x', 'server-a'])
def test_what_comes_late_to_anybody_else_is_left_there(at):
    cloud, plan = late(('v1',), at, when='in use')
    with pytest.raises(exceptions.Stopped, match=at):
        run(plan, FakeShell(), cloud)
    assert cloud.holder('v1') == at and not cloud.requests


# S1
@pytest.mark.parametrize('is_confirmed', [False, True])
def test_what_comes_late_to_a_dead_host_waits_for_that(is_confirmed, monkeypatch):
    monkeypatch.setattr(retry, 'STUCK_AFTER', 0.0)
    cloud, plan = late(('v1',), 'server-c', when='in use')
    cloud.let_die('server-c')
    if is_confirmed:
        cloud.confirm()
    with pytest.raises(exceptions.FencingUnconfirmed) as stopped:
        run(plan, FakeShell(), cloud)
    assert stopped.value.server == 'server-c' and 'detach:v1' in stopped.value.reason
    assert cloud.holder('v1') == 'server-c' and not cloud.requests and not cloud.violations


def test_what_comes_back_again_and_again_ends_with_a_reason(monkeypatch):
    cloud, plan = late(('v1',), 'server-c', when='in use')
    detach = cloud.detach

    def comes_back(server, volume):
        answer = detach(server, volume)
        monkeypatch.setattr(cloud, '_looks', 0)
        while cloud.volume(volume).status is not VolumeStatus.AVAILABLE:
            pass
        return answer

    monkeypatch.setattr(cloud, 'detach', comes_back)
    monkeypatch.setattr(
        cloud, 'attach', lambda _server, volume, _device: attach('server-c', volume, None)
    )
    attach = type(cloud).attach.__get__(cloud)
    with pytest.raises(exceptions.Stopped, match='came back to an earlier successor'):
        run(plan, FakeShell(), cloud)
    assert len([what for what, _, _ in cloud.requests if what == 'detach']) == retry.MAX_REQUESTS


def test_a_host_that_died_after_it_was_looked_at_is_seen_by_who_goes_on():
    cloud, plan = make((), by_host=True)
    shell = FakeShell(kill_at=2)
    with pytest.raises(Killed):
        run(plan, shell, cloud)
    shell.kill_at = None
    done = dataclasses.replace(plan.step('fence'), state=StepState.DONE)
    cloud.let_die('server-a')
    assert run_out(plan.with_step(done), shell, cloud) is not None
    assert not shell.handed_over


def test_on_the_usual_way_no_host_is_asked_for(monkeypatch):
    cloud, plan = make(('v1', 'v2', 'v3'))
    monkeypatch.setattr(clouds.FakeCloud, 'all', None)
    monkeypatch.setattr(clouds.FakeCloud, 'server', None)
    shell = FakeShell()
    executor.PlanExecutor(plan, shell, cloud).run()
    assert {cloud.holder(v) for v in ('v1', 'v2', 'v3')} == {'server-b'}


@pytest.mark.parametrize('seed', range(25))
def test_a_failover_under_failing_services_ends_done_or_stopped_and_then_done(seed):
    cloud, plan = make(('v1', 'v2', 'v3'), faults=0.2, seed=seed)
    shell = FakeShell()
    for _attempt in range(20):
        try:
            plan = run(plan, shell, cloud)
            break
        except exceptions.Stopped:
            plan = shell.plan()
    assert plan.is_done and is_handed_over(cloud, shell, ('v1', 'v2', 'v3'))
    assert not cloud.violations


def test_a_volume_on_a_foreign_server_stops_the_plan_and_nothing_is_handed_over():
    cloud, plan = make()
    cloud.add_volume('v2', 'server-of-somebody')
    shell = FakeShell()
    with pytest.raises(exceptions.Stopped, match='server-of-somebody'):
        run(plan, shell, cloud)
    assert not shell.handed_over and cloud.holder('v2') == 'server-of-somebody'
    assert shell.plan().step('detach:v2').state is StepState.FAILED
    cloud.add_volume('v2', None)
    assert run(shell.plan(), shell, cloud).is_done


def test_an_engine_that_lost_the_group_touches_nothing_more():
    cloud, plan = make()
    shell = FakeShell()
    shell.lost = True
    with pytest.raises(exceptions.LostLock):
        run(plan, shell, cloud)
    assert cloud.requests == []


def test_a_step_that_does_not_end_stops_with_what_was_last_seen(monkeypatch):
    monkeypatch.setattr(retry, 'STEP_LIMIT', 0.05)
    cloud, plan = make(('v1',), looks=10_000)
    with pytest.raises(exceptions.Stopped, match='not done within'):
        run(plan, FakeShell(), cloud)


def test_what_nova_refuses_until_it_has_forgotten_the_detachment_is_asked_for_again():
    cloud, plan = make()
    cloud.refusals = 3
    shell = FakeShell()
    assert run(plan, shell, cloud).is_done
    assert is_handed_over(cloud, shell, ('v1', 'v2')) and not cloud.violations


def test_what_nova_goes_on_refusing_stops_the_failover_with_its_reason(monkeypatch):
    monkeypatch.setattr(retry, 'REFUSED_FOR', 0.05)
    cloud, plan = make(('v1',))
    cloud.refusals = 10_000
    with pytest.raises(exceptions.SuccessorFailed, match='attach:v1 is refused by Nova'):
        run(plan, FakeShell(), cloud)
    assert cloud.holder('v1') is None


def test_a_group_of_one_makes_its_successor_first():
    cloud = clouds.FakeCloud()
    for name in ('server-a', 'server-n'):
        cloud.add_server(name)
    cloud.add_volume('v1', 'server-a')
    world = worlds.seen((worlds.candidate('a'),), volumes=('v1',))
    plan = decide.answer(signals.Signal(), world).plan
    assert plan.steps[0].kind is StepKind.ADD_MEMBER
    shell = FakeShell()
    assert run(plan, shell, cloud).new == worlds.holder('n')
    assert cloud.holder('v1') == 'server-n' and shell.replaced == ['a']


@pytest.mark.parametrize('quiesce', list(model.Quiesce))
def test_a_dead_host_stops_the_failover_until_it_is_confirmed_and_then_frees_the_volumes(quiesce):
    cloud, plan = make(('v1', 'v2'), quiesce)
    cloud.let_die('server-a')
    shell = FakeShell()
    with pytest.raises(exceptions.FencingUnconfirmed, match='does not answer'):
        run(plan, shell, cloud)
    assert cloud.requests == [] and cloud.holder('v1') == cloud.holder('v2') == 'server-a'
    cloud.confirm()
    assert run(shell.plan(), shell, cloud).is_done
    assert is_handed_over(cloud, shell, ('v1', 'v2')) and not cloud.violations


@pytest.mark.parametrize('state', list(HostState))
def test_a_host_that_was_just_seen_confirmed_down_is_asked_for_nothing(state, monkeypatch):
    cloud, plan = make(('v1', 'v2'))
    cloud.let_die('server-a')
    cloud.confirm()
    asked = []
    detach = cloud.detach
    monkeypatch.setattr(cloud, 'detach', lambda *a: asked.append(a) or detach(*a))
    seen = cloud.server('server-a'), Host(state, state.value)
    shell = FakeShell()
    assert run(plan, shell, cloud, old=seen).is_done
    assert is_handed_over(cloud, shell, ('v1', 'v2')) and not cloud.violations
    assert bool(asked) == (state is not HostState.CONFIRMED_DOWN)


def test_nothing_is_deleted_on_a_dead_host_unless_the_template_replaces_the_member():
    cloud, plan = make(('v1',))
    kept = tuple(s for s in plan.steps if s.kind is not StepKind.REPLACE)
    plan = dataclasses.replace(plan, steps=kept)
    cloud.let_die('server-a')
    cloud.confirm()
    with pytest.raises(exceptions.FencingUnconfirmed, match='nothing may delete'):
        run(plan, FakeShell(), cloud)
    assert cloud.requests == []


def test_a_failover_from_a_dead_host_ends_right_whatever_save_it_was_killed_at():
    for kill_at in (1, 2, 3, 4):
        cloud, plan = make()
        cloud.let_die('server-a')
        cloud.confirm()
        shell = FakeShell()
        shell.save(plan)
        shell.kill_at = kill_at + 1
        with pytest.raises(Killed):
            run(shell.plan(), shell, cloud)
        shell.kill_at = None
        assert run(shell.plan(), shell, cloud).is_done
        assert is_handed_over(cloud, shell, ('v1', 'v2')) and not cloud.violations
