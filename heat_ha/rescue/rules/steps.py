# SPDX-License-Identifier: Apache-2.0
"""What can be next for one server, each with its reason: values only."""

import dataclasses

from heat_ha.rescue.model import Method, State


@dataclasses.dataclass(frozen=True)
class Step:
    """What is next for the server, with its reason."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Look(Step):
    """Nothing now; look again."""


@dataclasses.dataclass(frozen=True)
class Remind(Look):
    """Nothing now, for a long time already: say so."""


@dataclasses.dataclass(frozen=True)
class AskMigration(Step):
    """Ask Nova for the newest migration of the server, and decide again."""


@dataclasses.dataclass(frozen=True)
class Begin(Step):
    """Begin an attempt of a method.

    ``is_reset``: reset the state of the server first. ``is_cut_off``: the attempt before can never
    end, because the host that it was under way to died.
    """

    index: int
    attempt: int
    method: Method
    is_reset: bool = False
    is_cut_off: bool = False


@dataclasses.dataclass(frozen=True)
class Arrive(Step):
    """Put down when the server was first seen on its new host; the rest is timed from then."""


@dataclasses.dataclass(frozen=True)
class StartOver(Step):
    """Rescue it again, from the host that it is on now."""


@dataclasses.dataclass(frozen=True)
class Stop(Step):
    """Stop the server: it did not run before."""


@dataclasses.dataclass(frozen=True)
class Configure(Step):
    """Hand the server its software deployments again."""


@dataclasses.dataclass(frozen=True)
class End(Step):
    """Nothing is left to be done about the server."""

    state: State
