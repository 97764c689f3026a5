# SPDX-License-Identifier: Apache-2.0
"""What is to be seen of one failover at one moment: built from what the cloud answers.

``demo.run`` reads the cloud, ``demo.screen`` shows the scene.
"""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

WAITS, RUNS, DONE, FAILED = 'waits', 'runs', 'done', 'failed'

_STATES = {'pending': WAITS, 'running': RUNS, 'done': DONE, 'failed': FAILED}

_WORDS = {
    'add_member': 'make a member',
    'quiesce': 'let the old active write all that it has',
    'stop_server': 'shut the old active off',
    'detach': 'take the volume from the old active',
    'attach': 'give it to the standby',
    'hand_over': "bring Heat's record up to date",
    'activate': 'start the service on the new active',
    'replace': 'replace the member that was left',
}

# Before the policy has a plan, this is what its template leads one to expect.
_EXPECTED = ('detach', 'attach', 'hand_over', 'replace')


@dataclasses.dataclass(frozen=True)
class Step:
    """One line of the table; ``seconds`` is what it took, or has taken so far."""

    words: str
    state: str
    seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Moment:
    """Cinder's answer about the volume, from ``time`` (seconds since 1970) on."""

    time: float
    status: str
    server: str | None


@dataclasses.dataclass(frozen=True)
class Member:
    """One member of the group with its server and its state in Heat."""

    name: str
    server: str
    status: str


@dataclasses.dataclass(frozen=True)
class Scene:
    """All that is shown ``since`` seconds after the stop."""

    title: str
    since: float
    steps: tuple[Step, ...]
    moments: tuple[tuple[float, str], ...]
    members: tuple[tuple[Member, str], ...]


def seconds_since_1970(iso: str) -> float:
    """The time of a policy's record as ``time.time()`` counts it."""
    return datetime.datetime.fromisoformat(iso).timestamp()


def steps(plan: Mapping[str, Any] | None, *, stopped: float, now: float) -> tuple[Step, ...]:
    """The lines of the table.

    :param plan: the policy's attribute ``plan``, None before the policy has taken the signal.
    :param stopped: when the stop of the server was asked for.
    """
    first = Step('stop the server, from outside Heat', DONE)
    chain = 'Nova, Ceilometer and Aodh alarm Heat, which finds a successor'
    if plan is None:
        return (
            first,
            Step(chain, RUNS, now - stopped),
            *(Step(_WORDS[kind], WAITS) for kind in _EXPECTED),
        )
    begin = begun(plan)
    return (
        first,
        Step(chain, RUNS if begin is None else DONE, (begin or now) - stopped),
        *(_step(step, now) for step in plan['steps']),
    )


def _step(step: Mapping[str, Any], now: float) -> Step:
    state = _STATES[step['state']]
    seconds = step['seconds']
    if state == RUNS and step['started']:
        seconds = now - seconds_since_1970(step['started'])
    return Step(_WORDS[step['kind']], state, seconds)


def begun(plan: Mapping[str, Any]) -> float | None:
    """When the first step began, None before that."""
    return min(
        (seconds_since_1970(s['started']) for s in plan['steps'] if s['started']), default=None
    )


def accepted(plan: Mapping[str, Any], handoff_seconds: float) -> float:
    """When Heat took the signal: the last volume's arrival less the policy's own handoff time."""
    arrivals = [
        seconds_since_1970(s['started']) + s['seconds']
        for s in plan['steps']
        if s['kind'] == 'attach' and s['seconds'] is not None
    ]
    return float(max(arrivals) - handoff_seconds)


def where(moment: Moment, names: Mapping[str, str]) -> str:
    """The volume's state in words; ``names`` gives the member of a server."""
    if moment.server is None:
        return 'nobody has it' if moment.status == 'available' else f'nobody, {moment.status}'
    at = f'{names.get(moment.server, "a member that is gone")}, server {moment.server[:8]}'
    return at if moment.status == 'in-use' else f'{at}, {moment.status}'


def moments(
    seen: Sequence[Moment], names: Mapping[str, str], stopped: float
) -> tuple[tuple[float, str], ...]:
    """Where the volume was since the stop: seconds after it, and the place."""
    before = [m for m in seen if m.time <= stopped][-1:]
    after = [m for m in seen if m.time > stopped]
    return tuple((max(0.0, m.time - stopped), where(m, names)) for m in before + after)


def members(
    seen: Sequence[Member], active: str | None, stopped_server: str, known_before: frozenset[str]
) -> tuple[tuple[Member, str], ...]:
    """The group's members, each with its part."""
    rows = []
    for member in seen:
        if member.server == stopped_server:
            part = 'active, stopped' if member.name == active else 'left'
        elif member.name == active:
            part = 'active'
        else:
            part = 'standby' if member.name in known_before else 'new standby'
        rows.append((member, part))
    return tuple(rows)
