# SPDX-License-Identifier: Apache-2.0
"""The part of Masakari's API that its monitors use: one version, and notifications to post.

The monitors find the service ``instance-ha`` in Keystone's catalogue, and have a token of Keystone.
"""

import json
import threading
import uuid
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from heat_ha.agent import reception
from heat_ha.agent.reception import Answer, say

# The name that the monitors have in ``senders_file``, in the metrics and in the log.
SENDER = 'masakari'

# Requests that are answered at once. They wait for Keystone, and the threads that answer are few.
MAX_AT_ONCE = 2

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Notifications:
    """Takes what Masakari's monitors post.

    :param guard: lets only requests with a valid token pass to the application that it is given.
    :param may_notify: whether the token of a request that has passed has a role that suffices.
    """

    def __init__(
        self,
        received: reception.Reception,
        guard: Callable[[Wsgi], Wsgi],
        may_notify: Callable[[dict[str, Any]], bool],
    ) -> None:
        self._received = received
        self._may_notify = may_notify
        self._guarded = guard(self._behind)
        self._slots = threading.BoundedSemaphore(MAX_AT_ONCE)

    def post(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Take one notification, as WSGI has it."""
        if not self._slots.acquire(blocking=False):
            return reception.send(say(HTTPStatus.SERVICE_UNAVAILABLE, 'busy; send it again'), start)
        try:
            return self._guarded(environ, start)
        finally:
            self._slots.release()

    def _behind(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        return reception.send(self._answer(environ), start)

    def _answer(self, environ: dict[str, Any]) -> Answer:
        if not self._may_notify(environ):
            return say(HTTPStatus.FORBIDDEN, 'the token has none of the roles in notifier_roles')
        raw = reception.body_of(environ)
        if isinstance(raw, Answer):
            return raw
        shown = _shown(raw)
        if shown is None:
            return say(HTTPStatus.BAD_REQUEST, 'the body has no notification')
        found = self._received.post(SENDER, raw)
        if found.status is not HTTPStatus.ACCEPTED:
            return found
        # As Masakari answers. Nothing can be asked of it later, so it is not kept.
        state = 'new' if found.body['reports'] else 'ignored'
        named = {'notification_uuid': str(uuid.uuid4()), 'status': state}
        return Answer(found.status, {'notification': shown | named, 'message': found.body})


def _shown(raw: bytes) -> dict[str, Any] | None:
    """What of a notification is in the answer to it; None for a body that is no notification."""
    try:
        told = json.loads(raw)['notification']
        return {key: told.get(key) for key in ('type', 'hostname', 'generated_time', 'payload')}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None


def version() -> dict[str, Any]:
    """The document of the version that there is.

    Its link is relative, because a proxy may have changed the address that was asked for.
    """
    return {
        'version': {
            'id': 'v1.0',
            'status': 'CURRENT',
            'version': '',
            'min_version': '',
            'links': [{'rel': 'self', 'href': './'}],
        }
    }
