# SPDX-License-Identifier: Apache-2.0
"""Finding the member that a signal names, where that takes a question to Nova.

A person, and many a monitoring system, knows a server by the name that Nova shows, which Heat's
record does not have. The policies ask ``find`` before they act on a name.
"""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Protocol

from oslo_log import log as logging

from heat_ha import exceptions, quoting
from heat_ha.groups import model
from heat_ha.groups.rules import members as rules

LOG = logging.getLogger(__name__)


class Names(Protocol):
    """Nova, as far as names go."""

    def named(self, name: str) -> frozenset[str]:
        """The ids of the project's servers of this name.

        :raises exceptions.CouldNotAsk: Nova did not answer.
        """

    def addressed(self, address: str) -> frozenset[str]:
        """The ids of the project's servers that have this fixed address.

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


def find_either(
    members: Sequence[model.Member],
    named: str | None,
    host: str | None,
    nova: Callable[[], Names],
) -> model.Member | None:
    """The member that a sender names, or that the host in an alert is; None without either.

    :raises exceptions.Refused: as ``find``.
    """
    if named is not None:
        return find(members, named, nova)
    return None if host is None else find_host(members, host, nova)


def find_host(
    members: Sequence[model.Member], host: str, nova: Callable[[], Names]
) -> model.Member | None:
    """The one member that has a server of this name, or with this fixed address; else None.

    A host in an alert may as well be a hypervisor, or who looked, so nothing is refused: without
    a member the alarm is as one that names nobody. That holds also where Nova does not answer,
    because an alarm must not get lost for what it need not have said.

    :param nova: as for ``find``.
    """
    try:
        if not _is_address(host):
            return find(members, host, nova)
        return rules.with_server(members, host, nova().addressed(host))
    except (exceptions.Refused, exceptions.CouldNotAsk) as exc:
        LOG.info('The host %s of an alarm shows no member: %s', host, exc)
        return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
