# SPDX-License-Identifier: Apache-2.0
"""What a signal to a RemoteStack asks for; its sender is not trusted."""

import dataclasses
import enum
from collections.abc import Collection, Mapping

from heat_ha import exceptions, signals


class Action(enum.Enum):
    """What a person or a program can ask of a RemoteStack."""

    SYNC = 'sync'
    PEER_CHANGED = 'peer_changed'
    ABANDON = 'abandon'
    PAUSE = 'pause'
    RESUME = 'resume'


@dataclasses.dataclass(frozen=True)
class Command:
    """One signal: what to do, in which region (None for all), and at which revision.

    ``is_forced`` asks for a part that is in progress to be told once more.
    """

    action: Action
    region: str | None = None
    revision: str = ''
    is_forced: bool = False


_KEYS = ('action', 'region', 'revision', 'force')


def parse(details: object, regions: Collection[str]) -> Command:
    """Read the body of a signal; an empty one asks for ``sync``.

    :param regions: the regions that have a part or a tombstone.
    :raises exceptions.Refused: what was wrong with which key.
    """
    if details is None or details == {}:
        return Command(Action.SYNC)
    if not isinstance(details, Mapping):
        raise exceptions.Refused('the body of the signal is no JSON object', 'Send one, or nothing')
    for key, value in details.items():
        if key not in _KEYS:
            raise exceptions.Refused(
                f'the signal has the unknown key {signals.shown(key)}', f'Known: {", ".join(_KEYS)}'
            )
        if not isinstance(value, str) and key != 'force':
            raise exceptions.Refused(f'{key} is no text', 'Send a text')
    known = ', '.join(a.value for a in Action)
    try:
        action = Action(details.get('action', Action.SYNC.value))
    except ValueError as exc:
        raise exceptions.Refused(
            f'action {signals.shown(details["action"])} is not known here', f'Known: {known}'
        ) from exc
    region = details.get('region')
    if region is not None and region not in regions:
        raise exceptions.Refused(
            f'there is no part in region {signals.shown(region)}',
            f'There is one in: {", ".join(sorted(regions))}',
        )
    if action is Action.ABANDON and region is None:
        raise exceptions.Refused('abandon names no region', 'Send the key region too')
    return Command(action, region, details.get('revision', ''), _is_forced(details, action, region))


def _is_forced(details: Mapping[str, object], action: Action, region: str | None) -> bool:
    is_forced = details.get('force', False)
    if not isinstance(is_forced, bool):
        raise exceptions.Refused(f'force is {signals.shown(is_forced)}', 'Send true or false')
    if not is_forced:
        return False
    if action is not Action.SYNC:
        raise exceptions.Refused(f'{action.value} knows no force', 'Send it with sync')
    if region is None:
        raise exceptions.Refused('force names no region', 'Send the key region too')
    return True
