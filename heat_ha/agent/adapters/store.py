# SPDX-License-Identifier: Apache-2.0
"""What the agents of a region remember together: one small table beside Heat's own.

Each row is a JSON value under a kind and a name, with a version. A writer names the version that
it read, so of two agents that act at once one gets an error and looks again.
"""

import json
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import exc as sqlalchemy_exc

from heat_ha import exceptions, serialization
from heat_ha.cloud import clock

INCIDENT, RESCUE = 'incident', 'rescue'

_METADATA = sqlalchemy.MetaData()
_TABLE = sqlalchemy.Table(
    'heat_ha_agent',
    _METADATA,
    sqlalchemy.Column('kind', sqlalchemy.String(16), primary_key=True),
    sqlalchemy.Column('name', sqlalchemy.String(200), primary_key=True),
    sqlalchemy.Column('value', sqlalchemy.Text(2**24 - 1), nullable=False),
    sqlalchemy.Column('version', sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column('changed', sqlalchemy.Float(53), nullable=False),
)


class Changed(exceptions.HaError):
    """Another agent wrote since this one read."""


class Entry(NamedTuple):
    """A value with the version that the next write must name; 0 for one that is not there."""

    value: Any
    version: int


ABSENT = Entry(None, 0)


class Store:
    """The table. ``engine`` is SQLAlchemy's."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def create(self) -> None:
        """Make the table where it is missing; harmless when two agents do it at once."""
        try:
            _METADATA.create_all(self._engine)
        except sqlalchemy_exc.DBAPIError:
            if not sqlalchemy.inspect(self._engine).has_table(_TABLE.name):
                raise

    def all(self, kind: str) -> dict[str, Entry]:
        """Every value of a kind, by name."""
        query = sqlalchemy.select(_TABLE.c.name, _TABLE.c.value, _TABLE.c.version)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(_TABLE.c.kind == kind)).all()
        return {name: Entry(json.loads(value), version) for name, value, version in rows}

    def get(self, kind: str, name: str) -> Entry:
        """One value; ``ABSENT`` where there is none."""
        query = sqlalchemy.select(_TABLE.c.value, _TABLE.c.version).where(
            _TABLE.c.kind == kind, _TABLE.c.name == name
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return ABSENT if row is None else Entry(json.loads(row[0]), row[1])

    def remove(self, kind: str, name: str, version: int) -> None:
        """Take the value of this version from the table; harmless where it has another one."""
        where = (_TABLE.c.kind == kind, _TABLE.c.name == name, _TABLE.c.version == version)
        with self._engine.connect() as connection, connection.begin():
            connection.execute(_TABLE.delete().where(*where))

    def put(self, kind: str, name: str, value: Any, version: int) -> Entry:
        """Write a value over the one that had this version.

        :raises Changed: it has another version now; nothing was written.
        """
        text = serialization.compact(value)
        new = {'value': text, 'version': version + 1, 'changed': clock.epoch()}
        try:
            with self._engine.connect() as connection, connection.begin():
                if version == 0:
                    connection.execute(_TABLE.insert().values(kind=kind, name=name, **new))
                    count = 1
                else:
                    count = connection.execute(
                        _TABLE.update()
                        .where(
                            _TABLE.c.kind == kind,
                            _TABLE.c.name == name,
                            _TABLE.c.version == version,
                        )
                        .values(**new)
                    ).rowcount
        except sqlalchemy_exc.IntegrityError as exc:
            raise Changed(f'{kind} {name} was made by another agent') from exc
        except Exception as exc:
            # oslo.db has a class of its own for it.
            if type(exc).__name__ == 'DBDuplicateEntry':
                raise Changed(f'{kind} {name} was made by another agent') from exc
            raise
        if not count:
            raise Changed(f'{kind} {name} was written by another agent')
        return Entry(json.loads(text), version + 1)
