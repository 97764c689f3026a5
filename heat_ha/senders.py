# SPDX-License-Identifier: Apache-2.0
"""What monitoring systems post: whose body it is, what it says, and of which server.

``heat_ha.signals`` asks ``read`` about each body that names neither an action nor a member. The
table ``SENDERS`` has one row for each form that a body can have, ``WORDS`` what each word for a
state means. The page about alarms in the user guide prints both.

A word that the sender of such a body cannot send is refused, never guessed: a healthy member must
not be replaced because a monitoring system says that all is well.
"""

import collections.abc
import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence

from heat_ha import exceptions, quoting

Body = Mapping[str, object]


class AlarmState(enum.Enum):
    """What the alarm says of the thing that it watches."""

    ALARM = 'alarm'
    OK = 'ok'
    INSUFFICIENT_DATA = 'insufficient data'


# The words for a state, in lower case. Those that ask for nothing yet (a warning, an alarm that is
# pending or paused) count as ok. Only what says that nobody could look counts as insufficient data.
WORDS: Mapping[str, AlarmState] = {
    # Aodh, administrator guide: alarms. Monasca, API specification: alarms.
    'alarm': AlarmState.ALARM,
    'ok': AlarmState.OK,
    'insufficient data': AlarmState.INSUFFICIENT_DATA,
    'undetermined': AlarmState.INSUFFICIENT_DATA,
    # Heat, the CloudWatch that it had before Aodh.
    'normal': AlarmState.OK,
    'insufficient_data': AlarmState.INSUFFICIENT_DATA,
    'nodata': AlarmState.INSUFFICIENT_DATA,
    # Prometheus Alertmanager, configuration: webhook_config.
    'firing': AlarmState.ALARM,
    'resolved': AlarmState.OK,
    # Grafana 7, alert notifications: webhook.
    'alerting': AlarmState.ALARM,
    'pending': AlarmState.OK,
    'paused': AlarmState.OK,
    'no_data': AlarmState.INSUFFICIENT_DATA,
    # Consul, health checks. A service with a warning is still handed out to clients.
    'critical': AlarmState.ALARM,
    'warning': AlarmState.OK,
    'passing': AlarmState.OK,
    # Kapacitor, alert node: levels.
    'info': AlarmState.OK,
    # Nagios, list of macros: HOSTSTATE, SERVICESTATE and NOTIFICATIONTYPE; Icinga has the same. A
    # host is unreachable when it cannot be seen behind another one.
    'down': AlarmState.ALARM,
    'problem': AlarmState.ALARM,
    'up': AlarmState.OK,
    'recovery': AlarmState.OK,
    'unreachable': AlarmState.INSUFFICIENT_DATA,
    'unknown': AlarmState.INSUFFICIENT_DATA,
    # Zabbix, supported macros: EVENT.VALUE of an event of a trigger.
    '1': AlarmState.ALARM,
    '0': AlarmState.OK,
    # Pacemaker, alert agents: CRM_alert_desc of an alert about a node.
    'lost': AlarmState.ALARM,
    'member': AlarmState.OK,
    # Vitrage, notifier: the types of notifications about alarms.
    'vitrage.alarm.activate': AlarmState.ALARM,
    'vitrage.deduced_alarm.activate': AlarmState.ALARM,
    'vitrage.alarm.deactivate': AlarmState.OK,
    'vitrage.deduced_alarm.deactivate': AlarmState.OK,
}

# Where labels, tags and the bodies that an operator writes may name the server, the surest first.
# Not ``instance``: in Prometheus that is the address of an exporter, which may run elsewhere.
SERVER_KEYS = ('server_id', 'instance_id', 'resource_id', 'member')

# Ceilometer puts a server's id into these traits of its events, the surest one first:
# ``resource_id`` is a volume's or a port's id in the events of other services.
_SERVER_TRAITS = ('instance_id', 'resource_id')

# Grafana, no data and error states: it sends these as firing when it could not evaluate a rule.
NO_DATA_ALERTS = ('DatasourceNoData', 'DatasourceError')


@dataclasses.dataclass(frozen=True)
class Alert:
    """A state, of which server (None where it names no one), and whether it was sent before."""

    state: AlarmState
    member: str | None = None
    name: str = ''
    reason: str = ''
    is_repeat: bool = False


@dataclasses.dataclass(frozen=True)
class Sender:
    """One form of body: how it is recognised, which words it has, and how it is read.

    ``recognised_by`` and ``member_at`` are for the user guide. ``one_server`` says what makes the
    sender post about one server at a time.
    """

    name: str
    recognised_by: str
    words: tuple[str, ...]
    member_at: str
    is_from: Callable[[Body], bool]
    read: Callable[['Sender', Body], list[Alert]]
    one_server: str = 'Send one body a server'

    def state(self, value: object, key: str) -> AlarmState:
        """Return what the word under a key means.

        :raises exceptions.Refused: this sender has no such word.
        """
        word = value.lower() if isinstance(value, str) else None
        if word not in self.words:
            raise exceptions.Refused(
                f'{key} is {quoting.shown(value)}', f'Known: {", ".join(self.words)}'
            )
        return WORDS[word]


def read(body: Body) -> Alert:
    """Read what a body says, of one server at most.

    :raises exceptions.Refused: a known sender's body is not understood, has an unknown word for a
        state, or asks for something of several servers.
    """
    sender = next(s for s in SENDERS if s.is_from(body))
    return _as_one(sender.read(sender, body), sender)


def _as_one(alerts: Sequence[Alert], sender: Sender) -> Alert:
    """Return the one thing that all alerts of a body ask for.

    A signal is about one member. If some alerts were left out, nobody would ask for them again
    before the sender repeats itself, which may take hours, and nobody would know (S3). So a body
    about several servers is refused whole. An alert that names no server is about another one too:
    it asks for whichever member the policy finds.
    """
    for state in (AlarmState.ALARM, AlarmState.INSUFFICIENT_DATA):
        asking = [alert for alert in alerts if alert.state is state]
        if not asking:
            continue
        names = list(dict.fromkeys(alert.member for alert in asking))
        if len(names) > 1:
            first, second = (quoting.shown(n) if n else 'none' for n in names[:2])
            raise exceptions.Refused(
                f'the body names {len(names)} different servers: {first}, {second}'
                + (' ...' if len(names) > 2 else ''),
                sender.one_server,
            )
        return asking[0]
    members = {alert.member for alert in alerts}
    return alerts[0] if len(members) == 1 else dataclasses.replace(alerts[0], member=None)


# --- parts of bodies ------------------------------------------------------------------------


def _objects(value: object, key: str) -> list[Body]:
    """Return a list of JSON objects.

    :raises exceptions.Refused: it is something else.
    """
    if not isinstance(value, collections.abc.Sequence) or isinstance(value, str):
        raise exceptions.Refused(f'{key} is a {quoting.kind(value)}', 'Send a list of objects')
    return [_object(item, f'an item of {key}') for item in value]


def _object(value: object, key: str) -> Body:
    if not isinstance(value, collections.abc.Mapping):
        raise exceptions.Refused(f'{key} is a {quoting.kind(value)}', 'Send an object')
    return value


def _optional(value: object, key: str) -> list[Body]:
    return [] if value is None else _objects(value, key)


def _server(names: Body, keys: Sequence[str] = SERVER_KEYS) -> str | None:
    """Return the server that labels name, None if they name none. An empty label is no label.

    :raises exceptions.Refused: the name is not a text, or longer than any name.
    """
    for key in keys:
        value = names.get(key)
        if value is None or value == '':
            continue
        if not isinstance(value, str):
            raise exceptions.Refused(f'{key} is a {quoting.kind(value)}', 'Send a text')
        return quoting.within_length(value, key)
    return None


def _text(body: Body, *keys: str) -> str:
    return next((text for key in keys if (text := quoting.readable(body.get(key)))), '')


def _has(*keys: str) -> Callable[[Body], bool]:
    return lambda body: all(body.get(key) is not None for key in keys)


# --- one reader for each form ---------------------------------------------------------------


def _aodh(sender: Sender, body: Body) -> list[Alert]:
    return [_event_alert(sender.state(body['current'], 'current'), body)]


def _event_alert(state: AlarmState, body: Body, member: str | None = None) -> Alert:
    return Alert(
        state,
        _server_of_event(body.get('reason_data')) or member,
        _text(body, 'alarm_name'),
        _text(body, 'reason'),
        _is_repeat(body),
    )


def _is_repeat(body: Body) -> bool:
    """Whether Aodh sends a state again that was sent before; each event is one of its own."""
    before, now, data = body.get('previous'), body.get('current'), body.get('reason_data')
    is_event = isinstance(data, collections.abc.Mapping) and 'event' in data
    return isinstance(before, str) and str(now).lower() == before.lower() and not is_event


def _server_of_event(reason_data: object) -> str | None:
    """Find the server that an event alarm is about, None in alarms of other kinds."""
    if not isinstance(reason_data, collections.abc.Mapping):
        return None
    event = reason_data.get('event')
    if not isinstance(event, collections.abc.Mapping):
        return None
    traits = event.get('traits')
    if not isinstance(traits, collections.abc.Sequence) or isinstance(traits, str):
        return None
    values = {}
    for trait in traits:
        # Aodh passes Ceilometer's form on: [name, type, value].
        if isinstance(trait, collections.abc.Sequence) and len(trait) == 3:
            name, value = trait[0], trait[2]
            if isinstance(name, str) and isinstance(value, str) and value:
                values[name] = value
    for name in _SERVER_TRAITS:
        if name in values:
            return quoting.within_length(values[name], f'trait {name}')
    return None


def _alertmanager(sender: Sender, body: Body) -> list[Alert]:
    alerts = _objects(body['alerts'], 'alerts')
    if not alerts:
        raise exceptions.Refused('alerts is empty', 'Send at least one alert')
    truncated = body.get('truncatedAlerts')
    if truncated:
        raise exceptions.Refused(
            f'some alerts are left out: truncatedAlerts is {quoting.shown(truncated)}',
            f'Set no limit of alerts. {sender.one_server}',
        )
    # The state of a group follows from its alerts, so it is not believed; but it has to be known.
    for key, words in (('status', sender), ('state', GRAFANA_LEGACY)):
        if body.get(key) is not None:
            words.state(body[key], key)
    return [_labelled_alert(sender, alert) for alert in alerts]


def _labelled_alert(sender: Sender, alert: Body) -> Alert:
    state = sender.state(alert.get('status'), 'status of an alert')
    labels = _object(alert.get('labels'), 'labels of an alert')
    if state is AlarmState.ALARM and labels.get('alertname') in NO_DATA_ALERTS:
        state = AlarmState.INSUFFICIENT_DATA
    annotations = alert.get('annotations')
    if not isinstance(annotations, collections.abc.Mapping):
        annotations = {}
    return Alert(
        state,
        _server(labels),
        _text(labels, 'alertname'),
        _text(annotations, 'summary', 'description', 'message'),
    )


def _grafana_legacy(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['state'], 'state')
    tags = [_tags(match) for match in _optional(body.get('evalMatches'), 'evalMatches')]
    named = [_server(found) for found in tags] or [None]
    if not any(named):
        # Those of the rule itself.
        named = [_server(_tags(body))]
    name, reason = _text(body, 'ruleName', 'title'), _text(body, 'message')
    return [Alert(state, server, name, reason) for server in named]


def _tags(of: Body) -> Body:
    tags = of.get('tags')
    return tags if isinstance(tags, collections.abc.Mapping) else {}


def _monasca(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['state'], 'state')
    metrics = _optional(body.get('metrics'), 'metrics')
    named = [_server(_object(m.get('dimensions') or {}, 'dimensions')) for m in metrics] or [None]
    name, reason = _text(body, 'alarm_name'), _text(body, 'message')
    return [Alert(state, server, name, reason) for server in named]


def _zabbix(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(_figure(body['event_value']), 'event_value')
    source = body.get('event_source')
    if source is not None and _figure(source) != '0':
        raise exceptions.Refused(
            f'event_source is {quoting.shown(source)}', 'Send events of triggers only, source 0'
        )
    if _figure(body.get('event_update_status')) == '1':
        # Somebody acknowledged or commented a problem: it is the same one still.
        state = AlarmState.OK
    return [Alert(state, _server(body), _text(body, 'event_name'), _text(body, 'alert_message'))]


def _figure(value: object) -> object:
    """Take a number as the text that Zabbix's macros expand to."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _consul(sender: Sender, body: Body) -> list[Alert]:
    checks = [body] if 'CheckID' in body else _objects(body['checks'], 'checks')
    # A watch for critical checks posts none when all is well.
    return [_check(sender, check) for check in checks] or [Alert(AlarmState.OK)]


def _check(sender: Sender, check: Body) -> Alert:
    state = sender.state(check.get('Status'), 'Status of a check')
    check_id = check.get('CheckID')
    if isinstance(check_id, str) and check_id.startswith(('_node_maintenance', '_service_mainten')):
        # An operator put it into maintenance, which Consul reports as critical.
        state = AlarmState.OK
    return Alert(state, _server(check, ('Node',)), _text(check, 'Name'), _text(check, 'Output'))


def _pacemaker(sender: Sender, body: Body) -> list[Alert]:
    kind = body['CRM_alert_kind']
    if kind != 'node':
        raise exceptions.Refused(
            f'CRM_alert_kind is {quoting.shown(kind)}', 'Send alerts of nodes only: select_nodes'
        )
    desc = body.get('CRM_alert_desc')
    return [Alert(sender.state(desc, 'CRM_alert_desc'), _server(body, ('CRM_alert_node',)))]


def _is_from_vitrage(body: Body) -> bool:
    kind = body.get('notification')
    return isinstance(kind, str) and kind.startswith('vitrage.')


def _vitrage(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['notification'], 'notification')
    payload = _object(body.get('payload'), 'payload')
    resource = _object(payload.get('resource'), 'resource of the payload')
    kind = resource.get('vitrage_type')
    if kind != 'nova.instance':
        raise exceptions.Refused(
            f'vitrage_type of the resource is {quoting.shown(kind)}',
            'Send alarms of servers only: a regex_filter of vitrage_type nova.instance',
        )
    return [Alert(state, _server(resource, ('id',)), _text(payload, 'name'))]


def _kapacitor(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['level'], 'level')
    series = _optional(_object(body['data'], 'data').get('series'), 'series of the data')
    named = [_server(_tags(one)) for one in series] or [None]
    name, reason = _text(body, 'id'), _text(body, 'message')
    return [Alert(state, server, name, reason) for server in named]


def _other(sender: Sender, body: Body) -> list[Alert]:
    # The first that is there decides, as in Heat's own policies. Without any word for a state it is
    # an alarm, as they take it; a status that is not a word is often a code of HTTP.
    keys = [key for key in ('current', 'state') if body.get(key) is not None]
    if not keys and isinstance(body.get('status'), str):
        keys = ['status']
    state = sender.state(body[keys[0]], keys[0]) if keys else AlarmState.ALARM
    return [_event_alert(state, body, _server(body))]


# --- the table ------------------------------------------------------------------------------

_ALERTMANAGER_WORDS = ('firing', 'resolved')
_LABELS = 'a label ``server_id``, ``instance_id``, ``resource_id`` or ``member`` of the alert'
_TAGS = 'a tag ``server_id``, ``instance_id``, ``resource_id`` or ``member``'

GRAFANA_LEGACY = Sender(
    'Grafana, legacy alerts',
    '``ruleName`` and ``state``',
    ('alerting', 'ok', 'pending', 'paused', 'no_data', 'unknown'),
    f'{_TAGS} in ``evalMatches``, or of the rule',
    _has('ruleName', 'state'),
    _grafana_legacy,
    'Send one server an alert: a rule for each',
)

# The first row that recognises a body reads it.
SENDERS = (
    Sender(
        'Aodh',
        '``alarm_id`` and ``current``',
        ('alarm', 'ok', 'insufficient data', 'insufficient_data'),
        'event alarms: the trait ``instance_id``, or ``resource_id``; other alarms name no server',
        _has('alarm_id', 'current'),
        _aodh,
    ),
    Sender(
        'Grafana',
        '``alerts`` and ``orgId``',
        _ALERTMANAGER_WORDS,
        _LABELS,
        lambda body: 'alerts' in body and 'orgId' in body,
        _alertmanager,
        'Send one body a server: group by server_id in the notification policy',
    ),
    Sender(
        'Prometheus Alertmanager',
        '``alerts``',
        _ALERTMANAGER_WORDS,
        _LABELS,
        lambda body: 'alerts' in body,
        _alertmanager,
        'Send one body a server: group_by [server_id] in the route',
    ),
    GRAFANA_LEGACY,
    Sender(
        'Monasca',
        '``alarm_definition_id`` and ``state``',
        ('alarm', 'ok', 'undetermined'),
        'the dimension ``server_id``, ``instance_id``, ``resource_id`` or ``member`` of a metric',
        _has('alarm_definition_id', 'state'),
        _monasca,
        'Send one alarm a server: match_by resource_id in the alarm definition',
    ),
    Sender(
        'Zabbix',
        '``event_value``',
        ('1', '0'),
        '``server_id``',
        lambda body: 'event_value' in body,
        _zabbix,
    ),
    Sender(
        'Consul',
        '``checks``, or ``CheckID`` and ``Status``',
        ('critical', 'warning', 'passing'),
        '``Node``',
        lambda body: 'checks' in body or _has('CheckID', 'Status')(body),
        _consul,
        'Send the checks of one node a body',
    ),
    Sender(
        'Pacemaker',
        '``CRM_alert_kind``',
        ('lost', 'member'),
        '``CRM_alert_node``',
        lambda body: 'CRM_alert_kind' in body,
        _pacemaker,
    ),
    Sender(
        'Vitrage',
        '``notification`` that begins with ``vitrage.``',
        tuple(word for word in WORDS if word.startswith('vitrage.')),
        '``id`` of the resource',
        _is_from_vitrage,
        _vitrage,
    ),
    Sender(
        'Kapacitor',
        '``level`` and ``data``',
        ('critical', 'warning', 'info', 'ok'),
        f'{_TAGS} of a series',
        lambda body: isinstance(body.get('data'), Mapping) and 'level' in body,
        _kapacitor,
        'Send one alert a server: groupBy server_id in the task',
    ),
    Sender(
        'Any other',
        '``current``, ``state`` or ``status``; without them it is an alarm',
        tuple(w for w in WORDS if w not in ('1', '0', 'lost', 'member') and 'vitrage' not in w),
        '``server_id``, ``instance_id`` or ``resource_id``, or as in the event alarms of Aodh',
        lambda body: True,
        _other,
    ),
)
