# SPDX-License-Identifier: Apache-2.0
"""What the agent must know of a FailoverPolicy that it signals when a guest ends by itself.

It is in the resource's data, where the agent reads it without loading the stack.
``heat_ha.plugin.instance_failure`` writes it.
"""

import dataclasses
import enum

from heat_ha import serialization

# The key in the resource's data.
INSTANCE_FAILURE = 'ha_instance_failure'


class OnInstanceFailure(enum.Enum):
    """What follows when a guest ended by itself: nothing until an alarm, or the agent's signal."""

    NONE = 'none'
    FAILOVER = 'failover'


@dataclasses.dataclass(frozen=True)
class Watched:
    """A policy that asks for the signal.

    ``group`` is the name of the group in the policy's stack, whose members it is about;
    ``through`` the name of the ScalingPolicy in front of the policy, '' where there is none.
    """

    FORM = serialization.Form(omits=('through',))

    group: str
    through: str = ''


def text_of(watched: Watched) -> str:
    """The text that :func:`of_text` reads."""
    return serialization.compact(serialization.encode(watched))


def of_text(text: str) -> Watched:
    """What a policy has on record. :raises Unreadable: another version wrote it."""
    return serialization.read(Watched, text, 'what a FailoverPolicy asks the agent for')
