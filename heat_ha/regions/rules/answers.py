# SPDX-License-Identifier: Apache-2.0
"""What a region answers: what a look shows, and how a request has ended."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, TypeAlias

from heat_ha.regions.model import ErrorClass


@dataclasses.dataclass(frozen=True)
class Silent:
    """The region could not be asked, which says nothing about the stack (S2).

    ``is_known`` says that the region has been silent for others too, so that waiting is of no use.
    """

    error_class: ErrorClass
    reason: str
    is_known: bool = False


@dataclasses.dataclass(frozen=True)
class Absent:
    """The region answered, and has no such stack."""


@dataclasses.dataclass(frozen=True)
class Present:
    """The region answered, and shows the stack.

    ``is_equal`` is set for a stack that is to be adopted and holds what is wanted. After a look for
    a snapshot, ``snapshot_id``, ``action`` and ``status`` are those of the snapshot.
    """

    stack_id: str
    name: str
    action: str
    status: str
    reason: str = ''
    changed: str = ''
    mark: str = ''
    revision: str = ''
    outputs: Mapping[str, Any] | None = None
    is_equal: bool = False
    snapshot_id: str = ''


Observation: TypeAlias = Silent | Absent | Present


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """A resource in a stack that is in progress or has failed; ``path`` names it to a person.

    ``is_stack`` is whether it is a stack itself, whose resources are listed beside it.
    """

    path: str
    kind: str
    action: str
    status: str
    is_stack: bool = False


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """Whether anything moves in a stack: ``digest`` changes with each event and each resource."""

    digest: str
    unfinished: tuple[Unfinished, ...] = ()


class Answer(enum.Enum):
    """How a request that changes something has ended."""

    ACCEPTED = 'accepted'
    # It did not reach the service.
    NOT_SENT = 'not sent'
    # It may have been carried out: only a look can show that.
    UNKNOWN = 'unknown'
    # The stack is at work, and cannot be changed now.
    BUSY = 'busy'
    # Another stack has the name.
    TAKEN = 'taken'
    GONE = 'gone'
    REFUSED = 'refused'


@dataclasses.dataclass(frozen=True)
class Reply:
    """The answer to a request that changes something, with its facts."""

    answer: Answer
    reason: str = ''
    error_class: ErrorClass | None = None
    stack_id: str = ''
