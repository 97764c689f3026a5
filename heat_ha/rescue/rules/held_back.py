# SPDX-License-Identifier: Apache-2.0
"""Which rescues the agent's storm guard holds back, and who may let one pass by a signal. Pure.

Anybody who knows the address of a policy may signal it. So what the agent has decided about it must
hold for every signal (S6), not only for those that the agent sends.
"""

import enum
from collections.abc import Mapping
from typing import Any

# What is added to a reason where an operator has looked at it, and lets nobody begin.
DROPPED = '; an operator has dropped it until its host is back'


class Level(enum.Enum):
    """What a limit of the storm guard is about. ``of_owner``: the template sets it."""

    PROJECT = 'project'
    STACK = 'stack'
    POLICY = 'policy'

    @property
    def of_owner(self) -> bool:
        """Whether the owner of the stack has set the limit, by ``max_rescues``, for themselves."""
        return self is Level.POLICY


def said_by_guard(level: str, text: str) -> str:
    """Why the storm guard holds something back, as it is on record."""
    return f'storm guard, level {level}: {text}'


def level_of(reason: str) -> Level | None:
    """The level of a reason that is on record; None where no limit is meant.

    The agent also gives policies up that refuse its signals. That forbids nobody to try.
    """
    return next((one for one in Level if reason.startswith(said_by_guard(one.value, ''))), None)


def why_refused(reason: str, is_asked_for: bool) -> str:
    """Why a signal may not begin a rescue that is held back; '' when it may.

    What comes of it, by whose limit it is, and whether the signal asks for a rescue by name:

    * the operator's: never; only an operator releases it.
    * the owner's: for an alarm, no; a person who asks by name has looked.
    * none, as after signals in vain: yes.

    :param reason: why the agent holds it back.
    :param is_asked_for: whether the signal has the action by name. An alarm has not.
    """
    level = level_of(reason)
    if level is None or (level.of_owner and is_asked_for):
        return ''
    if level.of_owner:
        return f'{reason}. Look at it, then signal {{"action": "rescue"}}'
    if reason.endswith(DROPPED):
        return f'{reason}. Ask the operator'
    return f'{reason}. Ask the operator to release it'


def of_policy(
    incidents: Mapping[str, Any], rescues: Mapping[str, Any], number: int
) -> dict[str, str]:
    """Which servers of a policy are held back, with the reason.

    What an operator drops is not released by that: the limit of the storm guard still holds.

    :param incidents, rescues: what the agent has on record, by host. A newer agent may have more
        there, and what is not understood holds nothing back.
    :param number: the row of the policy in Heat's database.
    """
    found: dict[str, str] = {}
    for host, rescue in rescues.items():
        incident = incidents.get(host) or {}
        is_over = incident.get('phase') == 'closed'
        if is_over or incident.get('opened') != rescue.get('opened'):
            continue
        for row in rescue.get('rows', ()):
            reason = row.get('reason', '')
            if row.get('turn') == 'dropped' and level_of(reason):
                reason += DROPPED
            elif row.get('turn') != 'deferred':
                continue
            if row.get('number') == number:
                found |= dict.fromkeys(row.get('servers', ()), reason)
    return found
