# SPDX-License-Identifier: Apache-2.0
"""What the services have on record in the lab's database, read as its root."""

import contextlib
from typing import Any

import pymysql

from lab.client import access


def query(text: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask the database of the lab."""
    connection = pymysql.connect(
        unix_socket=access.environment()['database']['root_socket'], user='root', autocommit=True
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(text, values)
        return list(cursor.fetchall())
