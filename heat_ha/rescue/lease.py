# SPDX-License-Identifier: Apache-2.0
"""The right to carry the rescues of one policy: one engine at a time has it.

It is a mark in the policy's metadata, set by compare-and-set on the resource's row.
"""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from heat_ha import exceptions
from heat_ha.cloud import lease
from heat_ha.rescue import record

MARK = record.MARK

# Ids of the marks that threads of this process stand behind.
_RUNNING: set[str] = set()


class Busy(exceptions.HaError):
    """Another thread or engine carries the rescues of this policy; it is alive."""


class Lease:
    """A mark that was set; ``check`` before each step that it still is."""

    def __init__(self, policy: Any, mark: dict[str, str]) -> None:
        self._policy = policy
        self.mark = mark

    def check(self) -> None:
        """:raises Busy: another engine took this one for dead, and its work up."""
        if (self._policy.metadata_get(refresh=True) or {}).get(MARK) != self.mark:
            raise Busy('another engine carries these rescues now')


@contextlib.contextmanager
def claimed(policy: Any) -> Iterator[Lease]:
    """Hold the right for the body. :raises Busy: somebody living has it."""
    mark = {'engine': lease.own_engine_id(), 'id': uuid.uuid4().hex}
    found = (policy.metadata_get(refresh=True) or {}).get(MARK)
    if found and _is_alive(policy, found):
        raise Busy(f'engine {found["engine"]} is at work')

    def taken(_new: Any, current: dict[str, Any] | None) -> dict[str, Any]:
        now = (current or {}).get(MARK)
        if now and now != found:
            raise Busy(f'engine {now["engine"]} was faster')
        return {**(current or {}), MARK: mark}

    def given_back(_new: Any, current: dict[str, Any] | None) -> dict[str, Any]:
        left = dict(current or {})
        if left.get(MARK) == mark:
            left[MARK] = None
        return left

    _RUNNING.add(mark['id'])
    try:
        policy.metadata_set({}, merge_metadata=taken)
        try:
            yield Lease(policy, mark)
        finally:
            policy.metadata_set({}, merge_metadata=given_back)
    finally:
        _RUNNING.discard(mark['id'])


def is_claimed_by_living(policy: Any) -> bool:
    """Whether somebody is at work."""
    found = (policy.metadata_get(refresh=True) or {}).get(MARK)
    return found is not None and _is_alive(policy, found)


def _is_alive(policy: Any, mark: dict[str, str]) -> bool:
    if mark['engine'] == lease.own_engine_id():
        return mark['id'] in _RUNNING
    return lease.engine_is_alive(policy.context, mark['engine'])
