# SPDX-License-Identifier: Apache-2.0
"""What the agents have on record about guests that were shut out from their volumes."""

import sqlalchemy
from heat.db import api as db_api
from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.fencing.rules import guests

LOG = logging.getLogger(__name__)

# As heat_ha.agent.adapters.store makes it.
_TABLE = sqlalchemy.table(
    'heat_ha_agent', *(sqlalchemy.column(name) for name in ('kind', 'name', 'value'))
)


def of(server: str, host_id: str) -> guests.GuestFence | None:
    """What is on record about a server while it is on one host.

    None without anything, or where that is not readable.
    """
    name = guests.record_name(server, host_id)
    query = sqlalchemy.select(_TABLE.c.value).where(
        _TABLE.c.kind == guests.KIND, _TABLE.c.name == name
    )
    try:
        with db_api.get_engine().connect() as connection:
            row = connection.execute(query).first()
    except Exception as exc:
        # No agent has ever run, or the database does not answer: nothing is proved (S2). oslo.db
        # has errors of its own beside those of SQLAlchemy.
        LOG.info('the records of the agents cannot be read: %s', type(exc).__name__)
        return None
    if row is None:
        return None
    try:
        return serialization.read(guests.GuestFence, row[0], 'a fence of a guest')
    except exceptions.Unreadable as exc:
        LOG.info('%s', exc)
        return None
