# SPDX-License-Identifier: Apache-2.0
"""What the agent knows of a host: values only. Times are seconds of Unix time (UTC).

``rules.decide`` chooses from them, ``executor`` acts on them, ``adapters.store`` keeps them.
"""

import dataclasses
import enum

from heat_ha import serialization
from heat_ha.cloud import model as cloud
from heat_ha.fencing import model as fencing

# Times of fences that are retained of a host.
RETAINED_FENCES = 20


class Claimed(enum.Enum):
    """What one source claims about a host. SILENT: nothing, although it can report.

    RESOLVED: it claims DOWN no longer. It may have been restarted, so that alone is not UP.
    """

    DOWN = 'down'
    UP = 'up'
    RESOLVED = 'resolved'
    SILENT = 'silent'
    COULD_NOT_ASK = 'could_not_ask'


@dataclasses.dataclass(frozen=True)
class Report:
    """One thing that a source claims about a host, as it was last told. Times are Unix time.

    * ``at``: when it was received; a repeated event keeps the time of the first one.
    * ``said_at``: when the sender says that it became so. Only what one sender says of one thing
      is ordered by it, because the clocks of two senders differ.
    * ``sender``, ``thing``: who said it, and of which alert; '' where there is only one.
    * ``is_event``: it tells what happened once, and not how things still are.
    """

    source: str
    host: str
    claimed: Claimed
    at: float
    detail: str = ''
    said_at: float = float('-inf')
    sender: str = ''
    thing: str = ''
    is_event: bool = False


class Verdict(enum.Enum):
    """What all sources together mean. Only DOWN allows anything; UNKNOWN changes nothing (S2)."""

    DOWN = 'down'
    UP = 'up'
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A verdict with its reason. ``agreed``: of DOWN, the sources that themselves claim it.

    ``is_certain``: one of those is declared to be certain. ``is_denied``: a source that claimed it
    when the host was suspected claims it no longer, and says so.
    """

    verdict: Verdict
    reason: str
    agreed: frozenset[str] = frozenset()
    is_certain: bool = False
    is_denied: bool = False


class Phase(enum.Enum):
    """How far the agent is with a failed host."""

    SUSPECT = 'suspect'
    CONFIRMED = 'confirmed'
    FENCED = 'fenced'
    RESCUING = 'rescuing'
    DONE = 'done'
    DEFERRED = 'deferred'
    DROPPED = 'dropped'
    QUARANTINED = 'quarantined'
    CLOSED = 'closed'


@dataclasses.dataclass(frozen=True)
class Incident:
    """One failure of one host. ``released_by``: who let it pass the storm guard.

    ``fences``: when the host was fenced because it had failed, also in its earlier incidents, the
    oldest first. A fence that only renews the proof of a failure is not among them.
    ``agreed``: the sources that themselves claimed it to be down when that was suspected or
    believed; a suspect without any was not down any more when that was last looked at.
    ``removed``: what its fences have removed from storages that knew the host before; see
    ``fencing.rules.absences``. A version that does not know it leaves the host alone.
    """

    FORM = serialization.Form(always=('proof',), omits=('fences', 'agreed', 'removed'))

    host: str
    phase: Phase
    opened: float
    reason: str
    changed: float
    proof: fencing.Proof | None = None
    released_by: str = ''
    fences: tuple[float, ...] = ()
    agreed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether anything is left to do or to look at."""
        return self.phase is not Phase.CLOSED

    @property
    def is_believed(self) -> bool:
        """Whether the sources agreed that the host is down, and that is being acted on.

        A source that falls silent meanwhile still means what it said: senders do not repeat their
        reports for as long as a fence may take.
        """
        return self.phase in (Phase.CONFIRMED, Phase.FENCED, Phase.RESCUING)

    @property
    def fenced_here(self) -> int:
        """How many times the host was fenced in this incident because it lived, or lived again."""
        return sum(at >= self.opened for at in self.fences)

    def fenced(self, proof: fencing.Proof, now: float, *, is_renewal: bool) -> 'Incident':
        """Put the proof of a fence on record.

        :param is_renewal: whether it is a fence of the same failure once more, as when the proof of
            before is too old. The first fence of an incident never is.
        """
        is_counted = not is_renewal or not self.fenced_here
        return dataclasses.replace(
            self,
            phase=Phase.FENCED,
            proof=proof,
            changed=now,
            reason=f'{proof.who}: {proof.how}',
            fences=(*self.fences, proof.at)[-RETAINED_FENCES:] if is_counted else self.fences,
        )


@dataclasses.dataclass(frozen=True)
class Settings:
    """How patient the agent is, in seconds.

    ``settle``: for how long a host must be down without a break before that is believed, where no
    source is certain;
    ``proof_valid``: for how long a fence may be relied on before the power is asked for again;
    ``fences``: how many times a host is fenced in one incident when it shows signs of life again;
    ``old_silence``: a host that has been silent for longer than that has not failed just now;
    ``deferred_valid``: for how long an incident is held back for a person;
    ``mark_settle``: for how long a host must be silent before a mark of others is believed.
    """

    settle: float = 5.0
    proof_valid: float = 300.0
    fences: int = 3
    old_silence: float = 86400.0
    deferred_valid: float = 86400.0
    mark_settle: float = 15.0


@dataclasses.dataclass(frozen=True)
class Observation:
    """All that the next step for one host is decided from. Times are Unix time.

    * ``service``: what Nova shows of the host; None when it does not answer or does not have it.
    * ``isolation``, ``storm``: why the agent may begin nothing; '' when it may.
    * ``doubt``: which other hosts have not sent a heartbeat yet; '' when none is missing.
    * ``is_word``: whether the proof of its fence is somebody's word by the mark in Nova.
    * ``is_settled``: whether a mark of others is later than the host's last sign of life.
    * ``turn``: which other hosts are fenced before this one; '' when it is its turn.
    * ``trusted_since``: since when the agent has not been cut off.
    * ``heartbeats``: how many the host has sent since the incident came into its phase.
    * ``outlived_since``: when the host sent its last heartbeat, at the latest, if every host that
      does not count as failed has outlived it, and Nova's list is among the sources that agree.
    * ``rescues_left``: policies that are not at their end; None before they were looked up.
    * ``rescues_held``: policies that are held back for a person.
    * ``leftovers``: guests left on a host that is back; None before they were looked up.
    * ``is_audited``: whether they are looked up, so that the agent lets the host in.
    * ``looked_at``: when Nova was asked for what ``service`` shows.
    * ``newest``: the youngest report of all hosts that are up, by the clock that wrote it.
    * ``life``: what was seen of the host after the proof of its fence; '' for no sign of life.
    * ``unclear``: why it is not known whether the host lived after that; '' when it is.
    * ``can_fence``: whether the agent itself switches this host off.
    """

    host: str
    incident: Incident | None
    judgement: Judgement
    service: cloud.ComputeService | None
    now: float
    isolation: str = ''
    storm: str = ''
    rescues_left: int | None = None
    leftovers: tuple[str, ...] | None = None
    doubt: str = ''
    trusted_since: float = float('-inf')
    heartbeats: int = 0
    outlived_since: float = float('inf')
    looked_at: float = float('inf')
    newest: float = float('inf')
    life: str = ''
    unclear: str = ''
    can_fence: bool = True
    is_word: bool = False
    is_settled: bool = False
    turn: str = ''
    rescues_held: int = 0
    is_audited: bool = True
