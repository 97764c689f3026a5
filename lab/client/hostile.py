# SPDX-License-Identifier: Apache-2.0
"""Messages that nobody should send: random ones, broken ones, and some that lie."""

import json
import random
import string
from typing import Any

WORDS = (
    'host', 'state', 'reason', 'alerts', 'labels', 'status', 'instance', 'alertname', 'type',
    'notification', 'payload', 'event', 'hostname', 'nova_object.data', 'binary', 'forced_down',
    'event_type', 'priority', 'timestamp', '__proto__', '',
)  # fmt: skip
VALUES = (
    'down', 'up', 'firing', 'resolved', 'COMPUTE_HOST', 'STOPPED', 'nova-compute',
    'service.update', 'info', 'c1', '../../etc/passwd', "' OR 1=1 --", '\x00', '\ud800', '9' * 400,
    '{{7*7}}', '${jndi:ldap://x}', '🙂' * 300, None, True, -1, 2**70, 1e308, float('nan'),
)  # fmt: skip


class Source:
    """A stream of hostile messages that is the same for the same seed.

    :param hosts: names of real hosts; lies are about them.
    """

    def __init__(self, seed: int, hosts: tuple[str, ...]) -> None:
        self._random = random.Random(seed)
        self._hosts = hosts

    def value(self, depth: int = 3) -> Any:
        """Anything that JSON knows, and some things that it does not."""
        chosen = self._random.random()
        if depth and chosen < 0.25:
            return {self._key(): self.value(depth - 1) for _ in range(self._random.randrange(5))}
        if depth and chosen < 0.4:
            return [self.value(depth - 1) for _ in range(self._random.randrange(6))]
        if chosen < 0.8:
            return self._random.choice(VALUES)
        letters = string.printable + 'äß\u202e\uffff'
        return ''.join(self._random.choices(letters, k=self._random.randrange(60)))

    def _key(self) -> str:
        return self._random.choice(WORDS)

    def notification(self) -> Any:
        """What oslo.messaging may hand over: near the real form more often than not."""
        data = self._mangled(
            {
                'binary': 'nova-compute',
                'host': self._random.choice((*self._hosts, 'elsewhere', 'x' * 300)),
                'forced_down': self._random.choice((True, False, 'yes', None)),
            }
        )
        message = self._mangled(
            {
                'event_type': 'service.update',
                'priority': 'INFO',
                'payload': self._mangled({'nova_object.data': data}),
                'timestamp': '2026-01-01 00:00:00',
                'publisher_id': 'nova',
            }
        )
        return message if self._random.random() < 0.95 else self.value()

    def body(self) -> bytes:
        """The body of a post to the webhook."""
        shape = self._random.randrange(8)
        if shape == 0:
            return self._random.randbytes(self._random.randrange(300))
        if shape == 1:
            return b'[' * self._random.randrange(1, 5000)
        host = self._random.choice((*self._hosts, 'elsewhere'))
        plain: Any = self.value()
        if shape == 2:
            plain = self._mangled({'host': host, 'state': 'down', 'reason': 'a lie'})
        elif shape == 3:
            labels = {'host': host, 'alertname': 'HostDown'}
            alert = {'status': 'firing', 'labels': self._mangled(labels)}
            plain = {'alerts': [self._mangled(alert) for _ in range(self._random.randrange(4))]}
        elif shape == 4:
            payload = self._mangled(
                {'event': 'STOPPED', 'cluster_status': 'OFFLINE', 'host_status': 'NORMAL'}
            )
            plain = {
                'notification': self._mangled(
                    {'type': 'COMPUTE_HOST', 'hostname': host, 'payload': payload}
                )
            }
        elif shape == 5:
            check = {'Node': host, 'CheckID': 'serfHealth', 'Status': 'critical'}
            plain = [self._mangled(check) for _ in range(self._random.randrange(4))]
        elif shape == 6:
            plain = self._mangled(
                {
                    'CRM_alert_kind': 'fencing',
                    'CRM_alert_node': host,
                    'CRM_alert_task': 'off',
                    'CRM_alert_rc': '0',
                }
            )
        text = json.dumps(plain)
        cut = self._random.random() < 0.1
        return text[: self._random.randrange(len(text) + 1)].encode() if cut else text.encode()

    def _mangled(self, plain: dict[str, Any]) -> dict[str, Any]:
        """The same, often with something missing, replaced or added."""
        chosen = self._random.random()
        if chosen < 0.4:
            return plain
        kept = dict(plain)
        key = self._random.choice(list(kept))
        if chosen < 0.55:
            del kept[key]
        elif chosen < 0.85:
            kept[key] = self.value()
        else:
            kept[self._key()] = self.value()
        return kept
