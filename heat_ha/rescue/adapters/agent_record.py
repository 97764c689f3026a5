# SPDX-License-Identifier: Apache-2.0
"""What the agent has on record beside Heat's own tables, as far as it binds a policy.

``heat_ha.agent.adapters.store`` writes it. Where no agent ever ran there is no such table, and
nothing is held back.
"""

import json
from typing import Any

import sqlalchemy
from heat.db import api as db_api

from heat_ha.rescue.rules import held_back

TABLE = 'heat_ha_agent'

_TABLE = sqlalchemy.table(
    TABLE, sqlalchemy.column('kind'), sqlalchemy.column('name'), sqlalchemy.column('value')
)


def held_of(number: int) -> dict[str, str]:
    """Which servers of a policy the agent holds back, with the reason.

    :param number: the row of the policy in Heat's database.
    """
    engine = db_api.get_engine()
    if not sqlalchemy.inspect(engine).has_table(TABLE):
        return {}
    with engine.connect() as connection:
        # Of most hosts nothing is held back, and nothing else need be read.
        rescues = _values(connection, 'rescue', _TABLE.c.value.like('%"deferred"%'))
        if not rescues:
            return {}
        incidents = _values(connection, 'incident', _TABLE.c.name.in_(sorted(rescues)))
    return held_back.of_policy(incidents, rescues, number)


def _values(connection: Any, kind: str, which: Any) -> dict[str, Any]:
    query = sqlalchemy.select(_TABLE.c.name, _TABLE.c.value).where(_TABLE.c.kind == kind, which)
    return {name: json.loads(value) for name, value in connection.execute(query)}
