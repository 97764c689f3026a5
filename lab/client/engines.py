# SPDX-License-Identifier: Apache-2.0
"""Heat's engines in the lab's first region: which of them works on what."""

from lab.client import database


def carrying() -> str:
    """The service of the one engine that holds the lock of a failover."""
    ((host,),) = database.query(
        'SELECT s.host FROM heat_one.stack_lock l'
        ' JOIN heat_one.service s ON s.engine_id = l.engine_id AND s.deleted_at IS NULL'
    )
    return str(host)


def working_on(stack: str) -> set[str]:
    """The services of the engines that work on a resource below the stack."""
    rows = database.query(
        'SELECT DISTINCT s.host FROM heat_one.resource r'
        ' JOIN heat_one.service s ON s.engine_id = r.engine_id AND s.deleted_at IS NULL'
        " WHERE r.root_stack_id = %s AND r.status = 'IN_PROGRESS'",
        stack,
    )
    return {row[0] for row in rows}


def parts_rest(name: str) -> bool:
    """Whether no part that a stack of this name has in its own region is in progress."""
    ((count,),) = database.query(
        'SELECT COUNT(*) FROM heat_one.stack WHERE deleted_at IS NULL AND owner_id IS NULL'
        " AND status = 'IN_PROGRESS' AND name LIKE %s",
        f'{name}-%',
    )
    return not count
