# SPDX-License-Identifier: Apache-2.0
"""A guest that ended, told by the agent, and the alarm about it that comes later. Pure.

The agent reads Nova's notifications itself, so its signal usually comes before the alarm about the
same failure. An alarm that names the member joins by its name. One that names nobody is about the
active of the moment, which is another one by then: so it waits until it shows what it is about.
"""

import dataclasses
import datetime
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from heat_ha import signals
from heat_ha.failover import model
from heat_ha.failover.rules import later, standbys

# With it begins the reason of each signal that the agent sends because a guest ended. It is in the
# history, where the reason of an alarm begins with "alarm" and its name.
SENDER = 'heat-ha-agent: '

# Seconds after the agent's failover in which an alarm that names nobody may be about the same
# failure: an event alarm comes after some seconds, a threshold is evaluated once in one to four
# minutes.
SAME_FAILURE = 300.0

# Seconds after which it is not decided any more unless the active is down: it was kept while the
# policy was paused.
LONGEST = SAME_FAILURE + later.FOR_HEAT

# Seconds between two decisions about it, each of which looks at the active.
LOOK_EVERY = 20.0

# Seconds in which an alarm does not change to ok and back: Aodh evaluates once a minute. A copy of
# the same body comes sooner, because it was sent again without an answer.
LATE_COPY = 60.0


def reason(host: str) -> str:
    """What the agent's signal says of a guest that ended on this host."""
    return f'{SENDER}the guest ended on {host}, and nobody had asked Nova for that'


def agents_failover(history: Sequence[Mapping[str, Any]]) -> datetime.datetime | None:
    """When the last failover began, if the agent has asked for it and it is done.

    Whatever has changed members since, such as the replacement of a standby or a switchover, leaves
    open as before which failure an alarm is about. A failover that was dropped has ended none.

    :param history: its lines, oldest first.
    """
    failovers = [one for one in history if one['cause'] == model.Cause.FAILOVER.value]
    if not failovers or failovers[-1]['outcome'] != 'done':
        return None
    is_agents = failovers[-1]['reason'].startswith(SENDER)
    return datetime.datetime.fromisoformat(failovers[-1]['time']) if is_agents else None


def is_about_either(signal: signals.Signal[model.Action], seen: model.Observation) -> bool:
    """Whether an alarm names nobody and came so soon after the agent's failover that ``held`` says.

    It may be about that failure, or about the active that has taken over.
    """
    began = seen.agents_failover
    if began is None or signal.action is not None or not _names_nobody(signal, seen):
        return False
    one = seen.decided
    if one is not None and not (one.alarms or one.over):
        # A person has asked for it, or a program: see ``as_kept``.
        return False
    came = seen.now if one is None else datetime.datetime.fromisoformat(one.came)
    return seen.limits.holds_repeats and _apart(came, began) < SAME_FAILURE


def as_kept(one: model.Remembered, signal: signals.Signal[model.Action]) -> model.Remembered:
    """The signal as it is kept, for whatever reason, by a policy that asks for the agent's signals.

    Invariant: what is kept is worth what it was worth when it came. So an alarm that may leave open
    which member it means is kept with what tells it from others.
    """
    is_by_address = signal.host is not None and _is_address(signal.host)
    if signal.action is not None or not (signal.member is None or is_by_address):
        return one
    host = signal.host if signal.member is not None and is_by_address else None
    return dataclasses.replace(one, alarms=_known(signal), host=host or '')


def unnamed(one: model.Remembered, alarms: tuple[str, ...]) -> model.Remembered:
    """A kept signal that leaves open which member it means, and does so at the next decision."""
    return dataclasses.replace(one, is_named=False, named='', host='', alarms=alarms)


def held(
    signal: signals.Signal[model.Action], seen: model.Observation
) -> later.Remember | str | None:
    """What becomes of an alarm that may be about the failure that the agent has reported.

    Invariant (S3): the alarm joins that failover only where something else than the time says that
    it is about the same failure: it has said ok since, or the active answers its health check when
    SAME_FAILURE seconds are over. Until then it is kept, and looked at again and again. It counts
    at once if it names a member, while the active is seen to be down, and if it fires anew; a
    ``cooldown`` in the template holds instead. One that nobody could decide for LONGEST is over.

    :returns: that it waits, or why it joins or is over; None where it counts as any other alarm.
    """
    began = seen.agents_failover
    if began is None or not is_about_either(signal, seen):
        return None
    one = seen.decided
    left = SAME_FAILURE - _apart(seen.now, began)
    if one is not None and one.over and not one.alarms:
        why = 'it has said ok since, so it joins the failover that the agent has asked for'
        # It is remembered until then, so that it counts at once if it fires anew.
        return _waits(signal, left, why) if left > 0 else why
    if later.active_is_unwell(seen) or _fires_anew(signal, seen):
        return None
    if left > 0:
        why = (
            'the agent has reported a failure a moment ago, and the active looks well: if nothing '
            f'shows that it is about that failure, it counts {SAME_FAILURE:.0f} s after it. Name '
            'the member that is sick to have it replaced at once'
        )
        return _waits(signal, left, why)
    if _is_proved_well(seen):
        return (
            'the active answers its health check, so it joins the failover that the agent has '
            'asked for. Name the member that is sick to have it replaced all the same'
        )
    return later.outdated(seen, LONGEST)


def _names_nobody(signal: signals.Signal[model.Action], seen: model.Observation) -> bool:
    """Whether an alarm leaves open which member it means.

    A server that it calls by a name or an address of its own is named. An address moves with a
    port that is handed over: then it may be about who had it before.
    """
    if signal.member is None:
        return True
    return signal.host is not None and seen.asks_old_host and _is_address(signal.host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _fires_anew(signal: signals.Signal[model.Action], seen: model.Observation) -> bool:
    """Whether the alarm has asked once since the agent's failover, and was ok in between."""
    active = seen.record.active
    if seen.decided is not None or not signal.alarm or active is None:
        return False
    for one in (one for one in seen.kept if one.server == active.server):
        if any(source in one.over for source in signal.sources):
            return True
        came = datetime.datetime.fromisoformat(one.came)
        is_late_copy = _apart(seen.now, came) < LATE_COPY
        is_known = any(source in one.alarms for source in signal.sources)
        if signal.was_ok and is_known and not is_late_copy:
            return True
    return False


def _is_proved_well(seen: model.Observation) -> bool:
    """Whether the active has answered a health check; that Nova shows it as ACTIVE proves less."""
    active = seen.record.active
    return any(
        one.health is not None and one.health.state is model.HealthState.WELL
        for one in seen.candidates
        if active is not None and standbys.is_active(one.member, active)
    )


def _waits(signal: signals.Signal[model.Action], left: float, why: str) -> later.Remember:
    due_in = min(left + 0.1, LOOK_EVERY)
    return later.Remember(why, until=LONGEST, due_in=due_in, alarms=_known(signal))


def _known(signal: signals.Signal[model.Action]) -> tuple[str, ...]:
    # One that does not say which alarm it is may be any.
    return signal.sources or ('',)


def _apart(one: datetime.datetime, other: datetime.datetime) -> float:
    """Seconds between two times; the clock of the engine that wrote one of them may be ahead."""
    return abs((one - other).total_seconds())
