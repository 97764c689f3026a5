# SPDX-License-Identifier: Apache-2.0
"""What fences answer and leave behind, as values.

They are apart from the drivers, so that rules can hold them and import no I/O.
"""

import dataclasses
import enum


class Power(enum.Enum):
    """What a power control reports of its host. UNKNOWN: it could not be asked, or is unclear."""

    ON = 'on'
    OFF = 'off'
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True)
class Proof:
    """Why the host cannot write any more: who fenced it, how, and when that was seen (UTC)."""

    who: str
    how: str
    at: float


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
    """One look at the power of a host: when (Unix time), and what was seen, with its words."""

    at: float
    power: Power
    detail: str
