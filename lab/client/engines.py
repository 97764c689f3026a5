# SPDX-License-Identifier: Apache-2.0
"""Heat's engines in the lab's first region: which of them works on what."""

import json

from lab.client import database


def carrying() -> str:
    """The service of the one engine that holds the lock of a failover."""
    ((host,),) = database.query(
        'SELECT s.host FROM heat_one.stack_lock l'
        ' JOIN heat_one.service s ON s.engine_id = l.engine_id AND s.deleted_at IS NULL'
    )
    return str(host)


def replacing(stack: str) -> str | None:
    """The service of the engine that replaces what a failover of the stack has left, if any."""
    rows = database.query(
        'SELECT d.value FROM heat_one.resource_data d'
        ' JOIN heat_one.resource r ON r.id = d.resource_id'
        " WHERE d.`key` = 'ha_record' AND r.stack_id = %s",
        stack,
    )
    left = [one for (text,) in rows for one in json.loads(text).get('follow_ups', ())]
    for engine in (one['engine'] for one in left if one.get('engine')):
        hosts = database.query('SELECT host FROM heat_one.service WHERE engine_id = %s', engine)
        return next((str(host) for (host,) in hosts), None)
    return None


def working_on(stack: str) -> set[str]:
    """The services of the engines that work on a resource below the stack."""
    rows = database.query(
        'SELECT DISTINCT s.host FROM heat_one.resource r'
        ' JOIN heat_one.service s ON s.engine_id = r.engine_id AND s.deleted_at IS NULL'
        " WHERE r.root_stack_id = %s AND r.status = 'IN_PROGRESS'",
        stack,
    )
    return {row[0] for row in rows}


def adding_to(stack: str) -> set[str]:
    """The services of the engines that only add a member of a group below the stack.

    Before that Heat updates the members that are there, and one whose engine dies in that is one
    that has failed.
    """
    rows = database.query(
        'SELECT r.action, s.host FROM heat_one.resource r'
        ' JOIN heat_one.service s ON s.engine_id = r.engine_id AND s.deleted_at IS NULL'
        " WHERE r.root_stack_id = %s AND r.stack_id <> %s AND r.status = 'IN_PROGRESS'",
        stack,
        stack,
    )
    is_updated = any(action == 'UPDATE' for action, _host in rows)
    return set() if is_updated else {host for action, host in rows if action == 'CREATE'}


def parts_rest(name: str) -> bool:
    """Whether no part that a stack of this name has in its own region is in progress."""
    ((count,),) = database.query(
        'SELECT COUNT(*) FROM heat_one.stack WHERE deleted_at IS NULL AND owner_id IS NULL'
        " AND status = 'IN_PROGRESS' AND name LIKE %s",
        f'{name}-%',
    )
    return not count
