# SPDX-License-Identifier: Apache-2.0
"""What the agent knows of a host: values only. Times are seconds of Unix time (UTC).

``decide`` chooses from them, ``service`` acts on them, ``heat_ha.agent.adapters.store`` keeps them.
"""

import dataclasses
import enum

from heat_ha import serialization
from heat_ha.cloud import model as cloud
from heat_ha.fencing import model as fencing


class Claimed(enum.Enum):
    """What one source says of a host. SILENT: nothing, and it could have."""

    DOWN = 'down'
    UP = 'up'
    SILENT = 'silent'
    COULD_NOT_ASK = 'could_not_ask'


@dataclasses.dataclass(frozen=True)
class Report:
    """The last that one source said of one host."""

    source: str
    host: str
    claimed: Claimed
    at: float
    detail: str = ''


class Verdict(enum.Enum):
    """What all sources together mean. Only DOWN allows anything; UNKNOWN changes nothing (S2)."""

    DOWN = 'down'
    UP = 'up'
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A verdict with its reason. ``agreed``: of DOWN, the sources that themselves say so.

    ``is_certain``: one of those is declared to be certain of what it says.
    """

    verdict: Verdict
    reason: str
    agreed: frozenset[str] = frozenset()
    is_certain: bool = False


class Phase(enum.Enum):
    """How far the agent is with a host that failed."""

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
    """One failure of one host. ``released_by`` is who let it pass the storm guard."""

    FORM = serialization.Form(always=('proof',))

    host: str
    phase: Phase
    opened: float
    reason: str
    changed: float
    proof: fencing.Proof | None = None
    released_by: str = ''

    @property
    def is_open(self) -> bool:
        """Whether anything is left to be done or looked at."""
        return self.phase is not Phase.CLOSED


@dataclasses.dataclass(frozen=True)
class Settings:
    """How patient the agent is, in seconds.

    ``settle``: for how long a host must be down without a break before it is believed, where no
    source is certain;
    ``proof_valid``: for how long a fence may be relied on before Nova has been told.
    """

    settle: float = 5.0
    proof_valid: float = 300.0


@dataclasses.dataclass(frozen=True)
class Observation:
    """All that the next step for one host is decided from.

    ``isolation`` and ``storm`` are empty, or say why nothing may be begun; ``doubt`` is empty, or
    says whose sign of life is still missing; ``beats`` counts the signs of life of the host
    since the incident came into its phase; ``outlived_since``: when the host gave its last sign
    of life at the latest, where every host that is not counted as failed has outlived it, and
    Nova's list is among the sources that agree; ``trusted_since`` is since when the agent has not
    been cut off. ``mark`` is None when Nova was not to be asked, and so is ``rescues_left`` for
    Heat's database and ``leftovers`` for the audit of a host that is back.
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
