# SPDX-License-Identifier: Apache-2.0
"""What posts to the webhook about hosts: whose body it is, and what it claims of which host. Pure.

The table ``SENDERS`` has one row for each form of body. The page about the agent prints it. What
monitoring systems post to policies, about servers, is in ``heat_ha.senders``.

Only what a row names as a death is one. Anything else that a sender may post is ignored, with a
reason that the answer shows, or refused. One item of a body that is refused takes no other along.
"""

import collections.abc
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

from heat_ha import exceptions, quoting, senders
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import json_bodies, reports
from heat_ha.agent.rules.host_names import MAX_NAME
from heat_ha.agent.rules.reports import ParsedReport
from heat_ha.agent.rules.sender_settings import SenderSettings

# A body has at most 256 KiB; this bounds what many tiny items cost.
MAX_ITEMS = 5000

# What is read item by item.
_LISTS = ('alerts', 'checks')

Body = Mapping[str, object]


@dataclasses.dataclass(frozen=True)
class Ignored:
    """An item that says nothing about the life of a host, and why."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a body says: reports, and the reasons for what is no report."""

    reports: tuple[ParsedReport, ...] = ()
    ignored: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Sender:
    """One form of body: how it is recognised, what it means, and how it is read.

    ``recognised_by``, ``host_at``, ``down``, ``up`` and ``ignored`` are for the guide.
    """

    name: str
    recognised_by: str
    host_at: str
    down: str
    up: str
    ignored: str
    is_from: Callable[[Body], bool]
    read: Callable[[Body, SenderSettings], Reading]


def read(body: object, settings: SenderSettings) -> Reading:
    """Read what a body claims.

    :raises exceptions.Refused: nothing of it is understood.
    """
    if isinstance(body, collections.abc.Sequence) and not isinstance(body, str):
        # A watch of Consul posts the bare list.
        body = {'checks': body}
    if not isinstance(body, collections.abc.Mapping):
        raise exceptions.Refused(f'the body is a {quoting.kind(body)}', 'Send a JSON object')
    sender = next((row for row in SENDERS if row.is_from(body)), None)
    if sender is None:
        raise exceptions.Refused(
            'the body is of no known sender',
            'Send {"host": NAME, "state": "down" or "up"}, or what '
            + ', '.join(row.name for row in SENDERS[:-1])
            + ' send',
        )
    # One item that is not in order takes no other along.
    if isinstance(body, json_bodies.Doubled):
        json_bodies.refuse_doubled(body, 'the body')
    json_bodies.refuse_doubled({k: v for k, v in body.items() if k not in _LISTS}, 'the body')
    found = sender.read(body, settings)
    if found.refused and not found.reports and not found.ignored:
        more = f' (and {len(found.refused) - 1} more)' if len(found.refused) > 1 else ''
        raise exceptions.Refused(found.refused[0] + more)
    return found


# --- parts of bodies ------------------------------------------------------------------------


def _each(
    items: object, key: str, read_one: Callable[[Body], ParsedReport | Ignored], more: str = ''
) -> Reading:
    """Read each item by itself. :param more: what is refused beside the items."""
    if not isinstance(items, collections.abc.Sequence) or isinstance(items, str):
        raise exceptions.Refused(f'{key} is a {quoting.kind(items)}', 'Send a list of objects')
    told: list[ParsedReport] = []
    ignored = [] if items else [f'{key} is empty']
    refused = [more] if more else []
    for item in items[:MAX_ITEMS]:
        try:
            json_bodies.refuse_doubled(item, f'an item of {key}')
            found = read_one(_object(item, f'an item of {key}'))
        except exceptions.Refused as exc:
            refused.append(str(exc))
            continue
        if isinstance(found, Ignored):
            ignored.append(found.reason)
        else:
            told.append(found)
    if len(items) > MAX_ITEMS:
        refused.append(f'{key} has {len(items)} items; those after {MAX_ITEMS} are not read')
    return Reading(tuple(told), tuple(ignored), tuple(refused))


def _only(found: ParsedReport | Ignored) -> Reading:
    if isinstance(found, Ignored):
        return Reading(ignored=(found.reason,))
    return Reading((found,))


def _object(value: object, key: str) -> Body:
    if not isinstance(value, collections.abc.Mapping):
        raise exceptions.Refused(f'{key} is a {quoting.kind(value)}', 'Send an object')
    return value


def _word(body: Body, key: str, known: Sequence[str], where: str = '') -> str:
    """Return one of the words that a sender has for something, as it is in ``known``."""
    value = body.get(key)
    found = {word.lower(): word for word in known}
    word = found.get(value.strip().lower()) if isinstance(value, str) else None
    if word is None:
        raise exceptions.Refused(
            f'{key}{where} is {quoting.shown(value)}', f'Known: {", ".join(known)}'
        )
    return word


def _optional_word(body: Body, key: str, known: Sequence[str]) -> str:
    return 'not sent' if body.get(key) is None else _word(body, key, known)


def _host(value: object, key: str) -> str:
    value = value.strip() if isinstance(value, str) else value
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isprintable():
        raise exceptions.Refused(
            f'{key} is {quoting.shown(value)}', 'Send the name of the host in Nova'
        )
    return value


def _shown(value: object) -> str:
    return quoting.shorten(value, 200) if isinstance(value, str) else ''


# --- one reader for each form ---------------------------------------------------------------


def _alerts(body: Body, settings: SenderSettings) -> Reading:
    left_out = body.get('truncatedAlerts')
    is_whole = left_out is None or (left_out == 0 and not isinstance(left_out, bool))
    return _each(
        body['alerts'],
        'alerts',
        lambda alert: _alert(alert, settings),
        ''
        if is_whole
        else f'some alerts are left out: truncatedAlerts is {quoting.shown(left_out)}. '
        'Set max_alerts of the receiver to 0',
    )


def _alert(alert: Body, settings: SenderSettings) -> ParsedReport | Ignored:
    labels = _object(alert.get('labels'), 'labels of an alert')
    is_firing = _word(alert, 'status', ('firing', 'resolved'), ' of an alert') == 'firing'
    name = labels.get('alertname')
    if name in senders.TEST_ALERTS:
        return Ignored(f'alert {quoting.shown(name)} is a test of its sender')
    if is_firing and senders.lacks_data(labels, alert.get('annotations')):
        return Ignored(f'alert {quoting.shown(name)}: its rule could not be evaluated')
    if not settings.means_a_death(labels):
        return Ignored(f'alert {quoting.shown(name)} is not among down_alerts of this sender')
    key = next((key for key in settings.host_labels if labels.get(key) not in (None, '')), None)
    if key is None:
        raise exceptions.Refused(
            f'alert {quoting.shown(name)} has no label {" or ".join(settings.host_labels)}',
            'Name the label with the host in host_labels of this sender',
        )
    return ParsedReport(
        _host(labels[key], f'label {key}'),
        Claimed.DOWN if is_firing else Claimed.RESOLVED,
        _shown(name),
        reports.moment(alert.get('startsAt' if is_firing else 'endsAt')),
        thing=_fingerprint(alert, labels),
    )


def _fingerprint(alert: Body, labels: Body) -> str:
    """What tells two alerts about one host apart."""
    own = alert.get('fingerprint')
    if isinstance(own, str) and 0 < len(own) <= 64 and own.isprintable():
        return own
    text = json.dumps(sorted((str(key), str(value)) for key, value in labels.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _masakari(body: Body, settings: SenderSettings) -> Reading:
    told = _object(body['notification'], 'notification')
    kind = _word(told, 'type', ('COMPUTE_HOST', 'PROCESS', 'VM'))
    payload = _object(told.get('payload'), 'payload')
    if kind != 'COMPUTE_HOST':
        return _only(Ignored(f'notification of type {kind}: the host lives'))
    event = _word(payload, 'event', ('STOPPED', 'STARTED'))
    cluster = _optional_word(payload, 'cluster_status', ('OFFLINE', 'ONLINE'))
    status = _optional_word(payload, 'host_status', ('NORMAL', 'UNKNOWN'))
    claimed = _MASAKARI.get((event, cluster, status))
    if claimed is None:
        return _only(
            Ignored(f'event {event}, cluster_status {cluster}, host_status {status}: no proof')
        )
    host = _host(told.get('hostname'), 'hostname')
    sent = reports.moment(told.get('generated_time'))
    return _only(ParsedReport(host, claimed, 'masakari', sent, is_event=sent is not None))


# Event, cluster_status, host_status. NORMAL of a host that stopped: its power was seen to be off,
# or the monitor is not configured to look. UNKNOWN: it looked, and could not see it.
_MASAKARI = {
    ('STOPPED', 'OFFLINE', 'NORMAL'): Claimed.DOWN,
    ('STARTED', 'ONLINE', 'NORMAL'): Claimed.UP,
}


def _consul(body: Body, settings: SenderSettings) -> Reading:
    checks = [body] if 'CheckID' in body else body['checks']
    items = checks if isinstance(checks, list) else []
    rests = senders.maintenance([check for check in items if isinstance(check, dict)])
    return _each(checks, 'checks', lambda check: _check(check, rests(check)))


def _check(check: Body, rests: bool) -> ParsedReport | Ignored:
    name = check.get('CheckID')
    if not isinstance(name, str):
        raise exceptions.Refused(
            f'CheckID is {quoting.shown(name)}', 'Send what a watch of type checks hands over'
        )
    status = _word(check, 'Status', ('critical', 'warning', 'passing'), ' of a check')
    if name != 'serfHealth':
        return Ignored(f'check {quoting.shown(name)}: only serfHealth is about the host itself')
    if status == 'warning':
        return Ignored('serfHealth is warning: the host still answers')
    if rests and status == 'critical':
        return Ignored('serfHealth of a node that is in maintenance: an operator is at work on it')
    claimed = Claimed.DOWN if status == 'critical' else Claimed.UP
    return ParsedReport(_host(check.get('Node'), 'Node'), claimed, 'serfHealth')


def _pacemaker(body: Body, settings: SenderSettings) -> Reading:
    kind = _word(body, 'CRM_alert_kind', ('fencing', 'node', 'resource', 'attribute'))
    if kind in ('resource', 'attribute'):
        return _only(Ignored(f'alert of kind {kind}: it is not about a host'))
    claimed = (_fencing if kind == 'fencing' else _node)(body, settings)
    if isinstance(claimed, Ignored):
        return _only(claimed)
    sent = _epoch(body.get('CRM_alert_timestamp_epoch'))
    return _only(
        ParsedReport(
            _host(body.get('CRM_alert_node'), 'CRM_alert_node'),
            claimed,
            f'pacemaker: {_shown(body.get("CRM_alert_desc"))}',
            sent,
            is_event=sent is not None,
        )
    )


def _fencing(body: Body, settings: SenderSettings) -> Claimed | Ignored:
    task, code = body.get('CRM_alert_task'), body.get('CRM_alert_rc')
    if task not in ('off', 'reboot'):
        return Ignored(f'fencing with CRM_alert_task {quoting.shown(task)}: it ends no host')
    if isinstance(code, bool) or str(code) != '0':
        return Ignored(f'fencing that failed: CRM_alert_rc is {quoting.shown(code)}')
    return Claimed.DOWN


def _node(body: Body, settings: SenderSettings) -> Claimed | Ignored:
    if _word(body, 'CRM_alert_desc', ('lost', 'member')) == 'member':
        return Claimed.UP
    if settings.lost_is_down:
        return Claimed.DOWN
    return Ignored('a node that is lost and not fenced yet: lost_is_down of this sender is false')


def _epoch(value: object) -> float | None:
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ''
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _nova(body: Body, settings: SenderSettings) -> Reading:
    found = reports.of_notification(body['event_type'], body['payload'])
    if found is None:
        kind = quoting.shown(body['event_type'])
        return _only(Ignored(f'notification {kind}: it is not about forced_down of a nova-compute'))
    return _only(dataclasses.replace(found, said_at=reports.moment(body.get('timestamp'))))


_OWN_KEYS = ('host', 'state', 'reason', 'time')


def _own(body: Body, settings: SenderSettings) -> Reading:
    if unknown := sorted(str(key) for key in body if key not in _OWN_KEYS):
        raise exceptions.Refused(
            f'the body has the unknown key {quoting.shown(unknown[0])}',
            f'Known: {", ".join(_OWN_KEYS)}',
        )
    state = _word(body, 'state', ('down', 'up'))
    sent = reports.moment(body.get('time'))
    if body.get('time') is not None and sent is None:
        raise exceptions.Refused(
            f'time is {quoting.shown(body["time"])}', 'Send a time such as 2026-11-01T10:00:00Z'
        )
    return _only(
        ParsedReport(
            _host(body.get('host'), 'host'),
            Claimed.DOWN if state == 'down' else Claimed.UP,
            _shown(body.get('reason')),
            sent,
            is_event=sent is not None,
        )
    )


# --- the table ------------------------------------------------------------------------------

_DOWN_ALERTS = 'an alert of ``down_alerts`` that is ``firing``'
_RESOLVED = '``resolved``, once the host has sent Nova a heartbeat since'

# The first row that recognises a body reads it.
SENDERS = (
    Sender(
        'Prometheus Alertmanager and Grafana',
        '``alerts``',
        'the first of ``host_labels``: ``hostname``, then ``host``',
        _DOWN_ALERTS,
        _RESOLVED,
        'all other alerts, tests, and rules that could not be evaluated',
        lambda body: 'alerts' in body,
        _alerts,
    ),
    Sender(
        "Masakari's monitors",
        '``notification``',
        '``hostname``',
        '``COMPUTE_HOST`` with ``STOPPED``, ``OFFLINE`` and ``NORMAL``',
        '``COMPUTE_HOST`` with ``STARTED``, ``ONLINE`` and ``NORMAL``',
        '``PROCESS``, ``VM``, ``host_status: UNKNOWN``, and any other mixture',
        lambda body: 'notification' in body,
        _masakari,
    ),
    Sender(
        'Consul',
        'a list, ``checks``, or ``CheckID``',
        '``Node``',
        '``serfHealth`` that is ``critical``',
        '``serfHealth`` that is ``passing``',
        'all other checks; ``warning``; ``critical`` of a node that is in maintenance',
        lambda body: 'checks' in body or 'CheckID' in body,
        _consul,
    ),
    Sender(
        'Pacemaker',
        '``CRM_alert_kind``',
        '``CRM_alert_node``',
        '``fencing`` by ``off`` or ``reboot`` with ``CRM_alert_rc`` 0; ``node`` that is ``lost``, '
        'only with ``lost_is_down``',
        '``node`` that is ``member``',
        '``resource``, ``attribute``, fencing that failed, ``on``',
        lambda body: 'CRM_alert_kind' in body,
        _pacemaker,
    ),
    Sender(
        'Nova',
        '``event_type`` and ``payload``; usually from the bus',
        '``host``',
        '``service.update`` of a ``nova-compute`` with ``forced_down: true``',
        'never; ``forced_down: false`` ends the claim',
        'all other notifications',
        lambda body: 'event_type' in body and 'payload' in body,
        _nova,
    ),
    Sender(
        'Any other',
        '``host`` or ``state``',
        '``host``',
        '``state: down``',
        '``state: up``',
        'nothing',
        lambda body: 'host' in body or 'state' in body,
        _own,
    ),
)
