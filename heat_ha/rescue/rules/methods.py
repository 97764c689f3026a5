# SPDX-License-Identifier: Apache-2.0
"""The table of rescue methods: all that is known of each of them, in one place. Pure.

The rules choose by it, the executor hands out the work by it, and the schema of the RescuePolicy
offers and checks what is in it. A new method needs a name in ``Method``, a row here, and a case
where the one that carries it out matches the method.
"""

import dataclasses
import enum
from collections.abc import Mapping

from heat_ha.cloud.model import HostState
from heat_ha.rescue.model import Method


class CarriedOutBy(enum.Enum):
    """Who does the work of a method."""

    NOVA = 'Nova, by itself, for many servers side by side'
    HEAT = 'Heat, for all servers that are due at once'
    CHAINED_POLICY = 'the policy that failover_policy names'
    NOBODY = 'nobody'


class VerifiedBy(enum.Enum):
    """How it is known that a method has done its work."""

    LOOK = 'a look at the server in Nova, compared with the one before the rescue'
    RETURN = 'the call that carried it out has returned without an error'


@dataclasses.dataclass(frozen=True)
class Traits:
    """What a method does, and where it may be used.

    ``usable_on`` are the states of the server's host in which it may begin. ``DOWN`` and
    ``UNKNOWN`` are in no row: nothing begins on a host that is down without a confirmation, or
    that could not be asked for (S1, S2). ``moves_server``: the server runs on another host
    afterwards. ``deletes_server``: another server takes its place, so it need not exist any more.
    ``starts_server``: it runs afterwards, even if it was stopped before. ``has_new_disk``: its
    disk may be another one afterwards. ``description`` completes a sentence that begins with the
    method's name.
    """

    carried_out_by: CarriedOutBy
    verified_by: VerifiedBy
    usable_on: frozenset[HostState]
    description: str
    moves_server: bool = False
    deletes_server: bool = False
    starts_server: bool = False
    has_new_disk: bool = False

    @property
    def is_in_nova(self) -> bool:
        """Whether Nova carries it out; the server keeps its id, volumes and addresses."""
        return self.carried_out_by is CarriedOutBy.NOVA


_ON_HOST_UP = frozenset({HostState.UP})
_ON_DEAD_HOST = frozenset({HostState.CONFIRMED_DOWN})

TABLE: Mapping[Method, Traits] = {
    Method.RESTART: Traits(
        CarriedOutBy.NOVA,
        VerifiedBy.LOOK,
        _ON_HOST_UP,
        'starts or reboots a server that is sick on a host that is up.',
        starts_server=True,
    ),
    Method.EVACUATE: Traits(
        CarriedOutBy.NOVA,
        VerifiedBy.LOOK,
        _ON_DEAD_HOST,
        'lets Nova start the same server on another host.',
        moves_server=True,
        has_new_disk=True,
    ),
    Method.REBUILD: Traits(
        CarriedOutBy.NOVA,
        VerifiedBy.LOOK,
        _ON_HOST_UP,
        'gives a server that is sick on a host that is up its image again.',
        has_new_disk=True,
    ),
    Method.RECREATE: Traits(
        CarriedOutBy.HEAT,
        VerifiedBy.RETURN,
        _ON_HOST_UP | _ON_DEAD_HOST,
        'lets Heat replace it, with what depends on it.',
        moves_server=True,
        deletes_server=True,
    ),
    Method.FAILOVER: Traits(
        CarriedOutBy.CHAINED_POLICY,
        VerifiedBy.RETURN,
        _ON_HOST_UP | _ON_DEAD_HOST,
        'signals the failover_policy.',
        moves_server=True,
        deletes_server=True,
    ),
    Method.NONE: Traits(
        CarriedOutBy.NOBODY,
        VerifiedBy.RETURN,
        _ON_HOST_UP | _ON_DEAD_HOST,
        'leaves it alone.',
    ),
}


def of(method: Method | None) -> Traits:
    """The traits of a method; of a rescue that has not begun, those of none."""
    return TABLE[method or Method.NONE]


def descriptions() -> str:
    """One sentence about each method, for the schema."""
    return ' '.join(f'{method.value} {traits.description}' for method, traits in TABLE.items())
