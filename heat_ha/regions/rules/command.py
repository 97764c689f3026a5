# SPDX-License-Identifier: Apache-2.0
"""What a signal to a RemoteStack asks for; its sender is not trusted."""

import dataclasses
from collections.abc import Collection

from heat_ha import exceptions, signals


class Action(signals.Action):
    """What a person or a program can ask of a RemoteStack."""

    SYNC = 'sync'
    PEER_CHANGED = 'peer_changed'
    ABANDON = 'abandon'
    PAUSE = 'pause'
    RESUME = 'resume'


@dataclasses.dataclass(frozen=True)
class Command:
    """One signal: what to do, in which region (None for all), and at which revision.

    ``is_forced`` asks for a part that is in progress to be sent the same again.
    """

    action: Action
    region: str | None = None
    revision: str = ''
    is_forced: bool = False


_FORM = signals.Form({'region': str, 'revision': str, 'force': bool}, takes_alarms=False)


def parse(details: object, regions: Collection[str]) -> Command:
    """Read the body of a signal; without an action it asks for ``sync``.

    :param regions: the regions that have a part or a tombstone.
    :raises exceptions.Refused: what was wrong with which key.
    """
    signal = signals.parse(details, Action, _FORM)
    action = signal.action or Action.SYNC
    region: str | None = signal.values.get('region')
    is_forced: bool = signal.values.get('force', False)
    if region is not None and region not in regions:
        raise exceptions.Refused(
            f'there is no part in region {signals.shown(region)}',
            f'There is one in: {", ".join(sorted(regions))}',
        )
    if action is Action.ABANDON and region is None:
        raise exceptions.Refused('abandon needs a region', 'Send the key region too')
    if is_forced and action is not Action.SYNC:
        raise exceptions.Refused(f'{action.value} does not take force', 'Send it with sync')
    if is_forced and region is None:
        raise exceptions.Refused('force needs a region', 'Send the key region too')
    return Command(action, region, signal.values.get('revision', ''), is_forced)
