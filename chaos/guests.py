# SPDX-License-Identifier: Apache-2.0
"""Somebody inside of each server that takes software configs, for as long as there is one."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from chaos.database import Database
from lab.client import guest

# Seconds between two looks for new servers, and between two questions of a guest: each is a
# request to Heat, on whose time the failovers are too.
LOOK, ASK = 1.0, 1.5


@contextlib.contextmanager
def living(admin: Any, database: Database) -> Iterator[None]:
    """Let there be guests while the body lasts. They outlive neither their servers nor it."""
    is_over = threading.Event()
    thread = threading.Thread(target=_look_after, args=(admin, database, is_over))
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _look_after(admin: Any, database: Database, is_over: threading.Event) -> None:
    with contextlib.ExitStack() as rest:
        lives: dict[str, contextlib.ExitStack] = {}
        rest.callback(lambda: [life.close() for life in lives.values()])
        while not is_over.wait(LOOK):
            there = database.takers_of_configs()
            for server in set(lives) - set(there):
                lives.pop(server).close()
            for server in set(there) - set(lives):
                # Between the look and the question it may have gone; the next look shows it.
                with contextlib.suppress(*guest.GONE):
                    born = guest.Guest(admin, server, poll=ASK)
                    lives[server] = contextlib.ExitStack()
                    lives[server].enter_context(born)
