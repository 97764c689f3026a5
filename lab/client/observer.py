# SPDX-License-Identifier: Apache-2.0
"""Watch from outside that no volume is ever held twice.

Run as a process of its own: ``python -m lab.client.observer ENV.JSON OUT.JSONL VOLUME…``.
Every 50 ms it reads what Cinder and Nova have on record of the volumes. It asks their
databases and not their APIs, because two API calls at that pace would take one of two cores and
slow what is watched. Each change is a line of JSON; SIGTERM ends it with a summary line.
"""

import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence

import pymysql

PERIOD = 0.05

# Cinder: every attachment that is not deleted and names a server; a reserved one does not mean
# that the server can write, an attaching or attached one does.
_CINDER = """
    SELECT volume_id, instance_uuid, attach_status FROM {schema}.volume_attachment
    WHERE deleted = 0 AND instance_uuid IS NOT NULL
      AND attach_status IN ('attaching', 'attached') AND volume_id IN ({marks})
"""
# Nova: every block device of a server that is not deleted and has connection data.
_NOVA = """
    SELECT b.volume_id, b.instance_uuid, 'mapped' FROM {schema}.block_device_mapping b
    JOIN {schema}.instances i ON i.uuid = b.instance_uuid AND i.deleted = 0
    WHERE b.deleted = 0 AND b.connection_info IS NOT NULL AND b.volume_id IN ({marks})
"""


def holders(
    cursor: 'pymysql.cursors.Cursor', schemas: dict[str, str], volumes: Sequence[str]
) -> dict[str, dict[str, list[str]]]:
    """For each volume the servers that hold it, once as Cinder and once as Nova has it."""
    marks = ', '.join(['%s'] * len(volumes))
    found: dict[str, dict[str, list[str]]] = {v: {'cinder': [], 'nova': []} for v in volumes}
    for side, query in (('cinder', _CINDER), ('nova', _NOVA)):
        cursor.execute(query.format(schema=schemas[side], marks=marks), list(volumes))
        for volume, server, _state in cursor.fetchall():
            found[volume][side].append(server)
    return found


def violations(found: dict[str, dict[str, list[str]]]) -> list[str]:
    """Volumes that two servers hold at this instant, in words."""
    wrong = []
    for volume, sides in found.items():
        for side, servers in sides.items():
            if len(set(servers)) > 1:
                wrong.append(f'{side}: volume {volume} is held by {", ".join(sorted(servers))}')
    return wrong


def watch(
    connection: 'pymysql.connections.Connection[pymysql.cursors.Cursor]',
    schemas: dict[str, str],
    volumes: Sequence[str],
    is_over: list[bool],
) -> Iterator[dict[str, object]]:
    """Yield each change of the picture and, last, the summary."""
    samples, wrong, last, gap = 0, [], None, 0.0
    before = time.monotonic()
    while not is_over:
        with connection.cursor() as cursor:
            found = holders(cursor, schemas, volumes)
        now = time.monotonic()
        gap = max(gap, now - before)
        before = now
        samples += 1
        wrong += violations(found)
        if found != last:
            last = found
            yield {'time': time.time(), 'holders': found}
        time.sleep(PERIOD)
    yield {'samples': samples, 'longest_gap_s': round(gap, 3), 'violations': sorted(set(wrong))}


def main() -> None:
    """Watch until SIGTERM."""
    env_path, out_path, *volumes = sys.argv[1:]
    with open(env_path) as stream:
        env = json.load(stream)
    is_over: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: is_over.append(True))
    connection = pymysql.connect(
        unix_socket=env['database']['root_socket'], user='root', autocommit=True
    )
    schemas = {'cinder': 'cinder_one', 'nova': 'nova_one'}
    with contextlib.closing(connection), open(out_path, 'w') as out:
        for line in watch(connection, schemas, volumes, is_over):
            print(json.dumps(line), file=out, flush=True)


if __name__ == '__main__':
    main()
