# SPDX-License-Identifier: Apache-2.0
"""What the services have on record, read from their databases: it costs them no request."""

import threading
from collections.abc import Sequence
from typing import Any

import pymysql

from chaos import check


class Database:
    """The lab's database server as its root user; each thread has a connection of its own."""

    def __init__(self, socket: str, project: str) -> None:
        self._socket = socket
        self._project = project
        self._own = threading.local()

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        connection = getattr(self._own, 'connection', None)
        if connection is None:
            connection = pymysql.connect(unix_socket=self._socket, user='root', autocommit=True)
            self._own.connection = connection
        with connection.cursor() as cursor:
            cursor.execute(text, values)
            return list(cursor.fetchall())

    def _query_in(self, text: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        if not values:
            return []
        return self.query(text.replace('IDS', ', '.join(['%s'] * len(values))), *values)

    def server_states(self, servers: Sequence[str]) -> dict[str, str]:
        """Nova's states of the servers that it has, with the task that runs."""
        rows = self._query_in(
            'SELECT uuid, vm_state, task_state FROM nova_one.instances'
            ' WHERE deleted = 0 AND uuid IN (IDS)',
            servers,
        )
        return {uuid: f'{state} {task}' if task else state for uuid, state, task in rows}

    def takers_of_configs(self) -> list[str]:
        """The project's servers in which a guest asks Heat what to run."""
        rows = self.query(
            'SELECT uuid FROM nova_one.instances WHERE deleted = 0 AND project_id = %s'
            " AND FROM_BASE64(user_data) LIKE '%%os-collect-config%%'",
            self._project,
        )
        return [row[0] for row in rows]

    def hosts_of(self, servers: Sequence[str]) -> dict[str, str]:
        """The hosts of servers, deleted ones too."""
        return dict(
            self._query_in('SELECT uuid, host FROM nova_one.instances WHERE uuid IN (IDS)', servers)
        )

    def holders(self, volumes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """For each volume the servers that it is attached to, by Cinder's record and by Nova's."""
        found: dict[str, list[str]] = {v: [] for v in volumes}
        rows = self._query_in(
            'SELECT volume_id, instance_uuid FROM cinder_one.volume_attachment'
            ' WHERE deleted = 0 AND volume_id IN (IDS)',
            volumes,
        ) + self._query_in(
            'SELECT b.volume_id, b.instance_uuid FROM nova_one.block_device_mapping b'
            ' JOIN nova_one.instances i ON i.uuid = b.instance_uuid AND i.deleted = 0'
            ' WHERE b.deleted = 0 AND b.volume_id IN (IDS)',
            volumes,
        )
        for volume, server in rows:
            found[volume].append(server)
        return {volume: tuple(sorted(map(str, of_one))) for volume, of_one in found.items()}

    def inventory(self) -> check.Inventory:
        """All servers, volumes, ports and attachments of the project."""
        mine = self._project
        return check.Inventory(
            servers=frozenset(
                row[0]
                for row in self.query(
                    'SELECT uuid FROM nova_one.instances WHERE deleted = 0 AND project_id = %s',
                    mine,
                )
            ),
            volumes=frozenset(
                row[0]
                for row in self.query(
                    'SELECT id FROM cinder_one.volumes WHERE deleted = 0 AND project_id = %s', mine
                )
            ),
            ports={
                port: device or ''
                for port, device in self.query(
                    'SELECT id, device_id FROM neutron.ports WHERE project_id = %s'
                    " AND device_owner NOT LIKE 'network:%%'",
                    mine,
                )
            },
            attachments={
                attachment: (volume, server or '')
                for attachment, volume, server in self.query(
                    'SELECT a.id, a.volume_id, a.instance_uuid FROM cinder_one.volume_attachment a'
                    ' JOIN cinder_one.volumes v ON v.id = a.volume_id'
                    ' WHERE a.deleted = 0 AND v.project_id = %s',
                    mine,
                )
            },
        )
