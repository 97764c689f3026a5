# SPDX-License-Identifier: Apache-2.0
"""One clock for all contenders, which costs the services no request.

Two pollers take more than one of two cores from Nova and Cinder, so a watcher that asks the APIs
slows whoever asks them as well, and not whoever is its own watcher. What Cinder has on record is
read from its database instead, as the observer of the tests does.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence

import pymysql

from lab.client import access

# Seconds between two looks; each is one query that the database answers from memory.
PERIOD = 0.02

_ON = """
    SELECT COUNT(*) FROM cinder_one.volumes v
    JOIN cinder_one.volume_attachment a
      ON a.volume_id = v.id AND a.deleted = 0 AND a.attach_status = 'attached'
    WHERE v.status = 'in-use' AND a.instance_uuid = %s AND v.id IN ({marks})
"""


@contextlib.contextmanager
def _connection() -> Iterator['pymysql.connections.Connection[pymysql.cursors.Cursor]']:
    socket = access.environment()['database']['root_socket']
    with contextlib.closing(
        pymysql.connect(unix_socket=socket, user='root', autocommit=True)
    ) as connection:
        yield connection


def until_on(server: str, volumes: Sequence[str], seconds: float) -> float:
    """When Cinder had every volume in use on the server, on the monotonic clock.

    :param seconds: after which it is given up.
    :raises AssertionError: it took longer.
    """
    query = _ON.format(marks=', '.join(['%s'] * len(volumes)))
    deadline = time.monotonic() + seconds
    with _connection() as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(query, [server, *volumes])
            row = cursor.fetchone()
            if row is not None and row[0] == len(volumes):
                return time.monotonic()
            assert time.monotonic() < deadline, f'not all on {server} within {seconds:.0f} s'
            time.sleep(PERIOD)
