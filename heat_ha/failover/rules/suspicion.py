# SPDX-License-Identifier: Apache-2.0
"""Which members are not trusted to take over, and what they have to show to be trusted again. Pure.

A member is suspect from the moment when it was reported sick, as the active or as a standby, until
it is replaced, becomes the active by a person's wish, or is seen well after its failure:

=============================== ===================================================================
What is seen                    What follows
=============================== ===================================================================
a failover from the member      It becomes suspect, with the time of the plan.
its replacement as a standby    The same.
a plan that is dropped          Whom it would have replaced becomes suspect.
------------------------------- -------------------------------------------------------------------
its health check passes         Cleared. Each look is of after the failure.
Heat completed a check of it,   Cleared, if that was after the failure.
or its mark was taken back
Nova restarted its server:      Cleared, if that began after the failure and succeeded.
``RESTARTS``
Nova had its server down, or    Cleared once it is back: see ``is_down``.
its host confirmed down
it has another server           Cleared: the one that failed is gone from the group.
------------------------------- -------------------------------------------------------------------
its server is not ACTIVE, gone, Never clears, whatever else is seen; nor does what could not be
or Nova was not to be asked     asked (S2).
its host is down, or not known  Never clears: it must be seen to be up (S1).
its health check fails, or      Never clears, where a check is configured.
could not be made
Heat counts it as failed, or is Never clears.
at work on it
it is being replaced, or        Never clears: it is to go.
retained for a look
an alarm that is over           Clears nothing: it may be over because another member is active.
a stack update that completed   Clears nothing: Heat asks no server that it need not change.
a server that is ACTIVE         Clears nothing by itself: it may have been that all the time.
a host that is silent for a     Clears nothing: its guests have gone on meanwhile.
while
=============================== ===================================================================
"""

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover import model

# What Nova does to a server that ends with the guest started anew, as its list of actions has it.
RESTARTS = frozenset(
    {
        'start',
        'reboot',
        'rebuild',
        'evacuate',
        'migrate',
        'resize',
        'restore',
        'unrescue',
        'unshelve',
    }
)

# Nova's words for a server whose guest does not run, or is being started. Others, such as MIGRATING
# and PASSWORD, are of a guest that goes on; UNKNOWN is that a cell does not answer.
_DOWN = frozenset(
    {
        'SHUTOFF',
        'ERROR',
        'REBOOT',
        'HARD_REBOOT',
        'REBUILD',
        'RESCUE',
        'SHELVED',
        'SHELVED_OFFLOADED',
        'PAUSED',
        'SUSPENDED',
    }
)


@dataclasses.dataclass(frozen=True)
class Shown:
    """What was done about a member, None where nothing was, or where it could not be asked.

    ``checked_at`` is when Heat last completed a check of it, or its mark was taken back;
    ``restarted`` the last restart of its server.
    """

    checked_at: datetime.datetime | None = None
    restarted: cloud.Restart | None = None


# --- the record ---------------------------------------------------------------------------


def with_suspects(
    record: model.Record, suspects: Collection[str], anew: Collection[str], since: str
) -> model.Record:
    """The record with these suspects and no others.

    :param anew: those of them that failed at ``since`` (UTC), whether or not they had before.
    """
    servers = {one.member: one.server for one in record.seen}
    known = {one.member: one for one in record.suspicions if one.member in suspects}
    known |= {
        name: model.Suspicion(name, since, servers.get(name, ''))
        for name in anew
        if name in suspects
    }
    return dataclasses.replace(
        record,
        suspects=tuple(sorted(suspects)),
        suspicions=tuple(known[name] for name in sorted(known)),
    )


def without(record: model.Record, names: Collection[str]) -> model.Record:
    """The record without these suspects."""
    return with_suspects(record, [s for s in record.suspects if s not in names], (), '')


def seen(record: model.Record, candidates: Sequence[model.Candidate], now: str) -> model.Record:
    """The record with what a look has shown of its suspects.

    What a version before has put there has no time: only what comes from now on counts.

    :param now: UTC.
    """
    known = {one.member: one for one in record.suspicions}
    by_name = {one.member.name: one for one in candidates}
    found = []
    for name in record.suspects:
        one = known.get(name) or model.Suspicion(name, now)
        if datetime.datetime.fromisoformat(one.since) > datetime.datetime.fromisoformat(now):
            # The clock that wrote it was ahead, or this one was set back.
            one = dataclasses.replace(one, since=now)
        candidate = by_name.get(name)
        if candidate is not None and candidate.server is not None:
            server = one.server or candidate.server.server
            was_down = one.was_down or (server == candidate.server.server and is_down(candidate))
            one = dataclasses.replace(one, server=server, was_down=was_down)
        found.append(one)
    return dataclasses.replace(record, suspicions=tuple(found))


def is_down(candidate: model.Candidate) -> bool:
    """Whether a member's guest is seen not to run: it has to be started again then."""
    server, host = candidate.server, candidate.host
    has_dead_host = host is not None and host.state is cloud.HostState.CONFIRMED_DOWN
    if server is None:
        return has_dead_host
    return has_dead_host or server.status.value in _DOWN or server.detail in _DOWN


# --- what clears one ------------------------------------------------------------------------


def is_well(candidate: model.Candidate) -> bool:
    """Whether all that has to be seen now of a suspect is seen."""
    member, server, host = candidate.member, candidate.server, candidate.host
    return (
        member.is_in_service
        and not candidate.problem
        and server is not None
        and server.status is ServerStatus.ACTIVE
        and host is not None
        and host.state is cloud.HostState.UP
        and (candidate.health is None or candidate.health.state is model.HealthState.WELL)
    )


def to_ask_about(
    record: model.Record, candidates: Sequence[model.Candidate], going: Collection[str]
) -> tuple[tuple[model.Suspicion, model.Candidate], ...]:
    """The suspects that are well as far as can be seen, and may stay in the group.

    :param record: as ``seen`` gives it.
    :param going: members that are being replaced.
    """
    by_name = {one.member.name: one for one in candidates}
    leaving = {*going, *(one.member for one in record.retained)}
    return tuple(
        (one, by_name[one.member])
        for one in record.suspicions
        if one.member in by_name and one.member not in leaving and is_well(by_name[one.member])
    )


def at_sight(one: model.Suspicion, candidate: model.Candidate) -> str | None:
    """What is to be seen of a well suspect that clears it, in words; None when more is needed."""
    if candidate.server is not None and candidate.server.server != one.server:
        return 'it has another server than when it failed'
    if candidate.health is not None:
        return f'its health check passes ({candidate.health.detail})'
    if one.was_down:
        return 'its server was down, and is ACTIVE again on a host that is up'
    return None


def by_deeds(one: model.Suspicion, shown: Shown) -> str | None:
    """What was done about a well suspect that clears it, in words; None without evidence."""
    since = datetime.datetime.fromisoformat(one.since)
    if shown.checked_at is not None and shown.checked_at > since:
        return f'Heat shows it as well since {_text(shown.checked_at)}, and its server is ACTIVE'
    restarted = shown.restarted
    if restarted is not None and restarted.at > since:
        return f'its server is ACTIVE after the {restarted.action} of {_text(restarted.at)}'
    return None


def cleared(record: model.Record, reasons: Mapping[str, str]) -> model.Record:
    """The record once these are not suspect any more."""
    return without(record, reasons.keys())


def why_suspect(candidate: model.Candidate) -> str:
    """Why a suspect does not take over, and what it would have to show."""
    text = 'it was reported sick, and was not replaced since'
    if candidate.host is None or candidate.host.state is not cloud.HostState.UP:
        return f'{text}; its host is not seen to be up, so only a switchover to it has it tried'
    if candidate.health is not None and candidate.health.state is not model.HealthState.WELL:
        return f'{text}; its health check has to pass first'
    return f'{text}; once it is mended, reboot its server or check its stack'


def _text(at: datetime.datetime) -> str:
    return at.isoformat(timespec='seconds')
