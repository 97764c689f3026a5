# SPDX-License-Identifier: Apache-2.0
"""What the services have on record in the lab's database, read as its root."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pymysql

from lab.client import access


def _connect(*, autocommit: bool) -> Any:
    return pymysql.connect(
        unix_socket=access.environment()['database']['root_socket'],
        user='root',
        autocommit=autocommit,
    )


def query(text: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask the database of the lab."""
    with contextlib.closing(_connect(autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute(text, values)
        return list(cursor.fetchall())


@contextlib.contextmanager
def locked(text: str, *values: Any) -> Iterator[None]:
    """Keep the rows of a ``SELECT`` as they are; whoever is to write them waits, 50 s at most."""
    with contextlib.closing(_connect(autocommit=False)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f'{text} FOR UPDATE', values)
        yield
        connection.rollback()
