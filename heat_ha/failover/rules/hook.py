# SPDX-License-Identifier: Apache-2.0
"""What is run inside the old or the new active, and what one look at it leads to.

A hook is a software config that a SoftwareDeployment takes to a server. Like ``model`` and
``decide``, of which it is a part, this module does no I/O; ``heat_ha.failover.hook_runner`` does.
"""

import dataclasses
import enum

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.failover import model
from heat_ha.failover.rules import moves

NO_SIGNAL = 'NO_SIGNAL'

# The steps that run a hook: on the old active and on the new one.
KINDS = frozenset({model.StepKind.QUIESCE, model.StepKind.ACTIVATE})

# Seconds until a deployment that Heat accepted, but has not begun, counts as lost with its engine.
LOST_AFTER = 30.0


class RunState(enum.Enum):
    """How far one run of a hook is, as Heat's records show it."""

    ABSENT = 'absent'
    STARTING = 'starting'
    IN_PROGRESS = 'in_progress'
    COMPLETE = 'complete'
    FAILED = 'failed'
    LEAVING = 'leaving'
    COULD_NOT_ASK = 'could_not_ask'


@dataclasses.dataclass(frozen=True)
class Run:
    """One look at a run. ``beats`` counts its heartbeats so far."""

    state: RunState
    detail: str = ''
    beats: int = 0


@dataclasses.dataclass(frozen=True)
class Waited:
    """Seconds since this engine began to look: in all, without a heartbeat, without a start."""

    in_all: float
    in_silence: float
    for_start: float = 0.0


@dataclasses.dataclass(frozen=True)
class Again:
    """The run was lost: take it away, so that the next look finds none."""

    reason: str


def next_for_hook(
    hook: model.Hook,
    run: Run,
    waited: Waited,
    server: cloud.Server | None = None,
    host: cloud.Host | None = None,
) -> moves.Move | Again:
    """What one look at a run leads to.

    Invariant: Done without a success is possible only where the template says ``continue`` or
    wants no answer; Request only while no run is there.

    :param server: what Nova says of the server, None when this look left it out.
    """
    if run.state is RunState.COMPLETE and hook.signal_transport != NO_SIGNAL:
        return moves.Done(f'it is done on the server{_detail_of(run)}')
    if run.state is RunState.FAILED:
        return _without_success(hook, f'it failed on the server{_detail_of(run)}')
    if waited.in_all >= hook.timeout:
        if hook.signal_transport == NO_SIGNAL:
            return moves.Done(f'the server had {hook.timeout:.0f} s for it; no answer is wanted')
        return _without_success(hook, f'there was no answer within {hook.timeout:.0f} s')
    unfit = _why_nothing_runs(server, host)
    if unfit is not None:
        return _without_success(hook, unfit)
    if run.state is RunState.ABSENT:
        return moves.Request()
    if run.state is RunState.STARTING and waited.for_start >= LOST_AFTER:
        return Again(f'Heat has not begun with it for {waited.for_start:.0f} s')
    if run.state is RunState.IN_PROGRESS and 0 < hook.heartbeat <= waited.in_silence:
        return _without_success(hook, f'there was no heartbeat for {waited.in_silence:.0f} s')
    return moves.Wait(f'the run is {run.state.value}{_detail_of(run)}')


def _detail_of(run: Run) -> str:
    return f' ({run.detail})' if run.detail else ''


def _why_nothing_runs(server: cloud.Server | None, host: cloud.Host | None) -> str | None:
    if host is not None and host.state in (HostState.DOWN, HostState.CONFIRMED_DOWN):
        return f'nothing runs on its server: {host.detail}'
    if server is None or server.status in (ServerStatus.ACTIVE, ServerStatus.COULD_NOT_ASK):
        return None
    return f'nothing runs on its server, which is {server.detail or server.status.value}'


def _without_success(hook: model.Hook, reason: str) -> moves.Done | moves.Stop:
    if hook.on_failure is model.OnFailure.CONTINUE:
        return moves.Done(f'going on without it: {reason}')
    return moves.Stop(
        reason, 'Mend what hinders it and send the signal resume, which runs it once more'
    )
