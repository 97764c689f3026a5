# SPDX-License-Identifier: Apache-2.0
"""Which method is tried next for one server, and whether one has done its work. Pure."""

import dataclasses
from collections.abc import Collection, Sequence

from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.rescue.model import (
    Configuration,
    Method,
    Observation,
    Progress,
    Rule,
    State,
    Verify,
)
from heat_ha.rescue.rules import methods
from heat_ha.rescue.rules.methods import CarriedOutBy, VerifiedBy

_SICK = frozenset({ServerStatus.SHUTOFF, ServerStatus.ERROR})

# Servers that Nova is asked to move at first, and the seconds after which it may be twice as many.
FIRST_AT_ONCE, DOUBLED_AFTER = 3, 2.0


@dataclasses.dataclass(frozen=True)
class Step:
    """What is next for the server, with its reason."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Look(Step):
    """Nothing now; look again."""


@dataclasses.dataclass(frozen=True)
class Begin(Step):
    """Begin an attempt of a method."""

    index: int
    attempt: int
    method: Method


@dataclasses.dataclass(frozen=True)
class Configure(Step):
    """Hand the server its software deployments again."""


@dataclasses.dataclass(frozen=True)
class End(Step):
    """Nothing is left to be done about the server."""

    state: State


def next_step(progress: Progress, rules: Sequence[Rule], verify: Verify, seen: Observation) -> Step:
    """Choose what is next for one server.

    Invariants: a method begins only where the host is up or confirmed down, and only for a server
    that is still on the host that it is to be rescued from. A server is moved off (evacuated,
    recreated by force) only from a host that is confirmed down. Each method is tried at most as
    often as its rule says.
    """
    if progress.state.is_final:
        return End(progress.reason, progress.state)
    if seen.server.status is ServerStatus.COULD_NOT_ASK:
        return Look(f'Nova did not show it: {seen.server.detail}')
    if progress.state is State.PENDING:
        if seen.server.status is ServerStatus.GONE:
            return End('the server is gone', State.LEFT_ALONE)
        if seen.server.host and seen.server.host != progress.before.host:
            # Seen on its dead host just before another signal's rescue ended.
            return End('it is on another host by now', State.LEFT_ALONE)
        return _choose(progress, rules, seen, 0, 1)
    assert progress.method is not None
    if progress.failure:
        return _next_attempt(progress, rules, seen)
    traits = methods.of(progress.method)
    if traits.verified_by is VerifiedBy.RETURN and not progress.has_returned:
        return _after_engine_death(progress, progress.method, seen)
    missing = unfinished(progress, verify, seen)
    is_running = seen.server.status is ServerStatus.ACTIVE
    if not missing and verify.configuration and traits.has_new_disk and is_running:
        return _configure(progress, rules, seen)
    if not missing:
        return End(_success(progress), State.DONE)
    if not traits.deletes_server and seen.server.status is ServerStatus.GONE:
        # Its owner deleted it meanwhile; nobody has asked for another one (S8).
        return End('the server was deleted meanwhile', State.LEFT_ALONE)
    rule = rules[progress.index]
    has_failed = seen.server.status is ServerStatus.ERROR and not seen.server.task
    if not has_failed and seen.now - progress.started <= rule.timeout:
        return Look(missing)
    return _next_attempt(progress, rules, seen)


def _after_engine_death(progress: Progress, method: Method, seen: Observation) -> Step:
    """Choose what is next after an engine died during a method that it waited for."""
    is_chained = methods.of(method).carried_out_by is CarriedOutBy.CHAINED_POLICY
    if is_chained and seen.server.status is ServerStatus.GONE:
        # The FailoverPolicy has its own record, and was past the point of no return.
        return End('failover: the server was replaced', State.DONE)
    if seen.host.state not in methods.of(method).usable_on:
        return Look(seen.host.detail)
    # Doing it again is harmless (S4).
    return Begin('the engine that did it died', progress.index, progress.attempt, method)


def _next_attempt(progress: Progress, rules: Sequence[Rule], seen: Observation) -> Step:
    return _choose(progress, rules, seen, progress.index, progress.attempt + 1)


def _configure(progress: Progress, rules: Sequence[Rule], seen: Observation) -> Step:
    """Choose what is next for a server that is back, and is to be configured again."""
    is_asked = progress.is_configured_again
    if is_asked and seen.configuration is Configuration.DONE:
        return End(f'{_success(progress)}, configured again', State.DONE)
    has_failed = is_asked and seen.configuration is Configuration.FAILED
    if not has_failed and seen.now - progress.started <= rules[progress.index].timeout:
        if is_asked:
            return Look(f'its configuration: {seen.configuration.value}')
        return Configure('it may have another disk')
    why = 'failed' if has_failed else 'was not applied in time'
    failed = dataclasses.replace(progress, failure=f'its configuration {why}')
    # The same method, tried again, would find a server that is well.
    return _choose(failed, rules, seen, progress.index + 1, 1)


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


def unfinished(progress: Progress, verify: Verify, seen: Observation) -> str:
    """Say what is missing until the method has done its work, '' when nothing is."""
    traits, before, now = methods.of(progress.method), progress.before, seen.server
    if traits.verified_by is VerifiedBy.RETURN:
        # A failure of the call is on record as such.
        return ''
    if now.task:
        return f'Nova is at work: {now.task}'
    wanted = ServerStatus.ACTIVE if traits.starts_server else _wanted_status(before.status)
    if now.status is not wanted:
        return f'it is {now.detail or now.status.value}, not yet {wanted.value}'
    if traits.moves_server and now.host == before.host:
        return 'it is still on the same host'
    if verify.volumes and (lost := sorted(set(before.volumes) - set(now.volumes))):
        return f'volumes are not attached: {", ".join(lost)}'
    if verify.addresses and (lost := sorted(set(before.addresses) - set(now.addresses))):
        return f'addresses are missing: {", ".join(lost)}'
    return ''


def is_affected(seen: Observation, is_named: bool) -> bool:
    """Whether a signal is about this server at all.

    A signal of a host's failure is about servers on hosts that are confirmed down; one that
    names a server is about it when it is not well, wherever it is.
    """
    if seen.server.status in (ServerStatus.GONE, ServerStatus.COULD_NOT_ASK):
        return False
    if seen.host.state is HostState.CONFIRMED_DOWN:
        return True
    return is_named and seen.host.state is HostState.UP and seen.server.status in _SICK


def _wanted_status(before: ServerStatus) -> ServerStatus:
    # A server that its owner had stopped stays stopped.
    return ServerStatus.SHUTOFF if before is ServerStatus.SHUTOFF else ServerStatus.ACTIVE


def _choose(
    progress: Progress, rules: Sequence[Rule], seen: Observation, index: int, attempt: int
) -> Step:
    """Choose the first attempt, from this one on, that may begin now."""
    if seen.host.state not in (HostState.UP, HostState.CONFIRMED_DOWN):
        return Look(seen.host.detail)
    reasons = [progress.failure] if progress.failure else []
    for number in range(index, len(rules)):
        rule = rules[number]
        turn = attempt if number == index else 1
        if turn > rule.attempts:
            continue
        traits = methods.of(rule.method)
        if seen.host.state not in traits.usable_on:
            reasons.append(f'{rule.method.value} does not help where {seen.host.detail}')
            continue
        if traits.carried_out_by is CarriedOutBy.NOBODY:
            return End('; '.join([*reasons, 'the template wants it left alone']), State.LEFT_ALONE)
        if seen.server.status is ServerStatus.GONE and not traits.deletes_server:
            reasons.append(f'{rule.method.value} needs the server, which is gone')
            continue
        return Begin('; '.join(reasons) or seen.host.detail, number, turn, rule.method)
    return End('; '.join(reasons) or 'no method is left', State.FAILED)


def _success(progress: Progress) -> str:
    again = f', attempt {progress.attempt}' if progress.attempt > 1 else ''
    return f'{progress.method.value if progress.method else ""}{again}: done'
