# SPDX-License-Identifier: Apache-2.0
"""Parsing what others send about hosts: the border to untrusted senders. Pure.

Whatever comes in, the result is a list of reports or a refusal that names what was wrong.
"""

import collections.abc
import dataclasses
import datetime

from heat_ha import exceptions
from heat_ha.agent.model import Claimed
from heat_ha.signals import shown

# Nova's names of hosts have at most 255 characters.
MAX_NAME = 255
MAX_ALERTS = 500

_STATES = {'down': Claimed.DOWN, 'up': Claimed.UP}
_KEYS = {'host', 'state', 'reason'}


@dataclasses.dataclass(frozen=True)
class ParsedReport:
    """What a sender claims about one host."""

    host: str
    claimed: Claimed
    detail: str = ''


def of_notification(event_type: object, payload: object) -> ParsedReport | None:
    """Parse a versioned notification of Nova; None for those that are not about a host."""
    if event_type != 'service.update' or not isinstance(payload, collections.abc.Mapping):
        return None
    data = payload.get('nova_object.data')
    if not isinstance(data, collections.abc.Mapping) or data.get('binary') != 'nova-compute':
        return None
    host, forced = data.get('host'), data.get('forced_down')
    if not isinstance(host, str) or not 0 < len(host) <= MAX_NAME or not isinstance(forced, bool):
        return None
    if forced:
        return ParsedReport(host, Claimed.DOWN, 'forced_down')
    return ParsedReport(host, Claimed.SILENT, 'not forced_down')


def sent_at(text: object) -> float | None:
    """Parse the timestamp of a notification. :returns: Unix time; None for any other text."""
    try:
        found = datetime.datetime.fromisoformat(text if isinstance(text, str) else '')
        if found.tzinfo is None:
            # oslo.messaging writes UTC without a time zone.
            found = found.replace(tzinfo=datetime.timezone.utc)
        return found.timestamp()
    except (ValueError, OverflowError):
        return None


def of_body(body: object) -> list[ParsedReport]:
    """Parse the body of a webhook: our own form, Alertmanager's, or that of Masakari's monitors.

    :raises exceptions.Refused: it has another form.
    """
    if not isinstance(body, collections.abc.Mapping):
        raise exceptions.Refused('the body is not a JSON object')
    if 'alerts' in body:
        return _alertmanager(body['alerts'])
    if 'notification' in body:
        return _masakari(body['notification'])
    if unknown := sorted(str(k) for k in set(body) - _KEYS):
        raise exceptions.Refused(f'the body has the unknown key {shown(unknown[0])}')
    state = body.get('state')
    if not isinstance(state, str) or state not in _STATES:
        raise exceptions.Refused(f'state is {shown(state)}', 'Known: down, up')
    reason = body.get('reason')
    return [ParsedReport(_host(body.get('host')), _STATES[state], _text(reason))]


def _alertmanager(alerts: object) -> list[ParsedReport]:
    if not isinstance(alerts, collections.abc.Sequence) or isinstance(alerts, str):
        raise exceptions.Refused('alerts is not a list')
    if len(alerts) > MAX_ALERTS:
        raise exceptions.Refused(f'the body has {len(alerts)} alerts, more than {MAX_ALERTS}')
    return [_alert(alert) for alert in alerts]


def _alert(alert: object) -> ParsedReport:
    if not isinstance(alert, collections.abc.Mapping):
        raise exceptions.Refused('an alert is not a JSON object')
    labels = alert.get('labels')
    if not isinstance(labels, collections.abc.Mapping):
        raise exceptions.Refused('an alert has no labels')
    states = {'firing': Claimed.DOWN, 'resolved': Claimed.UP}
    status = alert.get('status')
    if not isinstance(status, str) or status not in states:
        raise exceptions.Refused(f'status is {shown(status)}', 'Known: firing, resolved')
    host = labels.get('host') or labels.get('instance')
    # Exporters are named with their port.
    bare = host.partition(':')[0] if isinstance(host, str) else host
    return ParsedReport(_host(bare), states[status], _text(labels.get('alertname')))


def _masakari(notification: object) -> list[ParsedReport]:
    if not isinstance(notification, collections.abc.Mapping):
        raise exceptions.Refused('notification is not a JSON object')
    if notification.get('type') != 'COMPUTE_HOST':
        raise exceptions.Refused(
            f'type is {shown(notification.get("type"))}', 'Only COMPUTE_HOST is acted on'
        )
    payload = notification.get('payload')
    event = payload.get('event') if isinstance(payload, collections.abc.Mapping) else None
    states = {'STOPPED': Claimed.DOWN, 'STARTED': Claimed.UP}
    if not isinstance(event, str) or event not in states:
        raise exceptions.Refused(f'event is {shown(event)}', 'Known: STOPPED, STARTED')
    return [ParsedReport(_host(notification.get('hostname')), states[event], 'masakari')]


def _host(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isprintable():
        raise exceptions.Refused(f'host is {shown(value)}', 'Send the name of the host in Nova')
    return value


def _text(value: object) -> str:
    return value[:200] if isinstance(value, str) and value.isprintable() else ''
