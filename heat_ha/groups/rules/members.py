# SPDX-License-Identifier: Apache-2.0
"""Which member of a group a sender means; nothing outside of the group is ever found (S7)."""

import re
from collections.abc import Collection, Sequence

from heat_ha import exceptions, quoting
from heat_ha.groups import model

# So begins what a nested stack without the output OS::stack_id is called in references.
_STACK_REFERENCE = quoting.NESTED_REFERENCE

# What Nova and Heat give as an id, with or without its dashes.
_ID = re.compile('-?'.join('[0-9a-f]{4}' for _ in range(8)), re.IGNORECASE)


def find(members: Sequence[model.Member], named: str) -> model.Member | None:
    """The member of that name, else the one with that reference or server; None without one.

    The reference of a nested member may be the id of its stack, or what the group's ``refs`` give
    for it: a longer name that ends with that id.
    """
    for member in members:
        if named == member.name:
            return member
    reference = _stack_of(named) or named
    for member in members:
        if reference == member.reference or named in member.servers:
            return member
    return None


def may_be_server_name(named: str) -> bool:
    """Whether a server may have this name in Nova: what is an id or a reference never counts.

    Most signals of an alarm without a query name foreign servers by id; they cost no request.
    """
    return not named.startswith(_STACK_REFERENCE) and _ID.fullmatch(named) is None


def without_domain(named: str) -> str:
    """A full name without its domain, '' for what is none, such as an address."""
    short, _, domain = named.removesuffix('.').partition('.')
    is_full_name = bool(short and domain) and not short.isdigit() and ' ' not in named
    return short if is_full_name else ''


def with_server(
    members: Sequence[model.Member], named: str, servers: Collection[str]
) -> model.Member | None:
    """The member that has one of the servers of that name; None when no member has one.

    :param servers: the ids of all servers of that name, also of those outside of the group.
    :raises exceptions.Refused: several members have one.
    """
    found = [member for member in members if set(servers).intersection(member.servers)]
    if len(found) < 2:
        return found[0] if found else None
    those = ', '.join(
        f'{server} (member {member.name})'
        for member in found
        for server in member.servers
        if server in servers
    )
    raise exceptions.Refused(
        f'{len(found)} members have a server of the name {quoting.shown(named)}: {those}',
        'Name one of these servers by its id, or the member',
    )


def _stack_of(named: str) -> str | None:
    """The id of the stack that a reference names, None where it is not such a reference."""
    return named.rpartition('/')[2] if named.startswith(_STACK_REFERENCE) else None
