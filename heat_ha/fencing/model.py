# SPDX-License-Identifier: Apache-2.0
"""What fences answer and leave behind, as values.

They are apart from the drivers, so that rules can hold them and import no I/O.
"""

import collections
import dataclasses
import enum
from collections.abc import Iterable

from heat_ha import serialization

# The driver that takes Nova's mark ``forced_down`` for the word of whoever set it.
BY_MARK = 'nova_forced_down'

# The drivers whose name alone says that they fence in the storage. Earlier versions know no others,
# and nothing more of a proof of theirs is on record.
TOLD_BY_NAME = frozenset({'ceph'})


class Power(enum.Enum):
    """What a power control reports of its host. UNKNOWN: it could not be asked, or is unclear."""

    ON = 'on'
    OFF = 'off'
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True)
class Proof:
    """Why the host cannot write any more: who fenced it, how, and when that was seen (UTC).

    ``level``: which of the host's levels did, from 1, where another one has a driver of the same
    name; else, and of older versions, 0.
    ``in_storage``: the names of those drivers that fenced in the storage and whose name does not
    say so. A version that does not know it does not understand the record: then it does nothing
    about the host, rather than let it in as one that was switched off.
    """

    FORM = serialization.Form(omits=('level', 'in_storage'))

    who: str
    how: str
    at: float
    level: int = 0
    in_storage: tuple[str, ...] = ()

    @property
    def drivers(self) -> tuple[str, ...]:
        """The names of the drivers that gave it, whatever the fencing file says by now."""
        return tuple((self.who.rpartition(' by ')[0] or self.who).split(' and '))

    @property
    def storage_drivers(self) -> tuple[str, ...]:
        """The names of those drivers that fenced in the storage: that is to be taken back."""
        return (*(name for name in self.drivers if name in TOLD_BY_NAME), *self.in_storage)

    @property
    def leaves_on(self) -> bool:
        """Whether the host was cut off from its storage alone, so that its guests may run on."""
        # Counted: of two drivers of one name, one may have cut the power.
        return not beside(self.drivers, self.storage_drivers)


def beside(names: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """The names that are left when each of the others takes one of the same name away."""
    left = collections.Counter(names) - collections.Counter(others)
    return tuple(sorted(left.elements()))


@dataclasses.dataclass(frozen=True)
class Said:
    """How a program ended, and what it wrote.

    ``code``: its exit status; negative when a signal ended it.
    ``is_whole``: whether ``out`` and ``err`` are all that it wrote.
    """

    code: int
    out: str = ''
    err: str = ''
    is_whole: bool = True

    @property
    def text(self) -> str:
        """Both outputs, for a person."""
        return f'{self.out}\n{self.err}'.strip()


@dataclasses.dataclass(frozen=True)
class Look:
    """One look at the power of a host: when, and what was seen, with its words.

    ``at``: by the clock of whoever looks, the same for all looks that are compared.
    """

    at: float
    power: Power
    detail: str


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a power control says of its machine: the name that its system gave, and its UUID."""

    host_name: str = ''
    uuid: str = ''


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one fence of a host answered when it was asked for the power; ``at`` in Unix time.

    ``level``: its place in the host's levels, from 1. ``address``: where it was asked.
    ``is_partial``, ``off_is_absence``, ``registration``: see ``driver.Driver``.
    """

    host: str
    level: int
    driver: str
    power: Power
    detail: str
    at: float
    is_power_control: bool = True
    cuts_power: bool = True
    host_name: str = ''
    uuid: str = ''
    address: str = ''
    is_partial: bool = False
    off_is_absence: bool = False
    registration: str = ''

    @property
    def shuts_out(self) -> bool:
        """Whether it keeps the host from working, wholly or in part."""
        return self.power is Power.OFF or self.is_partial
