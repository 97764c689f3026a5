# SPDX-License-Identifier: Apache-2.0
"""Which member of a group a sender means; nothing outside of the group is ever found (S7)."""

from collections.abc import Sequence

from heat_ha.groups import model


def find(members: Sequence[model.Member], named: str) -> model.Member | None:
    """The member of that name, else the one with that reference or server; None without one."""
    for member in members:
        if named == member.name:
            return member
    for member in members:
        if named == member.reference or named in member.servers:
            return member
    return None
