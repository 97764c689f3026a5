# SPDX-License-Identifier: Apache-2.0
"""What tells of hosts. Each source is an entry point under ``heat_ha.sources``."""

import abc
import contextlib
import threading
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
from heat_ha.agent import metrics, model
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import reports
from heat_ha.cloud import model as cloud
from heat_ha.conf import agent as options

LOG = logging.getLogger(__name__)

NAMESPACE = 'heat_ha.sources'

# Notifications that are fetched at once, for how many seconds a fetch waits for as many, and how
# many the broker may hand over before those before are done with.
BATCH, BATCH_SECONDS, PREFETCH = 100, 0.2, 500

# What the agents of a region share. An operator bounds it by a policy of the broker, by this name.
QUEUE = 'heat-ha-agent'

Emit = Callable[[str, reports.ParsedReport], None]


class Source(abc.ABC):
    """Tells of hosts, from ``start`` to ``stop``.

    :param emit: to be called with the source's name and what was told.
    """

    name: str
    # Whether what it told stays true until it tells something else; else it fades.
    is_lasting = False

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    @abc.abstractmethod
    def start(self) -> None:
        """Begin; what takes long runs in a thread of its own."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End what ``start`` began."""

    def problem(self) -> str:
        """Why the source cannot tell now, '' when it can."""
        return ''


class ServicesApi(Source):
    """Nova's own list of its services, which the agent reads at each round anyway."""

    name = 'services_api'

    def start(self) -> None:
        """Nothing is to be begun."""

    def stop(self) -> None:
        """Nothing is to be ended."""


class Webhook(Source):
    """What others send to the agent's own HTTP address."""

    name = 'webhook'

    def start(self) -> None:
        """The agent's HTTP server hands over what it gets."""

    def stop(self) -> None:
        """Nothing is to be ended."""


class _Reader:
    """Reads notifications one by one, as oslo.messaging's server of batches wants it.

    Its own dispatcher gives a whole batch up for one message that is malformed; here that one is
    dropped.
    """

    supported_priorities = ('info',)

    def __init__(self, read: Callable[[Mapping[str, Any]], None]) -> None:
        self._read = read

    def dispatch(self, incoming: Sequence[Any]) -> set[Any]:
        """Read them all. :returns: those that should come again: none."""
        for one in incoming:
            try:
                self._read(one.message)
            except Exception:
                metrics.MALFORMED.inc()
                LOG.debug('A notification was not read', exc_info=True)
        return set()


class NovaNotifications(Source):
    """Nova's versioned notifications of its services.

    All that Nova does is on the same topic, thousands of messages a second in a big cloud. So they
    are fetched by the batch, and what is of no interest is dropped by its type.
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
        # Without a bound the broker would hand over all it has, to be kept in memory here. The
        # option is there when the broker is RabbitMQ; who has set it in heat.conf knows better.
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
            # One thread: they are read in their order, and are not waited for.
            made.start(override_pool_size=1)
            self._listeners.append(made)

    def stop(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            listener.stop()
            listener.wait()

    def read(self, message: Mapping[str, Any]) -> None:
        """Take one notification; most are of no interest."""
        told = reports.of_notification(message.get('event_type'), message.get('payload'))
        if told is None:
            return
        now = time.time()
        sent = reports.sent_at(message.get('timestamp'))
        if sent is not None:
            metrics.NOTIFICATION_AGE.observe(max(now - sent, 0.0))
            if now - sent > self._valid:
                # The broker kept it while no agent ran: it says nothing of the host now.
                LOG.info('source=%s host=%r is too old: ignored', self.name, told.host[:64])
                return
        self._emit(self.name, told)


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


class ReportTable:
    """What each source last said of each host. Threads write and read it."""

    def __init__(self, valid: float, lasting: Collection[str]) -> None:
        self._valid = valid
        self._lasting = frozenset(lasting)
        self._guard = threading.Lock()
        self._said: dict[str, dict[str, model.Report]] = {}

    def add(self, report: model.Report) -> bool:
        """Take a report, unless a newer one of the same source is there.

        :returns: whether it says anything else than the one before it.
        """
        with self._guard:
            of_host = self._said.setdefault(report.host, {})
            old = of_host.get(report.source)
            if old is not None and old.at > report.at:
                return False
            of_host[report.source] = report
            return (
                old is None or old.claimed is not report.claimed or not self._counts(old, report.at)
            )

    def claims(
        self,
        host: str,
        service: cloud.ComputeService | None,
        problems: Mapping[str, str],
        now: float,
        since: float = 0.0,
    ) -> dict[str, Claimed]:
        """What the sources say of a host.

        :param problems: names those that cannot be asked, with the reason.
        :param since: what was reported before that counts no more.
        """
        found = {name: Claimed.COULD_NOT_ASK for name, why in problems.items() if why}
        if service is not None:
            found.setdefault(ServicesApi.name, Claimed.UP if service.is_up else Claimed.DOWN)
        with self._guard:
            for source, report in self._said.get(host, {}).items():
                if report.at > since and self._counts(report, now):
                    found.setdefault(source, report.claimed)
        return found

    def expire(self, hosts: Collection[str], now: float) -> None:
        """Drop reports that are old or about hosts that Nova does not have: senders may lie."""
        with self._guard:
            self._said = {
                host: {source: r for source, r in of_host.items() if self._counts(r, now)}
                for host, of_host in self._said.items()
                if host in hosts
            }

    def _counts(self, report: model.Report, now: float) -> bool:
        return report.source in self._lasting or now - report.at <= self._valid

    def __len__(self) -> int:
        return sum(len(of_host) for of_host in self._said.values())


def stamp(source: str, told: reports.ParsedReport) -> model.Report:
    """What was told just now, as a report."""
    return model.Report(source, told.host, told.claimed, time.time(), told.detail)
