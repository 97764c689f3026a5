# SPDX-License-Identifier: Apache-2.0
"""Which method may begin for one server now. Pure.

Called where no attempt is under way: at the beginning of a rescue, and after an attempt that came
to nothing.
"""

from collections.abc import Sequence

from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.rescue.model import (
    Cause,
    Method,
    Migration,
    Observation,
    Progress,
    Rule,
    Server,
    State,
)
from heat_ha.rescue.rules import causes, methods, migrations, server_states, steps, waiting
from heat_ha.rescue.rules.methods import CarriedOutBy
from heat_ha.rescue.rules.migrations import Phase
from heat_ha.rescue.rules.server_states import TASK_STATES, Way

# Seconds that Nova may take between the task of a server and the migration that belongs to it.
SETTLES = 15.0

# Seconds for which all answers must be that a server has no migration before that is believed; and
# where Nova is at work on it by its task, which most often has one. Nova leaves the migrations of a
# cell out of its answer, without a word, while the cell's database does not answer.
ABSENT_TWICE, SURELY_ABSENT = 4.0, 30.0

# What a server may be, on a host that is up, for which an alarm is believed that names it.
SICK = frozenset({ServerStatus.SHUTOFF, ServerStatus.ERROR})


def choose(
    progress: Progress, rules: Sequence[Rule], seen: Observation, index: int, attempt: int
) -> steps.Step:
    """Choose the first attempt, from this one on, that may begin now.

    Invariants: nothing begins for a server that is on another host than the one it is rescued
    from, nor beside what Nova works on. What deletes a server begins only where nothing of the
    server is elsewhere, and as the first method of the template, or after one that is impossible.
    """
    if seen.host.state not in (HostState.UP, HostState.CONFIRMED_DOWN):
        return waiting.wait(progress, seen, seen.host.detail)
    if seen.server.status is ServerStatus.GONE:
        return _first_of(progress, rules, seen, index, attempt, Way.EVACUATE)
    if seen.host.state is HostState.UP:
        return _on_host_up(progress, rules, seen, index, attempt)
    row = server_states.row_of(seen.server)
    if row.way in (Way.LEAVE, Way.PERSON):
        return _hands_off(seen, row)
    if row.way is Way.BUILD and not _replaces_first(progress, rules, seen):
        return _hands_off(seen, row)
    if seen.migration is None and _must_know_migration(progress, rules, seen, row.way):
        return steps.AskMigration(server_states.in_words(seen.server))
    way: Way = row.way
    if seen.migration is not None:
        settled = _migration(progress, seen, row)
        if isinstance(settled, steps.Step):
            return settled
        way = settled
    if way is Way.FROM_VOLUME:
        if not seen.server.boots_from_volume:
            return _hands_off(seen, row)
        way = Way.RESET
    return _first_of(progress, rules, seen, index, attempt, way)


def _migration(progress: Progress, seen: Observation, row: server_states.Row) -> steps.Step | Way:
    """What the newest migration of the server leaves to be done: a step, or a way to go."""
    migration, task = seen.migration, seen.server.task
    assert migration is not None
    phase = migrations.phase(migration, seen.server.host)
    if phase is Phase.COULD_NOT_ASK or _may_be_hidden(seen, row.way):
        return waiting.wait(progress, seen, 'Nova did not show its migrations')
    if _is_torn(progress, seen):
        return _hands_off(seen, TASK_STATES[_TORN[migrations.moves_guest(migration)]])
    is_resize = not migrations.moves_guest(migration)
    if phase is Phase.UNDER_WAY and not is_resize:
        if migrations.is_cut_off(migration, seen.destination):
            # On neither of the two hosts is anything left that runs.
            return Way.RESET
        if migrations.may_have_left(migration):
            return _hands_off(seen, TASK_STATES['migrating'])
        if migration.kind == migrations.EVACUATION:
            return waiting.wait(progress, seen, f'a migration of it is {migration.status}')
        return Way.RESET
    if row.way is not Way.MIGRATION:
        return row.way
    if (phase is Phase.OVER and not is_resize) or seen.now - progress.began < SETTLES:
        # Nova takes the task away in a moment, or adds the migration.
        return waiting.wait(progress, seen, f'Nova is at work: {task}')
    return Way.RESET


def _may_be_hidden(seen: Observation, way: Way) -> bool:
    """Whether the server may have a migration although Nova's answer had none."""
    if seen.migration is None or seen.migration.status != Migration.ABSENT:
        return False
    return seen.absent_for < (SURELY_ABSENT if way is Way.MIGRATION else ABSENT_TWICE)


# The task that says what is left of a migration that was torn, by whether it moves the guest.
_TORN = {True: 'migrating', False: 'resize_migrating'}


def _is_torn(progress: Progress, seen: Observation) -> bool:
    """Whether a migration of the server failed halfway.

    It is in error by that, or about to be: Nova writes the migration before the server.
    """
    assert seen.migration is not None
    is_error = server_states.state_of(seen.server) == 'error'
    if (not is_error and seen.server.task != 'migrating') or progress.was_reset:
        # What heat-ha has reset is in error by that.
        return False
    is_resize = not migrations.moves_guest(seen.migration)
    if is_resize and seen.server.boots_from_volume:
        return False
    return migrations.was_torn(seen.migration, seen.destination)


def _must_know_migration(
    progress: Progress, rules: Sequence[Rule], seen: Observation, way: Way
) -> bool:
    # What is begun first, of a server that Nova is not at work on, need not wait for an answer.
    is_first = progress.state is State.PENDING and not progress.cut_off
    deletes = any(methods.of(rule.method).deletes_server for rule in rules)
    # It may be in error by its migration.
    is_error = causes.state_is_error(seen.server)
    return not is_first or is_error or way is not Way.EVACUATE or (deletes and _replaces_first(
        progress, rules, seen
    ))  # fmt: skip


def _replaces_first(progress: Progress, rules: Sequence[Rule], seen: Observation) -> bool:
    """Whether the first method that the template has for a dead host is to replace the server."""
    for rule in rules:
        traits = methods.of(rule.method)
        if seen.host.state in traits.usable_on:
            return traits.deletes_server
    return False


def _hands_off(seen: Observation, row: server_states.Row) -> steps.Step:
    """End without a method: the state of the server does not allow one."""
    words = server_states.in_words(seen.server)
    if row.way in (Way.LEAVE, Way.BUILD):
        return steps.End(f'it is {words}: {row.why}', State.LEFT_ALONE)
    return steps.End(
        f'it is {words}: {row.why}. Ask the operator to look there and to set its state to active, '
        'then signal again',
        State.FAILED,
    )


def _on_host_up(
    progress: Progress, rules: Sequence[Rule], seen: Observation, index: int, attempt: int
) -> steps.Step:
    """Choose what is next where the host is up, as for a server that an alarm has named."""
    if progress.of_host and seen.server.status is not ServerStatus.ERROR:
        # Somebody marked it as up, so the reason for the rescue is gone.
        return steps.End('its host is up again', State.LEFT_ALONE)
    row = server_states.row_of(seen.server)
    if row.way is Way.LEAVE:
        return _hands_off(seen, row)
    if seen.server.task:
        return waiting.wait(progress, seen, f'Nova is at work: {seen.server.task}')
    if _is_not_sick(progress, seen.server):
        return steps.End(
            f'it is {server_states.in_words(seen.server)} by now, on a host that is up',
            State.LEFT_ALONE,
        )
    if seen.migration is None and _must_know_migration(progress, rules, seen, Way.EVACUATE):
        return steps.AskMigration(server_states.in_words(seen.server))
    if seen.migration is not None:
        phase = migrations.phase(seen.migration, seen.server.host)
        if phase is Phase.COULD_NOT_ASK or _may_be_hidden(seen, row.way):
            return waiting.wait(progress, seen, 'Nova did not show its migrations')
        if phase is Phase.UNDER_WAY and migrations.moves_guest(seen.migration):
            return waiting.wait(progress, seen, f'a migration of it is {seen.migration.status}')
    if progress.of_host:
        return _host_is_back(progress, rules, index)
    return _first_of(progress, rules, seen, index, attempt, Way.EVACUATE)


def _is_not_sick(progress: Progress, server: Server) -> bool:
    """Whether the reason for a rescue on a host that is up has gone, by whatever its owner did.

    A server that runs may lack something after a method that was carried out.
    """
    if server.status is ServerStatus.ACTIVE:
        was_touched = progress.state is not State.PENDING and causes.TABLE[progress.cause].counts
        return not was_touched
    return server.status not in SICK


def _host_is_back(progress: Progress, rules: Sequence[Rule], index: int) -> steps.Step:
    """Choose what is next for a server in error whose host somebody marked as up meanwhile.

    It is restarted where the template says so, and nothing else is done.
    """
    for number in range(index, len(rules)):
        is_new = number > progress.index or progress.state is State.PENDING
        if rules[number].method is Method.RESTART and is_new:
            return steps.Begin('its host is up again', number, 1, Method.RESTART)
    return steps.End(
        'its host is up again, and it is in error. Reboot it (hard), or ask the operator',
        State.FAILED,
    )


def _first_of(
    progress: Progress, rules: Sequence[Rule], seen: Observation, index: int, attempt: int, way: Way
) -> steps.Step:
    """Choose the first attempt, from this one on, that its method allows."""
    reasons = [progress.failure] if progress.failure else []
    for number in range(index, len(rules)):
        rule = rules[number]
        turn = attempt if number == index else 1
        if turn > rule.attempts:
            continue
        traits = methods.of(rule.method)
        if traits.carried_out_by is CarriedOutBy.NOBODY:
            return steps.End(
                '; '.join([*reasons, 'the template wants it left alone']), State.LEFT_ALONE
            )
        if why_not := _why_not(progress, rule.method, seen):
            reasons.append(f'{rule.method.value} {why_not}')
            continue
        return steps.Begin(
            '; '.join(reasons) or seen.host.detail, number, turn, rule.method,
            is_reset=way is Way.RESET and rule.method is Method.EVACUATE,
        )  # fmt: skip
    return steps.End('; '.join(reasons) or 'no method is left', State.FAILED)


def _why_not(progress: Progress, method: Method, seen: Observation) -> str:
    """Why a method may not begin now, '' if it may."""
    traits = methods.of(method)
    if seen.host.state not in traits.usable_on:
        return f'does not help where {seen.host.detail}'
    if not traits.deletes_server:
        is_gone = seen.server.status is ServerStatus.GONE
        return 'needs the server, which is gone' if is_gone else ''
    if seen.server.is_locked:
        return 'would delete it, and it is locked'
    is_another = progress.method is not None and progress.method is not method
    if is_another and not causes.TABLE[progress.cause].allows_replacing:
        return 'would not help against that'
    return ''


def after_failure(progress: Progress, rules: Sequence[Rule], seen: Observation) -> steps.Step:
    """Choose what is next after an attempt that failed, by the cause of the failure."""
    assert progress.method is not None
    row = causes.TABLE[progress.cause]
    if not row.counts:
        return _again_later(progress, rules, seen)
    if row.is_hopeless:
        return choose(progress, rules, seen, progress.index + 1, 1)
    return choose(progress, rules, seen, progress.index, progress.attempt + 1)


def _again_later(progress: Progress, rules: Sequence[Rule], seen: Observation) -> steps.Step:
    """Choose what is next after a request that was refused for now, or that nobody answered."""
    if waiting.is_overdue(progress, seen):
        return steps.End(
            f'{progress.failure}, for hours. Ask the operator, then signal again', State.FAILED
        )
    if not waiting.is_due_again(progress, seen):
        return steps.Look(progress.failure)
    return choose(progress, rules, seen, progress.index, progress.attempt)


def failed(cause: Cause, method: Method) -> str:
    """The failure of a method for a cause, in words."""
    return f'{method.value}: {causes.in_words(cause)}'
