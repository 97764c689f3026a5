# SPDX-License-Identifier: Apache-2.0
"""Questions of policies to the agents about what is left of a dead guest, in the agents' table."""

from typing import Any

import sqlalchemy
from heat.db import api as db_api

from heat_ha import serialization
from heat_ha.cloud import clock
from heat_ha.fencing.rules import leftovers

# As heat_ha.agent.adapters.store makes it.
_TABLE = sqlalchemy.table(
    'heat_ha_agent',
    *(sqlalchemy.column(name) for name in ('kind', 'name', 'value', 'version', 'changed')),
)


def _where(name: str) -> tuple[Any, ...]:
    # SQLAlchemy 1.4, which Heat 22 has, has no public name for the type.
    return _TABLE.c.kind == leftovers.KIND, _TABLE.c.name == name


def ask(question: leftovers.Question) -> None:
    """Put a question. It raises what the database does: without agents there is no table."""
    text = serialization.compact(serialization.encode(question))
    values = {'kind': leftovers.KIND, 'name': question.name, 'value': text, 'version': 1}
    with db_api.get_engine().connect() as connection, connection.begin():
        connection.execute(_TABLE.insert().values(changed=clock.epoch(), **values))


def answer(name: str) -> str:
    """The answer, '' as long as there is none."""
    query = sqlalchemy.select(_TABLE.c.value).where(*_where(name))
    with db_api.get_engine().connect() as connection:
        row = connection.execute(query).first()
    if row is None:
        return ''
    return serialization.read(leftovers.Question, row[0], f'question {name}').answer


def take_away(name: str) -> None:
    """Ask no more."""
    with db_api.get_engine().connect() as connection, connection.begin():
        connection.execute(_TABLE.delete().where(*_where(name)))
