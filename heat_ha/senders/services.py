# SPDX-License-Identifier: Apache-2.0
"""What services post that watch from outside, or that people on call are told by."""

from collections.abc import Mapping

from heat_ha import exceptions
from heat_ha.senders import parts
from heat_ha.senders.model import AlarmState, Alert, Body, Sender, Words
from heat_ha.senders.words import some


def has_own_action(body: Body) -> bool:
    """Whether the key ``action`` is the sender's own, and asks a policy for nothing."""
    return isinstance(body.get('alert'), Mapping) and isinstance(body.get('action'), str)


def _words(alarm: str, over: str) -> Words:
    return {
        **dict.fromkeys(alarm.split(), AlarmState.ALARM),
        **dict.fromkeys(over.split(), AlarmState.OK),
    }


def _pagerduty(sender: Sender, body: Body) -> list[Alert]:
    event = parts.object_of(body['event'], 'event')
    kind, data = event.get('event_type'), parts.mapping(event.get('data'))
    if kind == 'pagey.ping':
        raise exceptions.Refused(
            "'pagey.ping' is a test of its sender, so nothing follows", 'It has arrived'
        )
    state = sender.state(kind, 'event_type')
    return [Alert(state, name='PagerDuty', reason=parts.text(data, 'title'))]


def _pagerduty_of_old(sender: Sender, body: Body) -> list[Alert]:
    found = {}
    for number, one in enumerate(parts.objects(body['messages'], 'messages')):
        incident = parts.mapping(one.get('incident'))
        state = sender.state(one.get('event'), 'event of a message')
        # Of several messages about an incident the last one counts.
        key = parts.text(incident, 'id') or number
        title = parts.text(incident, 'title')
        found[key] = Alert(state, name='PagerDuty', reason=title)
    return list(found.values())


def _pagerduty_event(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['event_action'], 'event_action')
    payload = parts.mapping(body.get('payload'))
    named = parts.named(parts.mapping(payload.get('custom_details')))
    return [Alert(state, *named, parts.text(body, 'dedup_key'), parts.text(payload, 'summary'))]


def _opsgenie(sender: Sender, body: Body) -> list[Alert]:
    alert = parts.object_of(body['alert'], 'alert')
    named = parts.named(parts.mapping(alert.get('details')))
    state = sender.state(body['action'], 'action')
    return [Alert(state, *named, parts.text(alert, 'alias'), parts.text(alert, 'message'))]


def _is_from_datadog(body: Body) -> bool:
    return 'alert_transition' in body or parts.has('event_type', 'org', 'last_updated')(body)


def _datadog(sender: Sender, body: Body) -> list[Alert]:
    if body.get('alert_transition') is None:
        raise exceptions.Refused(
            'the body has no alert_transition',
            'Add "alert_transition": "$ALERT_TRANSITION" to the payload of the webhook',
        )
    state = sender.state(body['alert_transition'], 'alert_transition')
    named, tagged = parts.named_beside(body), parts.named(parts.tags(body))
    if named.member is None and (tagged.member is not None or named.host is None):
        named = tagged
    return [Alert(state, *named, parts.text(body, 'alert_title', 'title'))]


def _uptime_kuma(sender: Sender, body: Body) -> list[Alert]:
    if body['heartbeat'] is None:
        raise exceptions.Refused(
            'heartbeat is a null: the body is a test, or about a certificate',
            'It has arrived, and asks for nothing',
        )
    beat = parts.object_of(body['heartbeat'], 'heartbeat')
    monitor = parts.mapping(body['monitor'])
    state = sender.state(beat.get('status'), 'status of the heartbeat')
    # The monitor has an id of its own.
    named = parts.named(parts.pairs(monitor.get('tags')), {'host': monitor.get('hostname')})
    return [Alert(state, *named, parts.text(monitor, 'name'), parts.text(beat, 'msg'))]


def _cloudwatch(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['NewStateValue'], 'NewStateValue')
    dimensions = parts.pairs(parts.mapping(body.get('Trigger')).get('Dimensions'))
    named = parts.named(dimensions)
    return [Alert(state, *named, parts.text(body, 'AlarmName'), parts.text(body, 'NewStateReason'))]


def _victorops(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['message_type'], 'message_type')
    name, reason = parts.text(body, 'entity_id'), parts.text(body, 'state_message')
    return [Alert(state, *parts.named_beside(body), name, reason)]


PAGERDUTY = Sender(
    'PagerDuty',
    '``event`` with ``event_type``',
    _words(
        'incident.triggered incident.reopened',
        'incident.resolved incident.acknowledged incident.unacknowledged incident.annotated '
        'incident.delegated incident.escalated incident.reassigned incident.priority_updated '
        'incident.responder.added incident.responder.replied incident.status_update_published',
    ),
    'names no server',
    lambda body: 'event_type' in parts.mapping(body.get('event')),
    _pagerduty,
)
PAGERDUTY_OF_OLD = Sender(
    'PagerDuty, V2',
    '``messages``',
    _words(
        'incident.trigger',
        'incident.resolve incident.acknowledge incident.unacknowledge incident.annotate '
        'incident.assign incident.delegate incident.escalate',
    ),
    'names no server',
    lambda body: 'messages' in body,
    _pagerduty_of_old,
)
PAGERDUTY_EVENT = Sender(
    "PagerDuty's events",
    '``event_action``',
    _words('trigger', 'resolve acknowledge'),
    '``custom_details``, as labels',
    lambda body: 'event_action' in body,
    _pagerduty_event,
)
OPSGENIE = Sender(
    'Opsgenie',
    '``action`` and ``alert``',
    _words(
        'create',
        'close delete acknowledge unacknowledge snooze snoozeended addnote addtags removetags '
        'addrecipient addteam assignownership takeownership escalate escalatenext customaction '
        'updatepriority updatemessage updatedescription',
    ),
    '``details`` of the alert, as labels',
    has_own_action,
    _opsgenie,
)
DATADOG = Sender(
    'Datadog',
    '``alert_transition``',
    some('triggered', 're-triggered', 'recovered', 'warn', 're-warn', 'no data', 're-no data'),
    '``server_id``, or another key, as labels',
    _is_from_datadog,
    _datadog,
)
UPTIME_KUMA = Sender(
    'Uptime Kuma',
    '``heartbeat`` and ``monitor``',
    # Down, up, pending, maintenance.
    {
        '0': AlarmState.ALARM,
        '1': AlarmState.OK,
        '2': AlarmState.OK,
        '3': AlarmState.OK,
    },
    'a tag of the monitor, as labels',
    lambda body: 'heartbeat' in body and 'monitor' in body,
    _uptime_kuma,
)
CLOUDWATCH = Sender(
    'CloudWatch',
    '``NewStateValue``',
    some('alarm', 'ok', 'insufficient_data'),
    'a dimension, as labels, such as ``InstanceId``',
    lambda body: 'NewStateValue' in body,
    _cloudwatch,
)
VICTOROPS = Sender(
    'VictorOps',
    '``message_type`` and ``entity_id``',
    some('critical', 'warning', 'info', 'acknowledgement', 'recovery'),
    '``server_id``, or another key, as labels',
    parts.has('message_type', 'entity_id'),
    _victorops,
)
