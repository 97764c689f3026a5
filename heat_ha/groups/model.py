# SPDX-License-Identifier: Apache-2.0
"""What is known of a group and of one replacement in it: values only.

``heat_ha.cloud.heat_group`` makes them from what Heat answers, ``heat_ha.groups.decide``
chooses from them, ``heat_ha.groups.replacing`` acts on them.
"""

import dataclasses
import enum


class Order(enum.Enum):
    """Whether the new member or the room for it comes first."""

    CREATE_FIRST = 'create_first'
    DELETE_FIRST = 'delete_first'


@dataclasses.dataclass(frozen=True)
class Member:
    """One resource of a group as Heat has it on record.

    ``servers`` are the ids of the Nova servers in the member, nested ones too;
    ``reference`` is the member's physical resource id.
    """

    name: str
    reference: str | None
    servers: tuple[str, ...]
    created_at: str
    is_failed: bool
    is_in_progress: bool = False
    reason: str = ''


@dataclasses.dataclass(frozen=True)
class Group:
    """A group's members in Heat's own order of removal: failed, then oldest, then by name."""

    name: str
    members: tuple[Member, ...]

    @property
    def healthy(self) -> tuple[Member, ...]:
        """Members that Heat does not hold for failed, oldest first."""
        return tuple(m for m in self.members if not m.is_failed)
