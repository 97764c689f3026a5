# SPDX-License-Identifier: Apache-2.0
"""What a look can lead to: the words in which rules answer those who act.

``volume_rules``, ``server_rules`` and ``hook`` answer in them, and so does the driver of each
kind of thing that is handed over.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Request:
    """Send the request that the step is named for (detach or attach, stop)."""


@dataclasses.dataclass(frozen=True)
class Wait:
    """Nothing to send: the services are at work, or did not answer. Look again.

    ``is_blind``: they did not answer, so nothing is known of what is looked at (S2).
    """

    reason: str
    is_blind: bool = False


@dataclasses.dataclass(frozen=True)
class Done:
    """The world is as the step wants it."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Free:
    """No server has it, as its service has on record.

    Nova writes that down alone when a server is deleted whose host is silent. So whether who had it
    can still write is asked of the host (``server_rules.next_for_free``).
    """

    reason: str


@dataclasses.dataclass(frozen=True)
class Stop:
    """The step cannot be done safely; a person is needed.

    ``is_of_server``: what hinders it may well be the server, and another one may be without it.
    """

    reason: str
    remedy: str
    is_of_server: bool = False


@dataclasses.dataclass(frozen=True)
class Delete:
    """Delete the server that is in the way: the way that Nova allows to free what it holds."""

    reason: str
    server: str


@dataclasses.dataclass(frozen=True)
class WaitForFence:
    """Somebody has to confirm that the host is down before anything more is safe.

    ``server`` is the one that is on it.
    """

    reason: str
    remedy: str
    server: str = ''


# What a look at the thing itself leads to, and at the host of who had it. None of them deletes
# anything.
Move = Request | Wait | Done | Stop | WaitForFence

# What a look at the thing alone leads to.
Shown = Request | Wait | Done | Free | Stop

# What a look at the server that stands in the way, and at its host, leads to.
Finding = Wait | Done | Stop | Delete | WaitForFence
