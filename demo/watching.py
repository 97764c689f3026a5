# SPDX-License-Identifier: Apache-2.0
"""Read the cloud while a failover runs, as the tenant sees it."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from demo import scene
from lab.client import access, stacks

# Seconds between two questions about the volume. Often enough to see it on its way, seldom
# enough not to slow two cores.
PERIOD = 0.25


class VolumeWatch:
    """Samples who has the volume, in a thread of its own since Heat's answers take longer."""

    def __init__(self, volume: str) -> None:
        self._volume = volume
        self._cloud = access.connect('demo')
        self._is_over = threading.Event()
        self.moments: list[scene.Moment] = []

    @contextlib.contextmanager
    def running(self) -> Iterator['VolumeWatch']:
        """Sample during the body."""
        # So that the first stop already finds the volume somewhere.
        self._look()
        thread = threading.Thread(target=self._sample, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            thread.join(timeout=10)

    def _sample(self) -> None:
        while not self._is_over.wait(PERIOD):
            with contextlib.suppress(*access.NO_ANSWER, AssertionError):
                self._look()

    def _look(self) -> None:
        answer = self._cloud.block_storage.get(f'/volumes/{self._volume}')
        assert answer.status_code == 200, answer.text
        found = answer.json()['volume']
        server = next((a['server_id'] for a in found['attachments']), None)
        last = self.moments[-1] if self.moments else None
        if last is None or (last.status, last.server) != (found['status'], server):
            self.moments.append(scene.Moment(time.time(), found['status'], server))


class Group:
    """The members of an AutoScalingGroup, with the servers in them."""

    def __init__(self, stack: stacks.Stack, name: str) -> None:
        self._cloud = stack.cloud
        nested = stack.resource(name)['physical_resource_id']
        answer = self._cloud.orchestration.get(f'/stacks/{nested}', allow_redirects=True)
        assert answer.status_code == 200, answer.text
        self._path = f'/stacks/{answer.json()["stack"]["stack_name"]}/{nested}/resources'

    def look(self) -> tuple[scene.Member, ...]:
        """The members now, by name."""
        answer = self._cloud.orchestration.get(f'{self._path}?nested_depth=1')
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()['resources']
        servers = {
            r.get('parent_resource'): r['physical_resource_id']
            for r in found
            if r['resource_type'] == 'OS::Nova::Server'
        }
        top = [r for r in found if r['resource_type'] != 'OS::Nova::Server']
        return tuple(
            scene.Member(
                r['resource_name'], servers[r['resource_name']] or '', r['resource_status']
            )
            for r in sorted(top, key=lambda r: str(r['resource_name']))
            if r['resource_name'] in servers
        )
