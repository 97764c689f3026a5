# SPDX-License-Identifier: Apache-2.0
"""Who holds a volume: one look as the tenant, and an observer that looks all the time."""

import contextlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from lab.client import access


def holder(cloud: Any, volume: str) -> str | None:
    """The server that Cinder shows the volume in use on; None while it is on the way."""
    found = cloud.block_storage.get(f'/volumes/{volume}').json()['volume']
    if found['status'] != 'in-use' or len(found['attachments']) != 1:
        return None
    return str(found['attachments'][0]['server_id'])


@contextlib.contextmanager
def observed(volumes: list[str], out: pathlib.Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """Let the observer watch the volumes during the body; yields a function for the summary."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'lab.client.observer', access.LAB / 'env.json', out, *volumes],
        cwd=access.ROOT,
        # Ctrl-C is for whoever watches; SIGTERM ends the observer.
        start_new_session=True,
    )

    def summary() -> dict[str, Any]:
        process.terminate()
        process.wait(timeout=30)
        found: dict[str, Any] = json.loads(out.read_text().splitlines()[-1])
        return found

    try:
        yield summary
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=30)
