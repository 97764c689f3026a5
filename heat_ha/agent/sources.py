# SPDX-License-Identifier: Apache-2.0
"""What reports about hosts. Each source is an entry point under ``heat_ha.sources``."""

import abc
import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import oslo_messaging
import stevedore.driver
import stevedore.exception
from oslo_config import cfg
from oslo_log import log as logging
from oslo_messaging.notify import listener as notify_listener

from heat_ha import exceptions
from heat_ha.agent import metrics
from heat_ha.agent.rules import instance_reports, reports
from heat_ha.conf import agent as options

LOG = logging.getLogger(__name__)

NAMESPACE = 'heat_ha.sources'

# Notifications that are fetched at once, seconds for which a fetch waits for as many, and how many
# the broker may hand over before earlier ones are done with.
BATCH, BATCH_SECONDS, PREFETCH = 100, 0.2, 500

# The queue that the agents of a region share. A policy of the broker may bound it by this name.
QUEUE = 'heat-ha-agent'

Emit = Callable[[str, reports.ParsedReport], None]

EmitInstance = Callable[[instance_reports.InstanceReport], None]


class Source(abc.ABC):
    """Reports about hosts, from ``start`` to ``stop``.

    :param emit: called with the source's name and each report.
    """

    name: str
    # Whether its last report stays true until the next one. Otherwise it expires.
    is_lasting = False
    # Called with each guest that has ended, by a source that hears of guests. It must not wait.
    emit_instance: EmitInstance | None = None

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    @abc.abstractmethod
    def start(self) -> None:
        """Begin; whatever takes long runs in a thread of its own."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End what ``start`` began."""

    def problem(self) -> str:
        """Why the source cannot report now, '' when it can."""
        return ''


class ServicesApi(Source):
    """Nova's own list of its services, which the agent reads at each round anyway."""

    name = 'services_api'

    def start(self) -> None:
        """Do nothing: the agent asks Nova."""

    def stop(self) -> None:
        """Do nothing."""


class Webhook(Source):
    """Reports that others send to the agent's own HTTP address."""

    name = 'webhook'

    def start(self) -> None:
        """Do nothing: the agent's HTTP server hands over what it receives."""

    def stop(self) -> None:
        """Do nothing."""


class _Reader:
    """Reads notifications one by one, as oslo.messaging's server of batches wants it.

    The dispatcher of oslo.messaging gives up a whole batch for one malformed message. This one
    drops only that message.
    """

    supported_priorities = ('info',)

    def __init__(self, read: Callable[[Mapping[str, Any]], None]) -> None:
        self._read = read

    def dispatch(self, incoming: Sequence[Any]) -> set[Any]:
        """Read all messages. :returns: those to deliver again: none."""
        for one in incoming:
            try:
                self._read(one.message)
            except Exception:
                metrics.MALFORMED.inc()
                LOG.debug('A notification was not read', exc_info=True)
        return set()


class NovaNotifications(Source):
    """Nova's versioned notifications of its services, and of guests that ended.

    Everything that Nova does is on the same topic, thousands of messages a second in a big cloud.
    So messages are fetched by the batch, and most are dropped by their type.
    """

    name = 'nova_notifications'
    is_lasting = True

    def __init__(self, emit: Emit) -> None:
        super().__init__(emit)
        self._listeners: list[Any] = []
        self._valid = float('inf')

    def start(self) -> None:
        """Listen in threads."""
        own = cfg.CONF[options.GROUP]
        self._valid = own.report_valid
        # Without a bound the broker would hand over all its messages, into this memory. The option
        # exists when the broker is RabbitMQ; a value in heat.conf wins.
        with contextlib.suppress(cfg.NoSuchOptError, cfg.NoSuchGroupError):
            cfg.CONF.set_default('rabbit_qos_prefetch_count', PREFETCH, 'oslo_messaging_rabbit')
        # Nova's exchange must be named: by default it would be Heat's.
        target = oslo_messaging.Target(
            topic=own.notification_topic, exchange=own.notification_exchange
        )
        for url in own.notification_urls or [None]:
            made = notify_listener.BatchNotificationServer(
                oslo_messaging.get_notification_transport(cfg.CONF, url=url),
                [target],
                _Reader(self.read),
                executor='threading',
                allow_requeue=False,
                pool=QUEUE,
                batch_size=BATCH,
                batch_timeout=BATCH_SECONDS,
            )
            # One thread, so that messages are read in their order.
            made.start(override_pool_size=1)
            self._listeners.append(made)

    def stop(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            listener.stop()
            listener.wait()

    def read(self, message: Mapping[str, Any]) -> None:
        """Read one notification, and report what it claims; most are about nothing of interest."""
        kind, payload = message.get('event_type'), message.get('payload')
        parsed = reports.of_notification(kind, payload)
        ended = instance_reports.of_notification(kind, payload)
        if parsed is None and (ended is None or self.emit_instance is None):
            return
        sent = reports.moment(message.get('timestamp'))
        if sent is not None and self._is_too_old(sent):
            # The broker kept it while no agent ran: what it is about may be in another state now.
            what = parsed.host[:64] if parsed is not None else ended and ended.server
            LOG.info('source=%s about %r is too old: ignored', self.name, what)
            return
        if parsed is not None:
            self._emit(self.name, dataclasses.replace(parsed, said_at=sent))
        elif ended is not None and self.emit_instance is not None:
            self.emit_instance(ended)

    def _is_too_old(self, sent: float) -> bool:
        age = time.time() - sent
        metrics.NOTIFICATION_AGE.observe(max(age, 0.0))
        return age > self._valid


def load(names: Collection[str], emit: Emit) -> dict[str, Source]:
    """Make the sources of these names. :raises exceptions.Refused: one is not installed."""
    found = {}
    for name in names:
        try:
            manager: Any = stevedore.driver.DriverManager(NAMESPACE, name)
        except stevedore.exception.NoMatches as exc:
            raise exceptions.Refused(f'source {name!r} is not installed') from exc
        found[name] = manager.driver(emit)
    return found
