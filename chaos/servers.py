# SPDX-License-Identifier: Apache-2.0
"""What is done to servers by hand: lock them, shut them off, start them again."""

import contextlib
import time
from typing import Any

from chaos.database import Database
from lab.client import waiting

# Seconds until something that was asked of Nova is given up, and between two looks.
LIMIT, SLOW = 60.0, 1.0


class Servers:
    """The hands of an administrator and of a tenant on the tenant's servers.

    :param undo: takes back what is not taken back before.
    :ivar unwell: the servers that were shut off and not started again.
    """

    def __init__(
        self, admin: Any, tenant: Any, database: Database, undo: contextlib.ExitStack
    ) -> None:
        self._admin = admin
        self._tenant = tenant
        self._database = database
        self._undo = undo
        self.unwell: set[str] = set()

    def _act(self, cloud: Any, server: str, action: str) -> int:
        """One action on a server; the status that Nova answers."""
        return int(cloud.compute.post(f'/servers/{server}/action', json={action: None}).status_code)

    def lock(self, server: str) -> bool:
        """Lock a server as an administrator does, until the end; whether it is there."""
        status = self._act(self._admin, server, 'lock')
        assert status in (202, 404), f'Nova answers {status} to the lock of {server}'
        if status == 202:
            self._undo.callback(self._unlock, server)
        return status == 202

    def _unlock(self, server: str) -> None:
        status = self._act(self._admin, server, 'unlock')
        assert status in (202, 404), f'Nova answers {status} when {server} is unlocked'

    def _state_of(self, server: str) -> str:
        return self._database.server_states([server]).get(server, 'gone')

    def shut_off(self, server: str) -> bool:
        """Shut a server off. Whether it is: it may be gone, or Nova at work on it for too long."""
        self.unwell.add(server)

        def ask() -> bool:
            state = self._state_of(server)
            if state == 'active':
                # 409 where something else has just begun.
                self._act(self._tenant, server, 'os-stop')
            return state in ('stopped', 'gone')

        deadline = time.monotonic() + LIMIT * waiting.PATIENCE
        while not ask() and time.monotonic() < deadline:
            time.sleep(SLOW)
        return self._state_of(server) == 'stopped'

    def start(self, server: str) -> None:
        """Let a server run again, if it is still there."""
        deadline = time.monotonic() + LIMIT * waiting.PATIENCE
        while self._state_of(server) not in ('active', 'gone'):
            if self._state_of(server) == 'stopped':
                self._act(self._tenant, server, 'os-start')
            assert time.monotonic() < deadline, f'{server} is {self._state_of(server)}, not active'
            time.sleep(SLOW)
        self.unwell.discard(server)
