# SPDX-License-Identifier: Apache-2.0
"""A health check of a member, and what came of it. ``model`` has them by the same names."""

import dataclasses
import enum


@dataclasses.dataclass(frozen=True)
class HealthCheck:
    """How a standby is asked whether it is well; ``path`` is None for a check by TCP alone."""

    port: int
    path: str | None
    timeout: float


class HealthState(enum.Enum):
    """What came of a health check. COULD_NOT_ASK counts neither for nor against a server."""

    WELL = 'well'
    SICK = 'sick'
    COULD_NOT_ASK = 'could_not_ask'


@dataclasses.dataclass(frozen=True)
class Health:
    """One answer to a health check, with what was seen in words."""

    state: HealthState
    detail: str
