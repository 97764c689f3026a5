# SPDX-License-Identifier: Apache-2.0
"""What a template wants of its regions: the contents, the order, the rules for partitions."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, TypeAlias


class OnUnreachable(enum.Enum):
    """What an action does with a region that does not answer."""

    DEFER = 'defer'
    WAIT = 'wait'
    FAIL = 'fail'


class OnDelete(enum.Enum):
    """What is done about a part that is to be deleted while its region does not answer."""

    DEFER = 'defer'
    RETAIN = 'retain'
    FAIL = 'fail'


class Drift(enum.Enum):
    """What is done when somebody else has changed the remote stack."""

    REPORT = 'report'
    CORRECT = 'correct'
    IGNORE = 'ignore'


@dataclasses.dataclass(frozen=True)
class Content:
    """What one region is to hold: the body of the request without its tags, and its revision."""

    revision: str
    body: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class MissingInput:
    """Nothing can be sent to a part yet: another part's output is not known."""

    reason: str


Wanted: TypeAlias = Content | MissingInput


@dataclasses.dataclass(frozen=True)
class Rollout:
    """Which parts may be at work at once. ``waves`` has every region exactly once.

    ``max_in_flight`` 0 sets no limit; ``failure_tolerance`` is how many parts may fail before no
    further one is begun.
    """

    waves: tuple[tuple[str, ...], ...]
    max_in_flight: int = 0
    failure_tolerance: int = 0


@dataclasses.dataclass(frozen=True)
class Rules:
    """What the template says of partitions, and what the present action may do.

    ``patience`` is for how many seconds a region may be silent before an action goes on without
    it; ``may_repair`` whether the action may send again what has failed, as a check must not;
    ``stalled_after`` for how many seconds nothing may move in a stack that is in progress before it
    is sent the same again.
    """

    on_unreachable: OnUnreachable = OnUnreachable.DEFER
    on_delete: OnDelete = OnDelete.DEFER
    drift: Drift = Drift.REPORT
    adopt_overwrites: bool = False
    patience: float = 10.0
    may_repair: bool = True
    stalled_after: float = 180.0
