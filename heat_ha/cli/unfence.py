# SPDX-License-Identifier: Apache-2.0
"""Giving a host its storage back by a person's word, under the lock that the agents share.

Without it an agent could fence the host between the look at its record and the removal of the
fence, or renew what was just removed. A proof would then be on record of a host that may write
(S1). ``heat_ha.cli.agent`` calls it for the verb ``unfence``.
"""

import contextlib
import os
import pathlib
import pwd
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.agent import model, worker
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.rules import by_hand
from heat_ha.fencing import inventory, let_in

LOG = logging.getLogger(__name__)

# Seconds to wait for an agent that works on the host. A fence may take longer: then a person is to
# look at the host before anything is taken back.
WAIT, PAUSE = 30.0, 0.5


def unfence(
    store: agent_store.Store, locks: Any, fences: inventory.Inventory, host: str, by: str
) -> None:
    """Take back what keeps a host from its storage.

    :param locks: gives a lock by name, as tooz's coordinator does.
    :raises exceptions.HaError: that was refused, or not done; again is harmless.
    """
    with _locked(locks, host):
        entry = store.all(agent_store.INCIDENT).get(host)
        found = entry and serialization.decode(
            model.Incident, entry.value, f'the incident of host {host}'
        )
        by_hand.check_unfence(found or None, host, by)
        if not let_in.let_in(host, fences, found.proof if found else None):
            raise exceptions.Refused(
                f'the entry of host {host} has no fence in the storage',
                'That is the driver ceph, or command with cuts: storage',
            )
    LOG.warning('host=%s was given its storage back by=%s', host, by)


def check_user(url: str) -> None:
    """See that taking a lock leaves no file that an agent cannot open.

    :raises exceptions.Refused: the locks are files of another user, or of another machine.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != 'file':
        return
    folder = pathlib.Path(parts.path)
    try:
        owner = folder.stat().st_uid
    except OSError as exc:
        raise exceptions.Refused(
            f'coordination_url {url}: there are no locks of an agent here: {exc.strerror}',
            'Do it on the machine of the agent, with its configuration',
        ) from exc
    if owner != os.geteuid():
        raise exceptions.Refused(
            f'coordination_url {url}: the locks belong to the user {_name_of(owner)}, whose agent '
            'could not open one that another user has made',
            f'Do it as that user: sudo -u {_name_of(owner)} heat-ha-agent …',
        )


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        # A container may have no name for it; sudo takes a number so.
        return f'#{user}'


@contextlib.contextmanager
def _locked(locks: Any, host: str) -> Iterator[None]:
    """Take the lock of a host. :raises exceptions.HaError: an agent has it, or it has no answer."""
    try:
        lock = locks.get_lock(worker.lock_of(host))
        is_ours = _acquired(lock)
    except Exception as exc:
        # Each driver of tooz has errors of its own.
        why = str(exc).strip() or type(exc).__name__
        raise exceptions.CouldNotAsk('coordination_url', f'the lock of host {host}', why) from exc
    if not is_ours:
        raise exceptions.TryAgain(
            f'an agent has worked on host {host} for {WAIT:.0f} s, so nothing was taken back. Look '
            f'at it (heat-ha-agent show {host}), and do it again'
        )
    try:
        yield
    finally:
        lock.release()


def _acquired(lock: Any) -> bool:
    deadline = time.monotonic() + WAIT
    while not lock.acquire(blocking=False):
        if time.monotonic() >= deadline:
            return False
        time.sleep(PAUSE)
    return True
