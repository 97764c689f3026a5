# SPDX-License-Identifier: Apache-2.0
"""What OpenStack itself posts: Aodh, Monasca, Vitrage, and the helper scripts inside servers."""

import collections.abc
import dataclasses

from heat_ha import exceptions, quoting
from heat_ha.senders import parts
from heat_ha.senders.model import AlarmState, Alert, Body, Sender
from heat_ha.senders.words import WORDS, some

# Ceilometer puts a server's id into these traits of its events, the surest one first:
# ``resource_id`` is a volume's or a port's id in the events of other services.
_SERVER_TRAITS = ('instance_id', 'resource_id')


def event_alert(
    state: AlarmState, body: Body, member: str | None = None, host: str | None = None
) -> Alert:
    """Return what a body in the form of Aodh says."""
    found = _server_of_event(body.get('reason_data')) or member
    return Alert(
        state,
        found,
        None if found else host,
        parts.text(body, 'alarm_name'),
        parts.text(body, 'reason'),
        _is_repeat(body),
        str(body.get('previous')).lower() == 'ok',
    )


def _aodh(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['current'], 'current')
    sick = parts.mapping(body.get('reason_data')).get('unhealthy_members')
    if state is AlarmState.ALARM and isinstance(sick, list) and len(sick) > 1:
        raise exceptions.Refused(
            f'{len(sick)} members of the pool are unhealthy, and the alarm does not say which '
            'servers they are',
            'Send an alarm a server, or {"member": NAME}',
        )
    one = parts.mapping(sick[0]) if isinstance(sick, list) and len(sick) == 1 else {}
    host = parts.host_name(one.get('address')) or parts.host_name(one.get('name'))
    # An alarm has one state, and names the members of its pool while they are unhealthy.
    return [dataclasses.replace(event_alert(state, body, host=host), is_one=True)]


def _is_repeat(body: Body) -> bool:
    """Whether Aodh sends a state again that was sent before; each event is one of its own."""
    before, now, data = body.get('previous'), body.get('current'), body.get('reason_data')
    is_event = isinstance(data, collections.abc.Mapping) and 'event' in data
    return isinstance(before, str) and str(now).lower() == before.lower() and not is_event


def _server_of_event(reason_data: object) -> str | None:
    """Find the server that an event alarm is about, None in alarms of other kinds."""
    traits = parts.mapping(parts.mapping(reason_data).get('event')).get('traits')
    if not isinstance(traits, collections.abc.Sequence) or isinstance(traits, str):
        return None
    values = {}
    for trait in traits:
        # Aodh passes Ceilometer's form on: [name, type, value]. Its API has objects.
        if isinstance(trait, collections.abc.Mapping):
            trait = (trait.get('name'), trait.get('type'), trait.get('value'))
        if isinstance(trait, collections.abc.Sequence) and len(trait) == 3:
            name, value = trait[0], trait[2]
            if isinstance(name, str) and isinstance(value, str) and value:
                values[name] = value
    for name in _SERVER_TRAITS:
        if name in values:
            return quoting.within_length(values[name], f'trait {name}')
    return None


def _monasca(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['state'], 'state')
    metrics = parts.optional(body.get('metrics'), 'metrics')
    named = [
        parts.named(parts.object_of(m.get('dimensions') or {}, 'dimensions')) for m in metrics
    ] or [parts.Named()]
    name, reason = parts.text(body, 'alarm_name'), parts.text(body, 'message')
    return [Alert(state, *one, name, reason) for one in named]


def _is_from_vitrage(body: Body) -> bool:
    kind = body.get('notification')
    return isinstance(kind, str) and kind.startswith('vitrage.')


def _vitrage(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['notification'], 'notification')
    payload = parts.object_of(body.get('payload'), 'payload')
    resource = parts.object_of(payload.get('resource'), 'resource of the payload')
    kind = resource.get('vitrage_type')
    if kind != 'nova.instance':
        raise exceptions.Refused(
            f'vitrage_type of the resource is {quoting.shown(kind)}',
            'Send alarms of servers only: a regex_filter of vitrage_type nova.instance',
        )
    server, name = parts.server(resource, ('id',)), parts.text(payload, 'name')
    return [Alert(state, server, name=name)]


def _wait_condition(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['Status'], 'Status')
    return [Alert(state, name='cfn-signal', reason=parts.text(body, 'Reason'))]


AODH = Sender(
    'Aodh',
    '``alarm_id`` and ``current``',
    some('alarm', 'ok', 'insufficient data', 'insufficient_data'),
    'event alarms: the trait ``instance_id``, or ``resource_id``; other alarms name no server',
    lambda body: 'alarm_id' in body and 'current' in body,
    _aodh,
)
MONASCA = Sender(
    'Monasca',
    '``alarm_definition_id`` and ``state``',
    some('alarm', 'ok', 'undetermined'),
    'a dimension of a metric, as labels',
    parts.has('alarm_definition_id', 'state'),
    _monasca,
    'Send one alarm a server: match_by resource_id in the alarm definition',
)
VITRAGE = Sender(
    'Vitrage',
    '``notification`` that begins with ``vitrage.``',
    some(*(word for word in WORDS if word.startswith('vitrage.'))),
    '``id`` of the resource',
    _is_from_vitrage,
    _vitrage,
)
WAIT_CONDITION = Sender(
    'cfn-signal',
    '``UniqueId`` and ``Status``',
    some('failure', 'success'),
    'names no server',
    parts.has('UniqueId', 'Status'),
    _wait_condition,
)
