# SPDX-License-Identifier: Apache-2.0
"""Writes of a Heat resource's data that never go over what another engine has written since.

An engine that was frozen wakes up in the middle of its work and knows nothing of what happened
meanwhile. So a write names what it has read, and the lock under which it may write. The database
decides by both in one statement: what is late is refused, and the newer entry stays.
"""

from typing import Any, Protocol

import sqlalchemy
from heat.db import models

from heat_ha.cloud import heat_db, resource_data

_DATA, _LOCK = models.ResourceData.__table__, models.StackLock.__table__


class Guard(Protocol):
    """The lock under which something is written; see ``lease.Lock``."""

    @property
    def row(self) -> tuple[str, str]:
        """The stack that is locked and the engine that has it, as Heat's table has both."""

    def is_of_this_object(self) -> bool:
        """Whether no other thread of this engine has taken the lock since."""

    def is_held(self) -> bool:
        """Whether it is still ours."""


def swap(
    resource: Any, key: str, before: str | None, after: str | None, lock: Guard | None = None
) -> bool:
    """Replace one entry of a resource's data if it is what the caller has read; whether it was.

    :param before: what was read, None for no entry.
    :param after: what is written, None to take the entry away. It is durable on return, or at
        the end of the transaction in which the caller is.
    :param lock: held by the caller as far as it knows; without it nothing is written.
    """
    if lock is not None and not lock.is_of_this_object():
        return False
    with heat_db.writing(resource.context) as session:
        is_done = _swap(session, resource.id, key, before, after, lock)
        for known in session.identity_map.values():
            # What was read in this transaction before is to be read anew.
            if isinstance(known, models.ResourceData):
                session.expire(known)
    resource_data.forget(resource)
    return is_done


def _swap(
    session: Any,
    resource_id: int,
    key: str,
    before: str | None,
    after: str | None,
    lock: Guard | None,
) -> bool:
    entry = sqlalchemy.and_(_DATA.c.resource_id == resource_id, _DATA.c.key == key)
    # The database may take texts for equal that differ in capital letters.
    found = [row.value for row in session.execute(sqlalchemy.select(_DATA.c.value).where(entry))]
    if (before is None and found) or (before is not None and before not in found):
        return False
    if before is None:
        return _inserted(session, resource_id, key, after, lock)
    wanted = sqlalchemy.and_(entry, _DATA.c.value == before, *_conditions(lock))
    if after is None:
        change: Any = _DATA.delete().where(wanted)
    else:
        change = _DATA.update().where(wanted).values(value=after)
    return bool(session.execute(change).rowcount)


def _inserted(
    session: Any, resource_id: int, key: str, after: str | None, lock: Guard | None
) -> bool:
    if after is None:
        return True
    has_lock = sqlalchemy.select(sqlalchemy.literal(1)).where(*_conditions(lock))
    if lock is not None and session.execute(has_lock).first() is None:
        return False
    row = {'resource_id': resource_id, 'key': key, 'value': after}
    session.execute(_DATA.insert().values(**row, redact=False, decrypt_method=''))
    return True


def _conditions(lock: Guard | None) -> tuple[Any, ...]:
    """What holds while the lock is held, for the database to see."""
    if lock is None:
        return ()
    stack_id, engine_id = lock.row
    held = sqlalchemy.and_(_LOCK.c.stack_id == stack_id, _LOCK.c.engine_id == engine_id)
    return (sqlalchemy.exists().where(held),)
