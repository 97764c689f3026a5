# SPDX-License-Identifier: Apache-2.0
"""Every state that Nova can show of a server, whatever the policy was doing.

Each look is decided on its own here; ``test_decide_lives`` lets whole rescues run.
"""

import dataclasses
import itertools

import pytest

from heat_ha.cloud.model import Host, HostState, ServerStatus
from heat_ha.rescue import model
from heat_ha.rescue.model import Cause, Method, Migration, State
from heat_ha.rescue.rules import decide, methods, server_states, steps

NOW = 100_000.0

VM_STATES = [*server_states.VM_STATES, 'one of tomorrow']
TASKS = ['', *server_states.TASK_STATES, 'one of tomorrow']
STATUS = {
    'active': ServerStatus.ACTIVE,
    'stopped': ServerStatus.SHUTOFF,
    'error': ServerStatus.ERROR,
}

UP, DOWN, DEAD, UNKNOWN = (
    Host(state, state.value)
    for state in (HostState.UP, HostState.DOWN, HostState.CONFIRMED_DOWN, HostState.UNKNOWN)
)

# Where the server is, its old host, and the one that it is on now.
PLACES = [('old', old, None) for old in (UP, DOWN, DEAD, UNKNOWN)] + [
    ('new', old, here) for old in (UP, DEAD) for here in (UP, DOWN, DEAD, UNKNOWN)
]

EVACUATED, LIVE, RESIZED = 'evacuation', 'live-migration', 'resize'


def moved(status, kind=EVACUATED, to='there', destination=None):
    return Migration(status, kind, NOW, to), destination


MIGRATIONS = [
    (None, None),
    moved(Migration.ABSENT, '', ''),
    moved(Migration.COULD_NOT_ASK, '', ''),
    moved('accepted', to=''),
    moved('pre-migrating', destination=UP),
    moved('pre-migrating', destination=DEAD),
    moved('a word of tomorrow', destination=UP),
    moved('done', destination=UP),
    moved('completed', to='old', destination=DEAD),
    moved('failed', destination=UP),
    moved('preparing', LIVE, destination=UP),
    moved('running', LIVE, destination=UP),
    moved('running', LIVE, destination=DEAD),
    moved('migrating', RESIZED, destination=UP),
    moved('finished', RESIZED, to='old', destination=DEAD),
    # Nova gave up too late to roll back, or before it had chosen a host.
    moved('error', LIVE, destination=UP),
    moved('error', LIVE, destination=UNKNOWN),
    moved('error', LIVE, destination=DEAD),
    moved('error', LIVE, to=''),
    moved('failed', LIVE, destination=UP),
    moved('cancelled', LIVE, destination=UP),
    moved('error', RESIZED, destination=UP),
    moved('error', 'migration', destination=UP),
    moved('post-migrating', 'migration', to='old', destination=DEAD),
    moved('reverted', RESIZED, destination=UP),
    # Kinds of tomorrow, and rows that an operator has mended by hand.
    moved('running', 'one of tomorrow', destination=UP),
    moved('accepted', '', destination=UP),
    moved('', 'one of tomorrow', destination=UNKNOWN),
    moved('error', 'one of tomorrow', destination=UP),
    moved('done', 'one of tomorrow', destination=UP),
]

MOVES_NOTHING = ('resize', 'migration')

LISTS = {
    'evacuate': (Method.EVACUATE,),
    'evacuate, recreate': (Method.EVACUATE, Method.RECREATE),
    'recreate': (Method.RECREATE,),
    'restart, evacuate, failover, none': (
        Method.RESTART, Method.EVACUATE, Method.FAILOVER, Method.NONE,
    ),
}  # fmt: skip

BEFORE = model.Server('s', ServerStatus.ACTIVE, 'old', detail='ACTIVE', vm_state='active')


def progresses(chosen):
    """What may be on record: nothing begun, or each method in the middle and after each cause."""
    yield model.Progress('s', 'web', BEFORE, began=NOW - 200)
    yield model.Progress('s', 'web', BEFORE, began=NOW - 200, of_host=False)
    for index, method in enumerate(chosen):
        if method is Method.NONE:
            continue
        running = model.Progress(
            's', 'web', BEFORE, index, 1, State.RUNNING, method, began=NOW - 200,
            started=NOW - 100, of_host=method is not Method.RESTART,
        )  # fmt: skip
        yield running
        for cause in (Cause.NONE, Cause.COULD_NOT_ASK, Cause.STATE, Cause.NO_HOST, Cause.KEYS,
                      Cause.BUILD, Cause.UNSUPPORTED):  # fmt: skip
            yield dataclasses.replace(running, failure='it failed', cause=cause)


def is_under_way(migration, destination):
    """Whether a host that may be alive works on the server, or may have it."""
    if migration is None or migration.status in (Migration.ABSENT, Migration.COULD_NOT_ASK):
        return False
    is_over = migration.status in (
        'done', 'completed', 'failed', 'finished', 'error', 'cancelled', 'reverted',
    )  # fmt: skip
    return not is_over and destination is not DEAD


def is_torn(known, server, migration, destination):
    """Whether a server in error may run elsewhere, or has a disk on each of two hosts."""
    if server.vm_state != 'error' or known.was_reset or migration is None:
        return False
    if migration.kind in MOVES_NOTHING:
        has_ended = migration.status in ('finished', 'reverted')
        return not has_ended and not server.boots_from_volume
    has_failed = migration.kind != EVACUATED and migration.status == 'error'
    return has_failed and bool(migration.destination) and destination is not DEAD


def check_on_host_up(known, server):
    assert server.status is not ServerStatus.OTHER, 'its owner did that'
    assert server_states.row_of(server).way is not server_states.Way.LEAVE
    if server.status is ServerStatus.ACTIVE:
        was_touched = known.state is State.RUNNING and known.cause not in (
            Cause.STATE, Cause.COULD_NOT_ASK,
        )  # fmt: skip
        assert was_touched, 'it is well'


def check(known, chosen, world, step):
    assert step.reason
    if isinstance(step, steps.End):
        assert step.state.is_final
    if not isinstance(step, steps.Begin):
        return
    server = world.server
    assert world.host in (UP, DEAD) and server.host == 'old', 'what lives elsewhere is left there'
    assert step.method is chosen[step.index]
    traits = methods.of(step.method)
    assert world.host.state in traits.usable_on
    migration = world.migration
    if migration is not None and migration.kind not in MOVES_NOTHING:
        not_left = migration.kind == LIVE and migration.status == 'preparing'
        assert not is_under_way(migration, world.destination) or not_left, 'two at once'
    if world.host is not DEAD:
        check_on_host_up(known, server)
        return
    assert server.status is not ServerStatus.ERROR or migration is not None, 'nobody asked why'
    assert not is_torn(known, server, migration, world.destination), 'it may run elsewhere'
    row = server_states.row_of(server)
    assert row.way not in (server_states.Way.LEAVE, server_states.Way.PERSON)
    if step.method is Method.EVACUATE:
        is_direct = server.vm_state in ('active', 'stopped', 'error') and not server.task
        assert step.is_reset or is_direct, 'Nova answers 409'
    if traits.deletes_server:
        usable = [m for m in chosen if world.host.state in methods.of(m).usable_on]
        is_first = usable[0] is step.method
        after = known.cause in (Cause.BUILD, Cause.UNSUPPORTED)
        is_own = known.method is step.method
        assert is_first or after or is_own, 'deleted for a mere state'
        assert not server.is_locked
        assert migration is not None, 'nobody asked whether it is being moved'


@pytest.mark.parametrize('named', LISTS)
def test_the_rules_hold_in_every_state_that_nova_can_show(named):
    """Of the product of all states, each list walks the whole of this one."""
    chosen = LISTS[named]
    rules = [model.Rule(method, 60.0, 2) for method in chosen]
    known = list(progresses(chosen))
    kinds, count = set(), 0
    looks = itertools.product(VM_STATES, TASKS, PLACES, MIGRATIONS)
    for number, (vm_state, task, (place, old, here), (migration, destination)) in enumerate(looks):
        server = dataclasses.replace(
            BEFORE, status=STATUS.get(vm_state, ServerStatus.OTHER), host=place, task=task,
            vm_state=vm_state, detail=vm_state, is_locked=number % 7 == 0,
            boots_from_volume=number % 2 == 0, fault='No valid host was found.',
        )  # fmt: skip
        world = model.Observation(
            server, old, NOW, here=here, migration=migration, destination=destination
        )
        # Each look meets the beginning, and in turn each of the others.
        for one in (known[0], known[1 + number % (len(known) - 1)]):
            step = decide.next_step(one, rules, model.Verify(), world)
            kinds.add(type(step))
            count += 1
            try:
                check(one, chosen, world, step)
            except AssertionError as exc:
                raise AssertionError(f'{exc}: {one} {world} {step}') from exc
    assert kinds >= {steps.Look, steps.Begin, steps.End, steps.AskMigration, steps.StartOver}
    assert count == 2 * len(VM_STATES) * len(TASKS) * len(PLACES) * len(MIGRATIONS)


@pytest.mark.parametrize('vm_state', VM_STATES)
def test_a_state_alone_never_leads_from_evacuate_to_a_method_that_deletes(vm_state):
    rules = [model.Rule(Method.EVACUATE), model.Rule(Method.RECREATE)]
    for task in TASKS:
        server = dataclasses.replace(
            BEFORE, status=STATUS.get(vm_state, ServerStatus.OTHER), task=task, vm_state=vm_state
        )
        known = model.Progress('s', 'web', server, began=NOW - 100)
        world = model.Observation(
            server, DEAD, NOW, migration=Migration(Migration.ABSENT), absent_for=99.0
        )
        step = decide.next_step(known, rules, model.Verify(), world)
        if isinstance(step, steps.Begin):
            assert step.method is Method.EVACUATE
        else:
            assert isinstance(step, steps.End) and step.state is not State.DONE


@pytest.mark.parametrize('vm_state', VM_STATES)
@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('old', [DEAD, UP], ids=['dead', 'up'])
def test_a_look_just_before_keeps_a_server_from_being_deleted(old, task, vm_state):
    server = dataclasses.replace(
        BEFORE, status=STATUS.get(vm_state, ServerStatus.OTHER), task=task, vm_state=vm_state
    )
    known = model.Progress('s', 'web', BEFORE, state=State.RUNNING, of_host=old is DEAD)
    why_not = decide.may_replace(known, model.Observation(server, old, NOW))
    way = server_states.row_of(server).way
    if task in ('deleting', 'soft-deleting') or vm_state in ('soft-delete', 'deleted'):
        assert why_not, 'its owner deletes it'
    if way in (server_states.Way.LEAVE, server_states.Way.PERSON, server_states.Way.MIGRATION):
        assert why_not
    if task and old is UP:
        assert why_not, 'Nova is at work on it'
    if vm_state in ('active', 'error') and not task:
        assert not why_not


@pytest.mark.parametrize('status', ServerStatus)
def test_a_server_that_is_not_sick_any_more_is_left_alone_on_a_host_that_is_up(status):
    """Between the alarm and the method its owner may have started, paused or deleted it."""
    rules = [model.Rule(Method.RESTART), model.Rule(Method.RECREATE)]
    sick = dataclasses.replace(BEFORE, status=ServerStatus.SHUTOFF, vm_state='stopped')
    for cause in (Cause.NONE, Cause.STATE, Cause.COULD_NOT_ASK):
        known = model.Progress('s', 'web', sick, began=NOW - 100, of_host=False)
        if cause is not Cause.NONE:
            known = dataclasses.replace(
                known, state=State.RUNNING, method=Method.RESTART, attempt=1, failure='it was',
                cause=cause, started=NOW - 90,
            )  # fmt: skip
        vm_state = {'ACTIVE': 'active', 'SHUTOFF': 'stopped', 'ERROR': 'error'}
        now = dataclasses.replace(
            BEFORE, status=status, vm_state=vm_state.get(status.value, 'paused')
        )
        world = model.Observation(
            now, UP, NOW, migration=Migration(Migration.ABSENT), absent_for=99.0
        )
        step = decide.next_step(known, rules, model.Verify(), world)
        if status in (ServerStatus.SHUTOFF, ServerStatus.ERROR):
            assert isinstance(step, steps.Begin) and step.method is Method.RESTART
        elif status is ServerStatus.COULD_NOT_ASK:
            assert isinstance(step, steps.Look)
        else:
            assert isinstance(step, steps.End) and step.state is State.LEFT_ALONE, step


@pytest.mark.parametrize('vm_state', ['soft-delete', 'deleted', 'shelved_offloaded'])
@pytest.mark.parametrize('place', ['old', 'new', ''])
@pytest.mark.parametrize('migration', [None, *(m for m, _to in MIGRATIONS if m)], ids=str)
def test_what_its_owner_took_away_during_an_evacuation_keeps_nobody_waiting(
    migration, place, vm_state
):
    server = dataclasses.replace(
        BEFORE, status=ServerStatus.OTHER, vm_state=vm_state, detail=vm_state.upper(), host=place
    )
    known = model.Progress(
        's', 'web', BEFORE, 0, 1, State.RUNNING, Method.EVACUATE, began=NOW - 20, started=NOW - 9
    )
    world = model.Observation(
        server, DEAD, NOW, here=UP if place == 'new' else None, migration=migration
    )
    step = decide.next_step(known, [model.Rule(Method.EVACUATE)], model.Verify(), world)
    assert isinstance(step, steps.End) and step.state is State.LEFT_ALONE, step
    assert server_states.row_of(server).why in step.reason


@pytest.mark.parametrize('migration', [m for m in MIGRATIONS if m[0]], ids=str)
def test_the_way_out_that_a_person_is_told_is_one(migration):
    """Once an operator has looked and has set the state to active, the server is evacuated."""
    rules = [model.Rule(Method.EVACUATE), model.Rule(Method.RECREATE)]
    known = model.Progress('s', 'web', BEFORE, began=NOW - 100)
    torn = dataclasses.replace(BEFORE, status=ServerStatus.ERROR, vm_state='error', detail='ERROR')
    world = model.Observation(torn, DEAD, NOW, migration=migration[0], destination=migration[1])
    step = decide.next_step(known, rules, model.Verify(), world)
    if isinstance(step, steps.End):
        assert step.state is State.FAILED and 'set its state to active' in step.reason
    again = model.Observation(BEFORE, DEAD, NOW)
    step = decide.next_step(known, rules, model.Verify(), again)
    assert isinstance(step, steps.Begin) and step.method is Method.EVACUATE


@pytest.mark.parametrize('task', ['', 'rebuild_spawning', 'migrating'])
@pytest.mark.parametrize('vm_state', ['active', 'stopped', 'error'])
@pytest.mark.parametrize('absent_for', [0.0, 3.9, 4.0, 29.9, 30.0])
def test_one_answer_without_a_migration_is_not_believed(absent_for, vm_state, task):
    """A cell whose database does not answer is left out of Nova's answers."""
    server = dataclasses.replace(
        BEFORE, status=STATUS.get(vm_state, ServerStatus.OTHER), task=task, vm_state=vm_state
    )
    known = model.Progress('s', 'web', server, began=NOW - 1000)
    world = model.Observation(
        server, DEAD, NOW, migration=Migration(Migration.ABSENT), absent_for=absent_for
    )
    step = decide.next_step(known, [model.Rule(Method.EVACUATE)], model.Verify(), world)
    if absent_for < (30.0 if task else 4.0):
        assert isinstance(step, (steps.Look, steps.Remind)), step
    else:
        assert isinstance(step, steps.Begin) and step.is_reset is bool(task), step


def test_a_live_migration_that_was_torn_is_a_persons_before_the_server_is_in_error():
    """Nova writes the migration first; its host may die between the two."""
    server = dataclasses.replace(BEFORE, task='migrating', vm_state='active')
    known = model.Progress('s', 'web', server, began=NOW - 1000)
    torn, to = moved('error', LIVE, destination=UP)
    world = model.Observation(server, DEAD, NOW, migration=torn, destination=to)
    step = decide.next_step(known, [model.Rule(Method.EVACUATE)], model.Verify(), world)
    assert step == steps.End(step.reason, State.FAILED)
