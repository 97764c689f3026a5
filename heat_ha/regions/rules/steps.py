# SPDX-License-Identifier: Apache-2.0
"""What is done next about a part or a tombstone: the steps that a decision can choose."""

import dataclasses
import enum
from typing import TypeAlias

from heat_ha.regions.model import ErrorClass


class Request(enum.Enum):
    """A request that changes something in a region."""

    CREATE = 'create'
    UPDATE = 'update'
    DELETE = 'delete'
    SUSPEND = 'suspend'
    RESUME = 'resume'
    CANCEL = 'cancel'
    SNAPSHOT = 'snapshot'
    RESTORE = 'restore'
    # Only the tags, over what the stack holds.
    TAG = 'tag'
    # The same update again, of a stack that has stalled.
    REPEAT = 'repeat'


@dataclasses.dataclass(frozen=True)
class Send:
    """Send a request; with ``if_digest`` only if the newest fingerprint still has this digest."""

    request: Request
    reason: str
    if_digest: str = ''


@dataclasses.dataclass(frozen=True)
class Wait:
    """Look again later."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Stalled(Wait):
    """Look again later; nothing moves there, and a person may have to act."""


@dataclasses.dataclass(frozen=True)
class Done:
    """The region holds what is wanted; ``is_drifted`` if somebody else has changed it."""

    reason: str = ''
    is_drifted: bool = False


@dataclasses.dataclass(frozen=True)
class Defer:
    """Go on without the region, and send it the rest later."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Fail:
    """The part has failed, and a person has to act."""

    error_class: ErrorClass
    reason: str


@dataclasses.dataclass(frozen=True)
class Forget:
    """Nothing is left to delete, or a person does not want it deleted."""

    reason: str


Step: TypeAlias = Send | Wait | Done | Defer | Fail | Forget
