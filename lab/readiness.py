# SPDX-License-Identifier: Apache-2.0
"""How to see that a service works: it answers a request, or its own record in the database says so.

An open port proves nothing: uwsgi binds long before its application is loaded. Each function here
returns a check, which takes the moment (UTC) of the service's start: a record from an earlier
life does not count.
"""

import datetime
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Callable

from lab import broker, database, layout, ports, problems

Check = Callable[[datetime.datetime], bool]

# A loaded application answers well below a second; while it loads, the request waits in the
# socket's queue.
_PATIENCE_SECONDS = 20.0


def http(url: str) -> Check:
    """Ready when a GET gets any answer that is not a server's error."""

    def check(_since: datetime.datetime) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS):
                return True
        except urllib.error.HTTPError as error:
            return error.code < 500
        except OSError:
            return False

    return check


def memcached(port: int) -> Check:
    """Ready when it shows its version."""

    def check(_since: datetime.datetime) -> bool:
        try:
            with socket.create_connection((ports.ADDRESS, port), timeout=5) as connection:
                connection.sendall(b'version\r\n')
                return connection.recv(64).startswith(b'VERSION')
        except OSError:
            return False

    return check


def row(statement: str) -> Check:
    """Ready when an SQL statement finds a row; ``{since}`` in it is the moment of the start."""

    def check(since: datetime.datetime) -> bool:
        moment = since.strftime("'%Y-%m-%d %H:%M:%S'")
        try:
            return bool(database.query(statement.format(since=moment), timeout=5))
        except problems.Problem:
            return False

    return check


def nova_service(region: str, binary: str, host: str) -> Check:
    """Ready when the service has reported itself to its cell since it started."""
    return row(
        f"SELECT 1 FROM nova_{region}.services WHERE deleted = 0 AND host = '{host}'"
        f" AND `binary` = '{binary}' AND last_seen_up > {{since}}"
    )


def cinder_service(region: str, binary: str, host: str) -> Check:
    """Ready when the service has reported itself since it started."""
    return row(
        f"SELECT 1 FROM cinder_{region}.services WHERE deleted = 0 AND host = '{host}'"
        f" AND `binary` = '{binary}' AND COALESCE(updated_at, created_at) > {{since}}"
    )


def heat_engine(region: str, host: str) -> Check:
    """Ready when the engine has entered itself since it started."""
    return row(
        f"SELECT 1 FROM heat_{region}.service WHERE deleted_at IS NULL AND host = '{host}'"
        f' AND COALESCE(updated_at, created_at) > {{since}}'
    )


def listens(port: int, virtual_host: str, queue: str) -> Check:
    """Ready when somebody consumes a queue of the message bus."""
    return lambda _since: broker.has_consumer(port, virtual_host, queue)


def log_says(service: str, pattern: str) -> Check:
    """Ready when a line of the log that was written since the start matches."""
    wanted = re.compile(r'^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\S* .*' + pattern)

    def check(since: datetime.datetime) -> bool:
        local = since.astimezone().replace(tzinfo=None)
        for line in problems.tail(layout.log_of(service), 400).splitlines():
            match = wanted.match(line)
            if match and datetime.datetime.fromisoformat(match[1]) > local:
                return True
        return False

    return check
