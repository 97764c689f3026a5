# SPDX-License-Identifier: Apache-2.0
"""What tells of hosts. Each source is an entry point under ``heat_ha.sources``."""

import abc
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import oslo_messaging
import stevedore.driver
import stevedore.exception
from oslo_config import cfg
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent import model, reports
from heat_ha.agent.model import Says
from heat_ha.conf import agent as options

LOG = logging.getLogger(__name__)

NAMESPACE = 'heat_ha.sources'

Tell = Callable[[str, reports.Told], None]


class Source(abc.ABC):
    """Tells of hosts, from ``start`` to ``stop``.

    :param tell: to be called with the source's name and what was told.
    """

    name: str
    # Whether what it told stays true until it tells something else; else it fades.
    is_lasting = False

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

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


class NovaNotifications(Source):
    """Nova's versioned notifications of its services."""

    name = 'nova_notifications'
    is_lasting = True

    # oslo.messaging drops what does not match before it is looked at.
    filter_rule = oslo_messaging.NotificationFilter(event_type=r'^service\.update$')

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._listeners: list[Any] = []

    def start(self) -> None:
        """Listen in threads."""
        own = cfg.CONF[options.GROUP]
        target = oslo_messaging.Target(topic=own.notification_topic)
        for url in own.notification_urls or [None]:
            transport = oslo_messaging.get_notification_transport(cfg.CONF, url=url)
            listener = oslo_messaging.get_notification_listener(
                transport, [target], [self], executor='threading', pool='heat-ha-agent'
            )
            listener.start()
            self._listeners.append(listener)

    def stop(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            listener.stop()
            listener.wait()

    def info(
        self, _context: Any, _publisher: str, event_type: str, payload: Any, _metadata: Any
    ) -> None:
        """Called by oslo.messaging for each notification; what is wrong is dropped."""
        try:
            told = reports.of_notification(event_type, payload)
            if told is not None:
                self._tell(self.name, told)
        except Exception:
            LOG.exception('A notification was not read')


def load(names: Collection[str], tell: Tell) -> dict[str, Source]:
    """Make the sources of these names. :raises exceptions.Refused: one is not installed."""
    found = {}
    for name in names:
        try:
            manager: Any = stevedore.driver.DriverManager(NAMESPACE, name)
        except stevedore.exception.NoMatches as exc:
            raise exceptions.Refused(f'source {name!r} is not installed') from exc
        found[name] = manager.driver(tell)
    return found


class Board:
    """What each source last said of each host. Threads write and read it."""

    def __init__(self, valid: float, lasting: Collection[str]) -> None:
        self._valid = valid
        self._lasting = frozenset(lasting)
        self._guard = threading.Lock()
        self._said: dict[tuple[str, str], model.Report] = {}

    def note(self, report: model.Report) -> None:
        """Take a report, unless a newer one of the same source is there."""
        key = report.source, report.host
        with self._guard:
            old = self._said.get(key)
            if old is None or old.at <= report.at:
                self._said[key] = report

    def said(
        self, host: str, mark: model.Mark | None, problems: Mapping[str, str], now: float
    ) -> dict[str, Says]:
        """What the sources say of a host; ``problems`` names those that cannot be asked."""
        found = {name: Says.COULD_NOT_ASK for name, why in problems.items() if why}
        if mark is not None:
            found.setdefault(ServicesApi.name, Says.UP if mark.is_up else Says.DOWN)
        with self._guard:
            for (source, name), report in self._said.items():
                is_old = source not in self._lasting and now - report.at > self._valid
                if name == host and not is_old:
                    found.setdefault(source, report.says)
        return found

    def forget(self, hosts: Collection[str], now: float) -> None:
        """Drop reports that are old or about hosts that Nova does not have: senders may lie."""
        with self._guard:
            self._said = {
                key: report
                for key, report in self._said.items()
                if report.host in hosts
                and (report.source in self._lasting or now - report.at <= self._valid)
            }

    def __len__(self) -> int:
        return len(self._said)


def stamp(source: str, told: reports.Told) -> model.Report:
    """What was told just now, as a report."""
    return model.Report(source, told.host, told.says, time.time(), told.wording)
