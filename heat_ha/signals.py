# SPDX-License-Identifier: Apache-2.0
"""What a signal asks for: the border between untrusted senders and the policies.

Every policy of heat-ha hands the body of its signals to ``parse`` before it looks at anything
else. Whoever holds the signed URL of a policy can send what they like, so nothing in a body is
believed but its form; whether the member that it names belongs to the group is asked of
``heat_ha.groups.rules.decide.named_member``.
"""

import collections.abc
import dataclasses
import enum
import json

from heat_ha import exceptions

# An Aodh alarm over a hundred resources stays below 20 KiB; what is larger is no alarm.
MAX_BODY_BYTES = 64 * 1024

# Heat's names of resources have at most 255 signs, server ids 36.
MAX_NAME_LENGTH = 255

_SHOWN_LENGTH = 60
_MEMBER_KEYS = ('action', 'member', 'reason')
_STATE_KEYS = ('current', 'state')

# Ceilometer puts a server's id into these traits of its events, the surest one first:
# ``resource_id`` is a volume's or a port's id in the events of other services.
_SERVER_TRAITS = ('instance_id', 'resource_id')


class AlarmState(enum.Enum):
    """What the alarm says of the thing that it watches."""

    ALARM = 'alarm'
    OK = 'ok'
    INSUFFICIENT_DATA = 'insufficient data'


# ``normal`` and ``nodata`` are the words of Heat's own CloudWatch of old.
_STATES = {
    'alarm': AlarmState.ALARM,
    'ok': AlarmState.OK,
    'normal': AlarmState.OK,
    'insufficient data': AlarmState.INSUFFICIENT_DATA,
    'insufficient_data': AlarmState.INSUFFICIENT_DATA,
    'nodata': AlarmState.INSUFFICIENT_DATA,
}


@dataclasses.dataclass(frozen=True)
class Signal:
    """One signal as its sender meant it.

    ``member`` is what the sender called the member: a member's name, a reference or a server's
    id. ``alarm`` is the name of the alarm, empty for signals that are none.
    """

    action: str | None = None
    member: str | None = None
    alarm_state: AlarmState = AlarmState.ALARM
    reason: str = ''
    alarm: str = ''


def parse(details: object, known_actions: collections.abc.Collection[str]) -> Signal:
    """Read the body of a signal.

    A body without a state means that there is an alarm, as Heat's own policies take it. Keys
    that say nothing to a policy are ignored in alarms, because each release of Aodh may add
    some, and refused beside ``action`` or ``member``, because there they are a person's typing
    errors.

    :raises exceptions.Refused: what was wrong with which key.
    """
    if details is None:
        return Signal()
    if not isinstance(details, collections.abc.Mapping):
        raise exceptions.Refused(
            f'the body of the signal is a {_kind(details)}',
            'Send a JSON object, or nothing at all',
        )
    _check_size(details)
    if 'action' in details or 'member' in details:
        return _request(details, known_actions)
    return _alarm(details)


def without_action(signal: Signal) -> Signal:
    """Return the signal as one that names no action, for a policy with other actions."""
    return dataclasses.replace(signal, action=None)


def _request(
    details: collections.abc.Mapping[str, object],
    known_actions: collections.abc.Collection[str],
) -> Signal:
    known = ', '.join(_MEMBER_KEYS)
    for key in details:
        if key not in _MEMBER_KEYS:
            raise exceptions.Refused(
                f'the signal has the unknown key {shown(key)}',
                f'A signal with an action or a member may have: {known}',
            )
    action = _text(details, 'action')
    if action is not None and action not in known_actions:
        remedy = f'Known: {", ".join(sorted(known_actions))}' if known_actions else 'Leave it out'
        raise exceptions.Refused(f'action {shown(action)} is not known here', remedy)
    return Signal(
        action=action,
        member=_name(details, 'member'),
        reason=_text(details, 'reason') or '',
    )


def _alarm(details: collections.abc.Mapping[str, object]) -> Signal:
    return Signal(
        member=_server_of_event(details.get('reason_data')),
        alarm_state=_state(details),
        reason=_readable(details.get('reason')),
        alarm=_readable(details.get('alarm_name')),
    )


def _state(details: collections.abc.Mapping[str, object]) -> AlarmState:
    for key in _STATE_KEYS:
        value = details.get(key)
        if value is None:
            continue
        if not isinstance(value, str) or value.lower() not in _STATES:
            raise exceptions.Refused(
                f'{key} is {shown(value)}',
                f'Known states: {", ".join(s.value for s in AlarmState)}',
            )
        return _STATES[value.lower()]
    return AlarmState.ALARM


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
            return _within_length(values[name], f'trait {name}')
    return None


def _text(details: collections.abc.Mapping[str, object], key: str) -> str | None:
    value = details.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise exceptions.Refused(f'{key} is a {_kind(value)}', 'Send a text')
    return value


def _name(details: collections.abc.Mapping[str, object], key: str) -> str | None:
    value = _text(details, key)
    if value is None:
        return None
    if not value:
        raise exceptions.Refused(f'{key} is empty', 'Name a member, or leave the key out')
    return _within_length(value, key)


def _within_length(value: str, key: str) -> str:
    if len(value) > MAX_NAME_LENGTH:
        raise exceptions.Refused(
            f'{key} has {len(value)} signs, more than {MAX_NAME_LENGTH}',
            'Send a member name, a reference or a server id',
        )
    return value


def _readable(value: object) -> str:
    """Take over a text that is only shown to people."""
    return shorten(value) if isinstance(value, str) else ''


def _check_size(details: collections.abc.Mapping[str, object]) -> None:
    try:
        size = len(json.dumps(details))
    except (TypeError, ValueError, RecursionError) as exc:
        raise exceptions.Refused('the body of the signal is no JSON', 'Send a JSON object') from exc
    if size > MAX_BODY_BYTES:
        raise exceptions.Refused(
            f'the body of the signal has {size} bytes, more than {MAX_BODY_BYTES}',
            'Send the name of the member only',
        )


def _kind(value: object) -> str:
    kinds = {str: 'text', bool: 'boolean', int: 'number', float: 'number', list: 'list'}
    return kinds.get(type(value), type(value).__name__)


def shorten(text: str, length: int = 250) -> str:
    """Cut what an unknown sender wrote, so that it fits an event and stays on its line."""
    printable = ''.join(sign if sign.isprintable() else ' ' for sign in text)
    return printable if len(printable) <= length else printable[: length - 1] + '…'


def shown(value: object) -> str:
    """Quote what an unknown sender wrote."""
    return shorten(repr(value), _SHOWN_LENGTH)
