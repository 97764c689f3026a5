# SPDX-License-Identifier: Apache-2.0
"""Finding the member that a signal names, where that takes a question to Nova.

A person, and many a monitoring system, knows a server by the name that Nova shows, which Heat's
record does not have. The policies ask ``find`` before they act on a name.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from heat_ha import exceptions, quoting
from heat_ha.groups import model
from heat_ha.groups.rules import members as rules


class Names(Protocol):
    """Nova, as far as names go."""

    def named(self, name: str) -> frozenset[str]:
        """The ids of the project's servers of this name.

        :raises exceptions.CouldNotAsk: Nova did not answer.
        """


def find(
    members: Sequence[model.Member], named: str, nova: Callable[[], Names]
) -> model.Member | None:
    """The member that a sender means: as ``rules.members.find``, else by a server's name in Nova.

    A server's name may have a domain after it: guests and monitoring systems add theirs. A server
    whose name is the whole of it decides, also one outside of the group.

    :param nova: makes a client as the owner of the stack; called only where Nova is asked.
    :raises exceptions.Refused: servers of several members have the name, or Nova did not answer.
    """
    found = rules.find(members, named)
    if found is not None or not rules.may_be_server_name(named):
        return found
    try:
        asked = nova()
        servers = asked.named(named)
        if not servers and (short := rules.without_domain(named)):
            servers = asked.named(short)
    except exceptions.CouldNotAsk as exc:
        # Not "there is none" (S2).
        raise exceptions.Refused(
            f'no member is called {quoting.shown(named)}, and whether a server is could not be '
            f'seen: {exc}',
            'Send the signal again, or name the member or the id of its server',
        ) from exc
    return rules.with_server(members, named, servers)
