# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest

from heat_ha import serialization
from heat_ha.cloud.model import Host, HostState, ServerStatus
from heat_ha.rescue import model
from heat_ha.rescue.model import Method, State
from heat_ha.rescue.rules import decide, methods, steps

NOW = 10_000.0
VERIFY = model.Verify()
BEFORE = model.Server('s', ServerStatus.ACTIVE, 'old', '', ('v1',), ('10.0.0.5',), 'ACTIVE')
RULES = (
    model.Rule(Method.RESTART, 60, 2),
    model.Rule(Method.EVACUATE, 60, 2),
    model.Rule(Method.REBUILD, 60),
    model.Rule(Method.FAILOVER, 60),
    model.Rule(Method.RECREATE, 60, 3),
)


def seen(state, status=ServerStatus.ACTIVE, migration=None, **changes):
    server = dataclasses.replace(BEFORE, status=status, detail=status.value, **changes)
    here = Host(HostState.UP, 'its host is up') if server.host != BEFORE.host else None
    host = Host(state, f'its host is {state.value}')
    return model.Observation(server, host, NOW, here=here, migration=migration)


def progress(**changes):
    return dataclasses.replace(model.Progress('s', 'web', BEFORE), **changes)


FAILED = model.Migration('failed', 'evacuation', NOW, 'new')
MIGRATIONS = (None, model.Migration(model.Migration.ABSENT), FAILED)


def all_worlds():
    for state, status, task, host, volumes, addresses, migration in itertools.product(
        HostState, ServerStatus, ('', 'rebuilding'), ('old', 'new'), ((), ('v1',)),
        ((), ('10.0.0.5', '10.0.0.6')), MIGRATIONS,
    ):  # fmt: skip
        yield seen(
            state, status, migration,
            task=task, host=host, volumes=volumes, addresses=addresses, fault='it failed',
        )  # fmt: skip


def all_progress():
    yield progress()
    for index, rule in enumerate(RULES):
        for attempt, failure, started, has_returned, of_host in itertools.product(
            range(1, rule.attempts + 1), ('', 'it failed'), (NOW - 10, NOW - 100), (False, True),
            (False, True),
        ):  # fmt: skip
            yield progress(
                has_returned=has_returned and not methods.of(rule.method).is_in_nova,
                of_host=of_host,
                cause=model.Cause.BUILD if failure else model.Cause.NONE,
                index=index, attempt=attempt, state=State.RUNNING, method=rule.method,
                failure=failure, started=started,
            )  # fmt: skip


# S1, S2
def test_the_rules_hold_in_every_state():
    kinds = set()
    for known, world in itertools.product(list(all_progress()), list(all_worlds())):
        step = decide.next_step(known, RULES, VERIFY, world)
        kinds.add(type(step))
        assert step.reason, (known, world)
        if isinstance(step, steps.Begin):
            rule = RULES[step.index]
            assert world.host.state in (HostState.UP, HostState.CONFIRMED_DOWN)
            assert world.server.status is not ServerStatus.COULD_NOT_ASK
            assert step.attempt <= rule.attempts and step.method is rule.method
            is_again = (
                known.state is State.RUNNING
                and not methods.of(known.method).is_in_nova
                and not known.failure
                and not known.has_returned
            )
            here, before = (step.index, step.attempt), (known.index, known.attempt)
            assert here == before if is_again else here > before or known.state is State.PENDING
            if step.method is Method.EVACUATE:
                assert world.host.state is HostState.CONFIRMED_DOWN
            is_gone = world.server.status is ServerStatus.GONE
            assert is_gone or world.server.host == 'old', 'what left its host is left there'
            if known.state is State.RUNNING and not known.failure and not is_again:
                has_failed = world.server.status is ServerStatus.ERROR
                is_late = NOW - known.started > rule.timeout
                assert has_failed or is_late or world.migration is FAILED
            if known.method is Method.EVACUATE and not known.failure:
                assert world.migration is not None, 'its migration decides'
        if isinstance(step, steps.End) and step.state is State.DONE:
            if known.method is Method.RECREATE:
                assert known.has_returned
            if known.method is Method.EVACUATE:
                assert world.server.host != BEFORE.host
                # Its owner may have stopped it there.
                assert world.server.status in (BEFORE.status, ServerStatus.SHUTOFF)
            if methods.of(known.method).is_in_nova:
                assert set(world.server.volumes) >= set(BEFORE.volumes)
                assert set(world.server.addresses) >= set(BEFORE.addresses)
    assert kinds == {
        steps.Look, steps.Begin, steps.End, steps.AskMigration, steps.Arrive, steps.StartOver,
        steps.Remind,
    }  # fmt: skip


@pytest.mark.parametrize('state', HostState)
def test_every_rescue_ends_however_often_methods_fail(state):
    # A server that an alarm names is rescued on a host that is up.
    of_host = state is not HostState.UP
    known, begun = progress(of_host=of_host), []
    for _ in range(50):
        # It is sick, on a host that is up. On a dead one Nova shows it as it was.
        status = ServerStatus.SHUTOFF if state is HostState.UP else ServerStatus.ACTIVE
        step = decide.next_step(known, RULES, VERIFY, seen(state, status, FAILED))
        if isinstance(step, steps.End):
            assert step.state is State.FAILED
            break
        if isinstance(step, steps.Look):
            assert state in (HostState.DOWN, HostState.UNKNOWN)
            return
        begun.append((step.method, step.attempt))
        known = progress(
            index=step.index, attempt=step.attempt, state=State.RUNNING, method=step.method,
            failure='it failed', cause=model.Cause.BUILD, of_host=of_host,
        )  # fmt: skip
    assert len(begun) == len(set(begun))
    assert (Method.EVACUATE, 2) in begun or state is HostState.UP
    assert begun[-1] == (Method.RECREATE, 3)


def test_a_server_is_configured_again_before_it_counts_as_rescued():
    verify = model.Verify(configuration=True)
    kinds = set()
    for (index, rule), is_asked, config, started, host in itertools.product(
        enumerate(RULES), (False, True), model.Configuration, (NOW - 10, NOW - 100), ('old', 'new')
    ):
        known = progress(
            index=index, attempt=1, state=State.RUNNING, method=rule.method, started=started,
            has_returned=not methods.of(rule.method).is_in_nova, is_configured_again=is_asked,
            arrived=started, of_host=host == 'new',
        )  # fmt: skip
        state = HostState.CONFIRMED_DOWN if host == 'new' else HostState.UP
        world = seen(state, host=host, migration=MIGRATIONS[1])
        world = dataclasses.replace(world, configuration=config, absent_for=99.0)
        step = decide.next_step(known, RULES, verify, world)
        kinds.add(type(step))
        is_there = host == 'new' or not methods.of(rule.method).moves_server
        if not is_there or not methods.of(rule.method).has_new_disk:
            assert not isinstance(step, steps.Configure)
        elif is_asked and config is model.Configuration.DONE:
            assert step == steps.End(step.reason, State.DONE)
        elif (is_asked and config is model.Configuration.FAILED) or NOW - started > rule.timeout:
            # Not the same again: the server is well. And on its new host it is left there.
            if host == 'new':
                assert step == steps.End(step.reason, State.FAILED)
                assert 'its configuration' in step.reason
            else:
                assert isinstance(step, steps.Begin) and step.index > index
        else:
            assert isinstance(step, steps.Look if is_asked else steps.Configure)
    assert kinds == {steps.Look, steps.Begin, steps.End, steps.Configure}


def test_a_server_that_stays_stopped_is_not_configured():
    stopped = dataclasses.replace(BEFORE, status=ServerStatus.SHUTOFF)
    known = progress(
        before=stopped, index=1, attempt=1, state=State.RUNNING, method=Method.EVACUATE, started=NOW
    )
    up = seen(HostState.CONFIRMED_DOWN, ServerStatus.SHUTOFF, host='new')
    step = decide.next_step(known, RULES, model.Verify(configuration=True), up)
    assert isinstance(step, steps.End) and step.state is State.DONE


def test_a_server_that_its_owner_had_stopped_stays_stopped():
    stopped = dataclasses.replace(BEFORE, status=ServerStatus.SHUTOFF)
    known = progress(
        before=stopped, index=1, attempt=1, state=State.RUNNING, method=Method.EVACUATE, started=NOW
    )
    up = seen(HostState.CONFIRMED_DOWN, ServerStatus.SHUTOFF, host='new')
    assert decide.next_step(known, RULES, VERIFY, up).state is State.DONE


# S8
def test_a_server_that_its_owner_deleted_is_not_made_anew():
    for known in all_progress():
        if (
            methods.of(known.method).is_in_nova and not known.failure
        ) or known.state is State.PENDING:
            world = seen(HostState.CONFIRMED_DOWN, ServerStatus.GONE)
            step = decide.next_step(known, RULES, VERIFY, world)
            assert isinstance(step, steps.End) and step.state is State.LEFT_ALONE


def test_none_leaves_the_server_alone():
    step = decide.next_step(
        progress(), [model.Rule(Method.NONE)], VERIFY, seen(HostState.CONFIRMED_DOWN)
    )
    assert step.state is State.LEFT_ALONE


def test_a_signal_is_about_sick_servers_only():
    for world in all_worlds():
        unnamed, named = decide.is_affected(world, False), decide.is_affected(world, True)
        assert not (unnamed and not named)
        if unnamed:
            assert world.host.state is HostState.CONFIRMED_DOWN
        if named and not unnamed:
            assert world.host.state is HostState.UP
            assert world.server.status in (ServerStatus.SHUTOFF, ServerStatus.ERROR)


def test_progress_survives_the_record():
    for known in all_progress():
        assert serialization.decode(model.Progress, serialization.encode(known), 'it') == known


def test_nova_gets_few_servers_at_first_and_more_with_each_end_and_with_time():
    def at(ended, seconds, at_once=32):
        return decide.room(ended, seconds, at_once)

    for ended, seconds, at_once in itertools.product(
        range(5), (-1.0, 0.0, 2.9, 3.0, 9.0, 1e9), (1, 2, 32)
    ):
        found = at(ended, seconds, at_once)
        assert 1 <= found <= at_once
        assert at(ended + 1, seconds, at_once) >= found <= at(ended, seconds + 3.0, at_once)
    first = decide.FIRST_AT_ONCE
    assert at(0, 0.0) == first
    # One ended: its own place, and one more.
    assert at(1, 0.0) - (at(0, 0.0) - 1) == 2
    assert at(0, decide.DOUBLED_AFTER) == 2 * first
    # However long Nova takes for each, all places are there within some seconds.
    assert at(0, 4 * decide.DOUBLED_AFTER) == 32


def test_nova_moves_no_more_servers_of_a_policy_than_may_be():
    for method, count, is_among, at_once in itertools.product(
        Method, range(4), (True, False), (1, 2, 3)
    ):
        in_nova = {f'o{n}' for n in range(count)} | ({'s'} if is_among else set())
        found = decide.has_room('s', method, in_nova, at_once)
        if methods.of(method).is_in_nova:
            # Who is under way already may begin its next attempt.
            assert found is (count < at_once), (method, count, is_among, at_once)
        else:
            assert found
