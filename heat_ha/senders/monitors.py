# SPDX-License-Identifier: Apache-2.0
"""What programs post that watch servers: Zabbix, Consul, Pacemaker, Kapacitor, InfluxDB, Sensu."""

from collections.abc import Callable, Mapping

from heat_ha import exceptions, quoting
from heat_ha.senders import parts
from heat_ha.senders.model import AlarmState, Alert, Body, Sender
from heat_ha.senders.words import some

# Of a node or a service; a service's id follows after a colon.
_NODE_MAINTENANCE, _SERVICE_MAINTENANCE = '_node_maintenance', '_service_maintenance'


def _zabbix(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['event_value'], 'event_value')
    source = body.get('event_source')
    if source is not None and str(source).strip() != '0':
        raise exceptions.Refused(
            f'event_source is {quoting.shown(source)}', 'Send events of triggers only, source 0'
        )
    if str(body.get('event_update_status')).strip() == '1':
        # Somebody acknowledged or commented a problem: it is the same one still.
        state = AlarmState.OK
    name, reason = parts.text(body, 'event_name'), parts.text(body, 'alert_message')
    return [Alert(state, *parts.named_beside(body), name, reason)]


def maintenance(checks: list[Body]) -> Callable[[Body], bool]:
    """Return what says whether the node or the service of a check of Consul is in maintenance.

    Consul reports a maintenance as one more check, which is critical.

    :param checks: all that were posted together.
    """
    marked = {
        (parts.text(check, 'Node'), parts.text(check, 'CheckID'))
        for check in checks
        if check.get('Status') == 'critical'
    }

    def rests(check: Body) -> bool:
        node, check_id = parts.text(check, 'Node'), parts.text(check, 'CheckID')
        service = f'{_SERVICE_MAINTENANCE}:{parts.text(check, "ServiceID")}'
        return check_id.startswith(
            (_NODE_MAINTENANCE, _SERVICE_MAINTENANCE)
        ) or not marked.isdisjoint({(node, _NODE_MAINTENANCE), (node, service)})

    return rests


def _consul(sender: Sender, body: Body) -> list[Alert]:
    checks = [body] if 'CheckID' in body else parts.objects(body['checks'], 'checks')
    rests = maintenance(checks)
    # A watch for critical checks posts none when all is well.
    return [_check(sender, check, rests(check)) for check in checks] or [Alert(AlarmState.OK)]


def _check(sender: Sender, check: Body, rests: bool) -> Alert:
    state = sender.state(check.get('Status'), 'Status of a check')
    server = parts.server(check, ('Node',))
    name, reason = parts.text(check, 'Name'), parts.text(check, 'Output')
    return Alert(AlarmState.OK if rests else state, server, name=name, reason=reason)


def _pacemaker(sender: Sender, body: Body) -> list[Alert]:
    kind = body['CRM_alert_kind']
    if kind != 'node':
        raise exceptions.Refused(
            f'CRM_alert_kind is {quoting.shown(kind)}', 'Send alerts of nodes only: select_nodes'
        )
    desc = body.get('CRM_alert_desc')
    return [Alert(sender.state(desc, 'CRM_alert_desc'), parts.server(body, ('CRM_alert_node',)))]


def _kapacitor(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['level'], 'level')
    data = parts.object_of(body['data'], 'data')
    series = parts.optional(data.get('series'), 'series of the data')
    named = [parts.named(parts.tags(one)) for one in series] or [parts.Named()]
    name, reason = parts.text(body, 'id'), parts.text(body, 'message')
    return [Alert(state, *one, name, reason) for one in named]


def _influxdb(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['_level'], '_level')
    name, reason = parts.text(body, '_check_name'), parts.text(body, '_message')
    return [Alert(state, *parts.named(body), name, reason)]


def _is_from_sensu(body: Body) -> bool:
    return all(isinstance(body.get(key), Mapping) for key in ('check', 'entity'))


def _sensu(sender: Sender, body: Body) -> list[Alert]:
    check, entity = (parts.object_of(body[key], key) for key in ('check', 'entity'))
    state = sender.state(check.get('status'), 'status of the check')
    if check.get('state') == 'flapping' or parts.flag(check.get('is_silenced'), 'is_silenced'):
        state = AlarmState.OK
    about = parts.mapping(entity.get('metadata'))
    named = parts.labelled(parts.labels_of(about.get('labels'))) or parts.server(about, ('name',))
    name = parts.text(parts.mapping(check.get('metadata')), 'name')
    return [Alert(state, named, name=name, reason=parts.text(check, 'output'))]


ZABBIX = Sender(
    'Zabbix',
    '``event_value``',
    some('1', '0'),
    '``server_id``, or another key, as labels',
    lambda body: 'event_value' in body,
    _zabbix,
)
CONSUL = Sender(
    'Consul',
    '``checks``, or ``CheckID`` and ``Status``',
    some('critical', 'warning', 'passing', 'maintenance'),
    '``Node``',
    lambda body: 'checks' in body or parts.has('CheckID', 'Status')(body),
    _consul,
    'Send the checks of one node a body',
)
PACEMAKER = Sender(
    'Pacemaker',
    '``CRM_alert_kind``',
    some('lost', 'member'),
    '``CRM_alert_node``',
    lambda body: 'CRM_alert_kind' in body,
    _pacemaker,
)
KAPACITOR = Sender(
    'Kapacitor',
    '``level`` and ``data``',
    some('critical', 'warning', 'info', 'ok'),
    'a tag of a series, as labels',
    lambda body: isinstance(body.get('data'), Mapping) and 'level' in body,
    _kapacitor,
    'Send one alert a server: groupBy server_id in the task',
)
INFLUXDB = Sender(
    'InfluxDB',
    '``_level``',
    some('crit', 'warn', 'info', 'ok', 'unknown'),
    'a tag, as labels',
    lambda body: '_level' in body,
    _influxdb,
)
SENSU = Sender(
    'Sensu Go',
    '``check`` and ``entity``',
    # Exit codes of Nagios's plugins; all above are unknown as well.
    {
        '2': AlarmState.ALARM,
        '0': AlarmState.OK,
        '1': AlarmState.OK,
        '3': AlarmState.INSUFFICIENT_DATA,
    },
    'a label of the entity, or its name',
    _is_from_sensu,
    _sensu,
)
