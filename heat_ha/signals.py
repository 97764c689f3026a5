# SPDX-License-Identifier: Apache-2.0
"""What a signal asks for: the border between untrusted senders and the policies.

Every signal goes through ``parse`` before anything acts on it: those to a RescuePolicy, a
FailoverPolicy and a RemoteStack, and those to a ScalingPolicy that replaces members (its other
adjustment types are Heat's own and read no more than the state of an alarm). Each of them declares
its actions as a subclass of ``Action``.

Whoever holds the signed URL of a policy can send what they like, so nothing in a body is
believed but its form. Each policy looks itself for what a body names among what it owns;
``heat_ha.groups.rules.members.find`` does so for the members of a group (S7).
"""

import collections.abc
import dataclasses
import enum
import json
from typing import Any, Generic, TypeVar

from heat_ha import exceptions, quoting, senders

# An Aodh alarm over a hundred resources stays below 20 KiB; what is larger is not an alarm.
MAX_BODY_BYTES = 64 * 1024

# Under these names the policies know them.
shorten = quoting.shorten
shown = quoting.shown
AlarmState = senders.AlarmState


class Action(enum.Enum):
    """The base of what a policy can be asked for by name; a value is the word in the body.

    An action that says nothing else of itself counts as one that changes something.
    """

    @property
    def only_looks(self) -> bool:
        """Whether it is answered without any change: of the record, or of a resource."""
        return False


ActionT = TypeVar('ActionT', bound=Action)


class NoData(enum.Enum):
    """What an alarm that has no data means to a policy: the property ``insufficient_data``."""

    IGNORE = 'ignore'
    ALARM = 'alarm'


@dataclasses.dataclass(frozen=True)
class Form:
    """Which keys the body of a signal may have beside ``action``, each with its JSON type.

    A policy that takes alarms reads a body without ``action`` and ``member`` as an alarm, and a
    null as a key that was left out. One that does not take them refuses both: a null where a
    RemoteStack expects a region would mean all regions.
    """

    keys: collections.abc.Mapping[str, type]
    takes_alarms: bool


ABOUT_A_MEMBER = Form({'member': str, 'reason': str}, takes_alarms=True)


@dataclasses.dataclass(frozen=True)
class Signal(Generic[ActionT]):
    """One signal as its sender meant it.

    ``action`` is None for an alarm, and where the sender leaves it to the policy. ``member`` is
    what the sender called the member: a member's name, a reference or a server's id. ``host`` is
    what an alarm without that says of a host, which may be no member at all: it counts only where
    it is the name or the address of a member's server. ``alarm`` is the name of the alarm, empty
    for any other signal, ``is_repeat`` whether the sender says that it sent the same before, and
    ``was_ok`` whether it says that all was well until now. ``sources`` says which alarms ask for
    it, empty where that is not known, and ``over`` which ones say ok in the same body.
    ``values`` has the keys that the policy's ``Form`` declares beyond ``member`` and ``reason``,
    those that were sent only.
    """

    action: ActionT | None = None
    member: str | None = None
    alarm_state: AlarmState = AlarmState.ALARM
    reason: str = ''
    alarm: str = ''
    is_repeat: bool = False
    was_ok: bool = False
    host: str | None = None
    sources: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    values: collections.abc.Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_all_clear(self) -> bool:
        """Whether it asks for nothing: an alarm that is over, or that has no data."""
        return self.action is None and self.alarm_state is not AlarmState.ALARM

    @property
    def cause(self) -> str:
        """What the history shows as its reason: an alarm's begins with "alarm" and its name."""
        if not self.alarm:
            return self.reason
        return shorten(
            f'alarm {self.alarm}: {self.reason}' if self.reason else f'alarm {self.alarm}'
        )

    @property
    def lacks_data(self) -> bool:
        """Whether it is an alarm that says only that nobody could look."""
        return self.action is None and self.alarm_state is AlarmState.INSUFFICIENT_DATA

    @property
    def only_looks(self) -> bool:
        """Whether its action changes nothing; an alarm is there to change something."""
        return self.action is not None and self.action.only_looks


def parse(details: object, actions: type[ActionT], form: Form = ABOUT_A_MEMBER) -> Signal[ActionT]:
    """Read the body of a signal to a policy with these actions.

    What monitoring systems post is read by ``heat_ha.senders``. No body, and one that only names a
    server or a reason, mean that there is an alarm, as Heat's own policies take it. Keys that say
    nothing to a policy are ignored in alarms, because each release of Aodh may add some, and
    refused beside ``action``, or a ``member`` without a state and without the form of a known
    sender, because there they are a person's typing errors.

    :raises exceptions.Refused: what was wrong with which key.
    """
    if details is None:
        return Signal()
    if form.takes_alarms and _is_list_of_checks(details):
        details = {'checks': details}
    if not isinstance(details, collections.abc.Mapping):
        raise exceptions.Refused(
            f'the body of the signal is a {quoting.kind(details)}',
            'Send a JSON object, or nothing at all',
        )
    _check_size(details)
    if form.takes_alarms and _is_alarm(details):
        return _alarm(details)
    return _request(details, actions, form)


def _is_alarm(details: collections.abc.Mapping[str, object]) -> bool:
    if 'action' in details:
        return senders.has_own_action(details)
    return (
        'member' not in details
        or senders.says_a_state(details)
        or senders.is_of_a_known_sender(details)
    )


def _is_list_of_checks(details: object) -> bool:
    """Whether it is what a watch of Consul posts. Heat's API drops it, other callers may not."""
    return (
        isinstance(details, list)
        and bool(details)
        and all(isinstance(d, dict) and 'CheckID' in d and 'Status' in d for d in details)
    )


def as_alarm(signal: Signal[ActionT]) -> Signal[ActionT]:
    """Return the signal of an alarm without data as an alarm, for a policy where that counts."""
    return dataclasses.replace(
        signal,
        alarm_state=AlarmState.ALARM,
        reason=signal.reason or 'the alarm has insufficient data',
    )


def ignored(signal: Signal[Any]) -> str:
    """Say of an alarm without data that nothing followed, and how something would."""
    alarm = f'alarm {signal.alarm}' if signal.alarm else 'the alarm'
    return (
        f'{alarm} has insufficient data, which is ignored here; the property insufficient_data '
        'says whether it counts as an alarm'
    )


def without_action(signal: Signal[Any]) -> Signal[Any]:
    """Return the signal as one that names no action, for a policy with other actions."""
    return dataclasses.replace(signal, action=None)


def _request(
    details: collections.abc.Mapping[str, object], actions: type[ActionT], form: Form
) -> Signal[ActionT]:
    known = {'action': str, **form.keys}
    for key in details:
        if key not in known:
            kind = 'A signal with an action or a member' if form.takes_alarms else 'A signal'
            raise exceptions.Refused(
                f'the signal has the unknown key {quoting.shown(key)}',
                f'{kind} may have: {", ".join(known)}',
            )
    values = {
        key: _checked(value, key, known[key])
        for key, value in details.items()
        if value is not None or not form.takes_alarms
    }
    return Signal(
        action=_action(values.pop('action', None), actions),
        member=_member(values.pop('member', None)),
        # It goes into the plan and the history, whose columns hold 60,000 bytes in all.
        reason=shorten(values.pop('reason', '')),
        values=values,
    )


def _checked(value: object, key: str, kind: type) -> Any:
    if isinstance(value, kind):
        return value
    remedy = 'Send true or false' if kind is bool else 'Send a text'
    raise exceptions.Refused(f'{key} is a {quoting.kind(value)}', remedy)


def _action(word: str | None, actions: type[ActionT]) -> ActionT | None:
    if word is None:
        return None
    try:
        return actions(word)
    except ValueError as exc:
        known = ', '.join(action.value for action in actions)
        raise exceptions.Refused(
            f'action {quoting.shown(word)} is not known here', f'Known: {known}'
        ) from exc


def _member(name: str | None) -> str | None:
    if name is None:
        return None
    if not name:
        raise exceptions.Refused('member is empty', 'Name a member, or leave the key out')
    return quoting.within_length(name, 'member')


def _alarm(body: collections.abc.Mapping[str, object]) -> Signal[Any]:
    try:
        found = senders.read(body)
    except RecursionError as exc:
        # What Heat could just read and write may be too deep for what is done with it here.
        raise exceptions.Refused(
            'the body of the signal is nested too deeply', 'Send a flat JSON object'
        ) from exc
    alert = found.alert
    return Signal(
        member=alert.member,
        alarm_state=alert.state,
        reason=alert.reason,
        alarm=alert.name,
        is_repeat=alert.is_repeat,
        was_ok=alert.was_ok,
        host=alert.host,
        sources=found.asking,
        over=found.over,
    )


def _check_size(details: collections.abc.Mapping[str, object]) -> None:
    try:
        size = len(json.dumps(details))
    except (TypeError, ValueError, RecursionError) as exc:
        raise exceptions.Refused(
            'the body of the signal is not JSON', 'Send a JSON object'
        ) from exc
    if size > MAX_BODY_BYTES:
        raise exceptions.Refused(
            f'the body of the signal has {size} bytes, more than {MAX_BODY_BYTES}',
            'Send fewer alerts in one body: group them by server. A program of your own needs to '
            'send {"member": NAME} only',
        )
