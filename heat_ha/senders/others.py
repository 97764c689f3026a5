# SPDX-License-Identifier: Apache-2.0
"""Bodies that an operator or a program of their own writes, and those of nobody that is known."""

import collections.abc
from collections.abc import Sequence

from heat_ha import exceptions, quoting
from heat_ha.senders import alertmanager, openstack, parts
from heat_ha.senders.model import AlarmState, Alert, Body, Sender
from heat_ha.senders.words import COMMON

# Where the state is, the first that is there. Heat's own policies read the first two.
STATE_KEYS = (
    'current', 'state', 'status',
    # Nagios and Icinga, Zabbix, Pingdom and New Relic, and what operators call it. A problem of a
    # service comes with the state of its host, which may be up.
    'servicestate', 'service_state', 'hoststate', 'host_state',
    'event_status', 'trigger_status',
    'current_state', 'new_state', 'alarm_state', 'alert_state',
)  # fmt: skip

# Of a service, and of its host, which says nothing beside that.
_OF_A_SERVICE = ('servicestate', 'service_state')
_OF_A_HOST = ('hoststate', 'host_state')

# What is posted beside a state that may have been there before: an acknowledgement, the begin of a
# downtime. Where it asks for nothing, the state does not either.
OCCASION_KEYS = ('notification_type', 'notificationtype')

# Flags with which the state asks for nothing, and those by which the body is only a test. Nagios
# and Icinga count: a problem in two downtimes at once, an acknowledgement that stays.
COUNTED_FLAGS = (
    'downtime_depth', 'scheduled_downtime_depth', 'hostdowntime', 'servicedowntime',
    'acknowledgement',
)  # fmt: skip
QUIET_FLAGS = (
    'acknowledged', 'acked', 'is_acknowledged', 'silenced', 'is_silenced', 'suppressed',
    'is_suppressed', 'muted', 'maintenance', 'in_maintenance', 'downtime', 'in_downtime',
    'flapping', 'is_flapping', 'paused', 'in_scheduled_downtime', 'problem_has_been_acknowledged',
    *COUNTED_FLAGS,
)  # fmt: skip
TEST_FLAGS = ('test', 'is_test', 'testing', 'dry_run', 'drill')

# Where Nagios and Icinga say that a state is SOFT, which is to be checked again before anybody is
# told of it. The first that is there counts, as for a state.
STATE_TYPE_KEYS = (
    'servicestatetype', 'service_state_type', 'hoststatetype', 'host_state_type',
    'statetype', 'state_type',
)  # fmt: skip
_SOFT = ('soft', '0', '0.0')

# Severities with which an alarm is over, whatever else is said of it, and those with which a body
# without a state asks for nothing: all words that mean this for a state, and these.
OVER = ('ok', 'normal', 'clear', 'cleared', 'resolved')
HARMLESS = ('informational', 'information', 'notice', 'debug', 'none')

SERVER_KEYS = (
    *parts.SERVER_KEYS,
    'server', 'vm', 'vm_name', 'node', 'hostname', 'host_name', 'host',
)  # fmt: skip

# Objects with labels, which are surer than the name of a host, and lists of several servers.
LABEL_KEYS = ('labels', 'tags', 'dimensions', 'details', 'body')
LIST_KEYS = ('servers', 'server_ids', 'instances', 'members', 'hosts', 'nodes', 'vms')

# They say nothing of a state: with these alone a body is an alarm, as Heat's own policies take it.
SILENT_KEYS = ('alarm_id', 'alarm_name', 'severity', 'reason', 'reason_data', *SERVER_KEYS)


def says_a_state(body: Body) -> bool:
    """Whether a body has a key where a state may be."""
    return _has_one_of(body, STATE_KEYS, OCCASION_KEYS)


def says_something(body: Body) -> bool:
    """Whether a body has a key for a state, or one that decides what a state asks for."""
    return _has_one_of(body, STATE_KEYS, OCCASION_KEYS, QUIET_FLAGS, TEST_FLAGS)


def _has_one_of(body: Body, *keys: Sequence[str]) -> bool:
    return any(str(key).lower() in of for key in body for of in keys)


def _folded(body: Body) -> Body:
    """Return the body with all keys in lower case, those as well that are not read.

    :raises exceptions.Refused: two keys of a state differ in nothing else.
    """
    found: dict[str, object] = {}
    for key, value in body.items():
        name = str(key).lower()
        if name in found and name in (*STATE_KEYS, *OCCASION_KEYS):
            raise exceptions.Refused(
                f'{quoting.shown(name)} is there twice', 'Send one key for the state'
            )
        found[name] = value
    return found


def _other(sender: Sender, sent: Body) -> list[Alert]:
    body = _folded(sent)
    if says_a_state(body) and says_a_state(parts.mapping(body.get('body'))):
        raise exceptions.Refused(
            'the body and the object in it both have a state', 'Send the state in one of them'
        )
    labels = parts.mapping(body.get('labels'))
    is_test = labels.get('alertname') in alertmanager.TEST_ALERTS
    if any(parts.flag(body.get(key), key) for key in TEST_FLAGS) or is_test:
        raise exceptions.Refused('the body is a test, so nothing follows', 'It has arrived')
    said = [key for keys in (STATE_KEYS, OCCASION_KEYS) if (key := _first(body, keys))]
    states = {sender.state(body[key], key) for key in said}
    _refuse_another_state(sender, body)
    severity = parts.text(body, 'severity').strip().lower()
    is_over = severity in OVER
    if not said:
        _refuse_what_may_say_more(body)
        states = {AlarmState.ALARM}
        is_over = severity in HARMLESS or sender.words.get(severity) is AlarmState.OK
    if alertmanager.lacks_data(labels, body.get('annotations')):
        # Written around an alert of Grafana by somebody who had more to say.
        states |= {AlarmState.INSUFFICIENT_DATA}
    if _is_quiet(body) or is_over:
        states = {AlarmState.OK}
    # What asks for the least counts.
    order = (AlarmState.OK, AlarmState.INSUFFICIENT_DATA, AlarmState.ALARM)
    state = next(one for one in order if one in states)
    servers = _servers(body, sent)
    # Most often that of the event, so it counts only where a member has it.
    maybe = None if any(servers) else parts.identified(sent, ('id',))
    return [openstack.event_alert(state, body, named, maybe) for named in servers]


def _refuse_another_state(sender: Sender, body: Body) -> None:
    """:raises exceptions.Refused: two keys have words for a state that mean different things.

    One of them may be about something else, such as a state of before, or whether the body was
    sent: nobody knows which. Words that the sender does not have are no states.
    """
    there = [key for key in STATE_KEYS if body.get(key) not in (None, '')]
    if there and _goes_before_the_host(sender, body, there[0]):
        there = [key for key in there if key not in _OF_A_HOST]
    for key in there[1:]:
        try:
            state = sender.state(body[key], key)
        except exceptions.Refused:
            continue
        if state is not sender.state(body[there[0]], there[0]):
            raise exceptions.Refused(
                f'{there[0]} is {quoting.shown(body[there[0]])} and {key} is '
                f'{quoting.shown(body[key])}',
                'Send one key for the state',
            )


def _goes_before_the_host(sender: Sender, body: Body, key: str) -> bool:
    """Whether a state is of a service, or of whatever asks for something, beside that of a host."""
    if key in _OF_A_HOST:
        return False
    return key in _OF_A_SERVICE or sender.state(body[key], key) is not AlarmState.OK


def _is_quiet(body: Body) -> bool:
    """Whether a state asks for nothing, or for nothing yet. All flags have to be understood."""
    flags = [
        (parts.counts if key in COUNTED_FLAGS else parts.flag)(body.get(key), key)
        for key in QUIET_FLAGS
    ]
    kind = _first(body, STATE_TYPE_KEYS)
    is_soft = kind is not None and str(body[kind]).strip().lower() in _SOFT
    return any(flags) or is_soft or alertmanager.always_fires(parts.mapping(body.get('labels')))


def _servers(body: Body, sent: Body) -> Sequence[str | None]:
    """The servers that a body names, or None alone.

    :param sent: the body with its keys as they were sent.
    :raises exceptions.Refused: one of them has no name.
    """
    labels = [*(parts.labels_of(body.get(key)) for key in LABEL_KEYS), parts.resource(body)]
    surest = parts.server(sent) or next((one for of in labels if (one := parts.labelled(of))), None)
    if surest is not None:
        return [surest]
    for key in LIST_KEYS:
        found = body.get(key)
        if not found:
            continue
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise exceptions.Refused(
                f'{key} is {quoting.shown(found)}', 'Send "server_id" with the id of one server'
            )
        if not all(name.strip() for name in found):
            raise exceptions.Refused(
                f'{key} has an empty name', 'Send "server_id" with the id of one server'
            )
        return [quoting.within_length(name.strip(), key) for name in found]
    # Who names a host as well has put the id of something else there.
    return [parts.server(sent, SERVER_KEYS) or parts.identified(sent, parts.SURER_ID_KEYS)]


def _first(body: Body, keys: Sequence[str]) -> str | None:
    """The first key that says something, else the first that is there, else None."""
    there = [key for key in keys if key in body]
    return next((key for key in there if body[key] not in (None, '')), there[0] if there else None)


def _refuse_what_may_say_more(body: Body) -> None:
    """:raises exceptions.Refused: a key may hold a state, in words that are not known."""
    silent = {parts.spelled(key) for key in SERVER_KEYS}.union(SILENT_KEYS, QUIET_FLAGS, TEST_FLAGS)
    more = [key for key in body if key not in silent and parts.spelled(key) not in silent]
    if more:
        raise exceptions.Refused(
            f'the body is of no known sender and has no state, but {quoting.shown(more[0])}',
            'Send {"state": "alarm", "server_id": ID}, "ok" when it is over, or nothing at all',
        )


def _is_one_alert(body: Body) -> bool:
    """Whether it is one alert of Alertmanager, and says nothing more that is read here."""
    labels, status = body.get('labels'), body.get('status')
    if not isinstance(labels, collections.abc.Mapping) or 'alertname' not in labels:
        return False
    rest = {key: value for key, value in body.items() if key not in ('status', 'labels', 'member')}
    says_more = says_something(rest) or _has_one_of(
        rest, ('severity',), SERVER_KEYS, LABEL_KEYS, LIST_KEYS, STATE_TYPE_KEYS
    )
    word = status.strip().lower() if isinstance(status, str) else ''
    return word in alertmanager.WORDS and not says_more


ONE_ALERT = Sender(
    'One alert of Alertmanager or Grafana',
    '``status``, and ``alertname`` in ``labels``',
    alertmanager.WORDS,
    'a label of the alert',
    _is_one_alert,
    alertmanager.one_alert,
)
OTHER = Sender(
    'Any other',
    '``state`` and the like, see below',
    COMMON,
    '``server_id`` and the like, or as in the event alarms of Aodh',
    lambda body: True,
    _other,
)
