# SPDX-License-Identifier: Apache-2.0
"""What is next for one server that is being rescued. Pure.

``choice`` has which method may begin, ``verification`` what a server lacks, ``waiting`` for how
long is waited.
"""

import dataclasses
from collections.abc import Collection, Sequence

from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.rescue.model import (
    Cause,
    Configuration,
    Method,
    Observation,
    Progress,
    Rule,
    State,
    Verify,
)
from heat_ha.rescue.rules import (
    causes,
    choice,
    methods,
    migrations,
    server_states,
    steps,
    verification,
    waiting,
)
from heat_ha.rescue.rules.methods import CarriedOutBy, VerifiedBy
from heat_ha.rescue.rules.migrations import Phase
from heat_ha.rescue.rules.server_states import Way

# Servers that Nova is asked to move at first, and the seconds after which it may be twice as many.
FIRST_AT_ONCE, DOUBLED_AFTER = 3, 2.0

# How often a server is rescued again because the host that it was moved to died as well.
MOST_CUT_OFF = 5

# Seconds after which an evacuation is looked at by its migration, not only by its server, which
# takes a request for each: where its server shows no sign of it, and where it does. Most are done
# before.
ASKED_AFTER, ASKED_AT_WORK_AFTER = 5.0, 30.0

# Seconds after which a request without a trace in Nova counts as lost.
LOST_AFTER = 30.0


def next_step(
    progress: Progress, rules: Sequence[Rule], verify: Verify, seen: Observation
) -> steps.Step:
    """Choose what is next for one server.

    Invariants: a method begins only where the host is up or confirmed down, and only for a server
    that is still on the host that it is to be rescued from. A server is moved off (evacuated,
    recreated by force) only from a host that is confirmed down. Nothing begins while a migration
    of the server is under way to a host that may be alive. Each method is tried at most as often
    as its rule says, and each rescue ends.
    """
    if progress.state.is_final:
        return steps.End(progress.reason, progress.state)
    if seen.server.status is ServerStatus.COULD_NOT_ASK:
        return waiting.wait(progress, seen, f'Nova did not show it: {seen.server.detail}')
    traits = methods.of(progress.method)
    is_pending = progress.state is State.PENDING
    if traits.verified_by is VerifiedBy.RETURN and progress.has_returned:
        return steps.End(_success(progress), State.DONE)
    if seen.server.status is ServerStatus.GONE and (is_pending or not traits.deletes_server):
        # Its owner deleted it meanwhile; nobody has asked for another one (S8).
        return steps.End('the server was deleted meanwhile', State.LEFT_ALONE)
    if _is_elsewhere(progress, seen):
        return _elsewhere(progress, rules, verify, seen)
    if not progress.of_host and seen.host.state is HostState.CONFIRMED_DOWN:
        return steps.StartOver('its host died as well')
    if is_pending:
        return choice.choose(progress, rules, seen, 0, 1)
    assert progress.method is not None
    if progress.failure:
        return choice.after_failure(progress, rules, seen)
    if traits.verified_by is VerifiedBy.RETURN:
        return _after_engine_death(progress, progress.method, rules, seen)
    if traits.moves_server:
        return _evacuating(progress, progress.method, rules, seen)
    return _in_place(progress, progress.method, rules, verify, seen)


def _is_elsewhere(progress: Progress, seen: Observation) -> bool:
    """Whether the server lives on another host than the one that it is rescued from."""
    here, there = seen.server.host, progress.before.host
    return bool(here and there and here != there) and seen.server.status is not ServerStatus.GONE


def _elsewhere(
    progress: Progress, rules: Sequence[Rule], verify: Verify, seen: Observation
) -> steps.Step:
    """Choose what is next for a server that lives on another host by now.

    Invariant: no method begins. What it lacks is waited for, and then told.
    """
    here = seen.here or seen.host
    if here.state is HostState.CONFIRMED_DOWN:
        if progress.cut_off >= MOST_CUT_OFF:
            return steps.End(
                f'the hosts that it was moved to died, {progress.cut_off} times. Ask the operator, '
                'then signal again',
                State.FAILED,
            )
        return steps.StartOver('the host that it was moved to died as well')
    if taken := _taken_away(seen):
        return taken
    if not methods.of(progress.method).is_in_nova:
        # Somebody else moved it: just before another signal's rescue ended, or by hand.
        return steps.End('it is on another host by now', State.LEFT_ALONE)
    if here.state is not HostState.UP:
        return waiting.wait(progress, seen, f'on its new host: {here.detail}')
    if seen.server.task:
        return waiting.wait(progress, seen, f'Nova is at work: {seen.server.task}')
    if causes.state_is_error(seen.server):
        text = 'it is in error on its new host. Look at its fault, and reboot it (hard)'
        return steps.End(text, State.FAILED)
    if server_states.state_of(seen.server) not in server_states.STABLE:
        return waiting.wait(progress, seen, f'it is {seen.server.detail} on its new host')
    return _settled(progress, rules, verify, seen)


def _taken_away(seen: Observation) -> steps.End | None:
    """End the rescue of a server that its owner has deleted or shelved meanwhile."""
    if seen.server.task or server_states.state_of(seen.server) not in server_states.TAKEN_AWAY:
        return None
    why = server_states.row_of(seen.server).why
    return steps.End(f'it is {server_states.in_words(seen.server)}: {why}', State.LEFT_ALONE)


def _settled(
    progress: Progress, rules: Sequence[Rule], verify: Verify, seen: Observation
) -> steps.Step:
    """Choose what is next for a server that is well on its new host."""
    is_running = seen.server.status is ServerStatus.ACTIVE
    ends = server_states.ends_in(progress.before)
    is_to_stop = is_running and ends is ServerStatus.SHUTOFF and _is_to_stop(progress)
    missing = verification.lacks(progress, verify, seen)
    is_to_configure = (
        verify.configuration and methods.of(progress.method).has_new_disk and is_running
    )
    if not progress.arrived and (is_to_stop or missing or is_to_configure):
        # From now on it is in time, however long Nova took.
        return steps.Arrive('it is on its new host')
    if is_to_stop and not _is_late(progress, rules, seen):
        return steps.Stop(f'it was {server_states.in_words(progress.before)} before')
    if missing:
        if not _is_late(progress, rules, seen):
            return steps.Look(missing)
        text = f'it is on its new host, but {missing}. It is left there; add what it lacks'
        return steps.End(text, State.FAILED)
    if is_to_configure and not is_to_stop:
        return _configure(progress, rules, seen)
    note = ''
    if is_running is (ends is ServerStatus.SHUTOFF):
        # Its owner decides that, from now on.
        note = f'; it is {server_states.in_words(seen.server)} by now'
    return steps.End(f'{_success(progress)}{note}', State.DONE)


def _is_to_stop(progress: Progress) -> bool:
    # Nova starts what was reset. What runs again after that stop, somebody wants to run.
    return progress.was_reset and not progress.was_stopped


def _evacuating(
    progress: Progress, method: Method, rules: Sequence[Rule], seen: Observation
) -> steps.Step:
    """Choose what is next for a server that is not on its new host yet.

    Its migration decides: a time limit does not, because Nova goes on with what it has accepted.
    """
    task, since = seen.server.task, seen.now - progress.started
    if taken := _taken_away(seen):
        return taken
    if seen.migration is None:
        if since < (ASKED_AT_WORK_AFTER if task else ASKED_AFTER):
            return steps.Look(f'Nova is at work: {task}' if task else 'Nova is about to move it')
        return steps.AskMigration(f'Nova is at work: {task}' if task else 'it has not moved')
    phase = migrations.phase(seen.migration, seen.server.host, progress.started)
    if not migrations.moves_guest(seen.migration):
        # What is left of a resize. Nova has no evacuation of it on record.
        phase = Phase.ABSENT
    elif migrations.is_cut_off(seen.migration, seen.destination):
        if server_states.row_of(seen.server).way in (Way.LEAVE, Way.BUILD, Way.PERSON):
            # Somebody else has done something with it meanwhile.
            return choice.choose(progress, rules, seen, progress.index, progress.attempt)
        return _cut_off(progress, method, seen)
    if phase in (Phase.UNDER_WAY, Phase.OVER):
        return waiting.wait(progress, seen, f'its migration is {seen.migration.status}')
    if phase is Phase.COULD_NOT_ASK:
        return waiting.wait(progress, seen, 'Nova did not show its migrations')
    if task and server_states.row_of(seen.server).way is Way.LEAVE:
        return choice.choose(progress, rules, seen, progress.index, progress.attempt)
    if task and since < waiting.REMIND:
        # Nova ends a migration before it takes the task away.
        return waiting.wait(progress, seen, f'Nova is at work: {task}')
    if phase is Phase.FAILED:
        return _fails(progress, method, causes.of_fault(seen.server, progress.started), rules, seen)
    if since < LOST_AFTER:
        return steps.Look('Nova has not begun to move it')
    return _fails(progress, method, Cause.COULD_NOT_ASK, rules, seen)


def _cut_off(progress: Progress, method: Method, seen: Observation) -> steps.Step:
    """Choose what is next when the host died on which Nova was building the server."""
    if seen.host.state is not HostState.CONFIRMED_DOWN:
        return waiting.wait(
            progress, seen, f'the host that it was to come to died; {seen.host.detail}'
        )
    if progress.cut_off >= MOST_CUT_OFF:
        text = f'the hosts that it was to come to died, {progress.cut_off} times'
        return steps.End(f'{text}. Ask the operator, then signal again', State.FAILED)
    return steps.Begin(
        'the host that it was to come to died as well',
        progress.index, progress.attempt, method, is_reset=True, is_cut_off=True,
    )  # fmt: skip


def _in_place(
    progress: Progress, method: Method, rules: Sequence[Rule], verify: Verify, seen: Observation
) -> steps.Step:
    """Choose what is next for a server that is restarted or rebuilt on its host."""
    missing = verification.unfinished(progress, verify, seen)
    has_new_disk = methods.of(method).has_new_disk
    is_running = seen.server.status is ServerStatus.ACTIVE
    if not missing and verify.configuration and has_new_disk and is_running:
        return _configure(progress, rules, seen)
    if not missing:
        return steps.End(_success(progress), State.DONE)
    if seen.server.task:
        return waiting.wait(progress, seen, missing)
    has_failed = seen.server.status is ServerStatus.ERROR
    if not has_failed and not _is_late(progress, rules, seen):
        return steps.Look(missing)
    cause = Cause.BUILD if has_failed else Cause.LATE
    return _fails(progress, method, cause, rules, seen)


def _fails(
    progress: Progress, method: Method, cause: Cause, rules: Sequence[Rule], seen: Observation
) -> steps.Step:
    """Choose what is next after an attempt that a look shows to have failed."""
    failure = choice.failed(cause, method)
    failed = dataclasses.replace(progress, failure=failure, cause=cause)
    return choice.after_failure(failed, rules, seen)


def _after_engine_death(
    progress: Progress, method: Method, rules: Sequence[Rule], seen: Observation
) -> steps.Step:
    """Choose what is next after an engine died during a method that it waited for."""
    is_chained = methods.of(method).carried_out_by is CarriedOutBy.CHAINED_POLICY
    if is_chained and seen.server.status is ServerStatus.GONE:
        # The FailoverPolicy has its own record, and was past the point of no return.
        return steps.End('failover: the server was replaced', State.DONE)
    # Doing it again is harmless (S4).
    again = dataclasses.replace(progress, failure='the engine that did it died', cause=Cause.HEAT)
    return choice.choose(again, rules, seen, progress.index, progress.attempt)


def _configure(progress: Progress, rules: Sequence[Rule], seen: Observation) -> steps.Step:
    """Choose what is next for a server that is back, and is to be configured again."""
    is_asked = progress.is_configured_again
    if is_asked and seen.configuration is Configuration.DONE:
        return steps.End(f'{_success(progress)}, configured again', State.DONE)
    has_failed = is_asked and seen.configuration is Configuration.FAILED
    if not has_failed and not _is_late(progress, rules, seen):
        if is_asked:
            return steps.Look(f'its configuration: {seen.configuration.value}')
        return steps.Configure('it may have another disk')
    why = 'its configuration failed' if has_failed else 'its configuration was not applied in time'
    if _is_elsewhere(progress, seen):
        text = f'it is on its new host, but {why}. Look at its software deployments'
        return steps.End(text, State.FAILED)
    failed = dataclasses.replace(progress, failure=why, cause=Cause.LATE)
    # The same method, tried again, would find a server that is well.
    return choice.choose(failed, rules, seen, progress.index + 1, 1)


def _is_late(progress: Progress, rules: Sequence[Rule], seen: Observation) -> bool:
    # An update of the policy may have made the list shorter.
    timeout = rules[min(progress.index, len(rules) - 1)].timeout
    return seen.now - (progress.arrived or progress.started) > timeout


def _success(progress: Progress) -> str:
    again = f', attempt {progress.attempt}' if progress.attempt > 1 else ''
    return f'{progress.method.value if progress.method else ""}{again}: done'


def may_replace(progress: Progress, seen: Observation) -> str:
    """Why a server may not be deleted although that has been decided, '' when it may.

    Asked for with a fresh look, just before: what the policy did for other servers in between may
    have taken an hour.
    """
    if seen.server.status is ServerStatus.COULD_NOT_ASK:
        return 'Nova does not show it'
    if seen.server.status is ServerStatus.GONE:
        return ''
    if _is_elsewhere(progress, seen):
        return 'it is on another host by now'
    if seen.server.is_locked:
        return 'it is locked'
    if server_states.row_of(seen.server).way in (Way.MIGRATION, Way.LEAVE, Way.PERSON):
        return f'it is {server_states.in_words(seen.server)}'
    if not progress.of_host and seen.server.task:
        return f'Nova is at work: {seen.server.task}'
    wanted = HostState.CONFIRMED_DOWN if progress.of_host else HostState.UP
    return '' if seen.host.state is wanted else seen.host.detail


def room(ended: int, seconds: float, at_once: int) -> int:
    """How many servers Nova may move at once.

    Few at first, so that the first of them are back soon instead of all of them late: Nova works
    side by side on all that it has accepted. Each that ends makes room for two. Where Nova takes
    long for each but could do more of them, time makes room as well, so that little is lost.

    Invariant: at least one and at most ``at_once``; never fewer for more that ended or more time.

    :param ended: how many are at their end.
    :param seconds: since the first was begun.
    """
    doublings = min(int(max(seconds, 0.0) / DOUBLED_AFTER), 16)
    return max(1, min(at_once, (FIRST_AT_ONCE + ended) << doublings))


def has_room(server: str, method: Method, in_nova: Collection[str], at_once: int) -> bool:
    """Whether a method may be begun for a server now, beside those that are under way.

    Invariant: Nova moves at most ``at_once`` servers of a policy at any time. What goes through
    Heat is begun together, and has Heat's own bounds.

    :param in_nova: the servers that Nova is moving.
    """
    return not methods.of(method).is_in_nova or len(set(in_nova) - {server}) < at_once


def is_affected(seen: Observation, is_named: bool) -> bool:
    """Whether a signal is about this server at all.

    A signal of a host's failure is about servers on hosts that are confirmed down; one that
    names a server is about it when it is not well, wherever it is.
    """
    if seen.server.status in (ServerStatus.GONE, ServerStatus.COULD_NOT_ASK):
        return False
    if seen.host.state is HostState.CONFIRMED_DOWN:
        return True
    return is_named and seen.host.state is HostState.UP and seen.server.status in choice.SICK
