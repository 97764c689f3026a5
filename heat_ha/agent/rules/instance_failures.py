# SPDX-License-Identifier: Apache-2.0
"""What follows a notification that a guest ended by itself, from what Nova shows of its server now.

Pure. The notification may be old, doubled or out of order, and nova-compute also stops, without a
user, a guest that somebody has started beside Nova. So what counts is the server as Nova shows it,
and what was last asked of Nova.
"""

import dataclasses
import enum
from collections.abc import Collection, Iterable


class Outcome(enum.Enum):
    """What became of the report of an ended guest; the values are in the metrics."""

    SIGNALLED = 'signalled'
    NO_POLICY = 'no_policy'
    ASKED_FOR = 'asked_for'
    UNKNOWN = 'unknown'
    FOREIGN = 'foreign'
    GONE = 'gone'
    RUNNING = 'running'
    OTHER_STATE = 'other_state'
    HELD_BACK = 'held_back'
    GIVEN_UP = 'given_up'
    TOO_MANY = 'too_many'


class Wanted(enum.Enum):
    """What was last asked of Nova about a server: that it runs, or that it does not."""

    RUNNING = 'running'
    STOPPED = 'stopped'
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True)
class Action:
    """An entry of a server's list of actions in Nova; ``user`` is '' for Nova itself.

    ``has_failed``: it ended with an error, so it left the server as it was.
    """

    name: str
    user: str
    has_failed: bool = False


@dataclasses.dataclass(frozen=True)
class Shown:
    """A server in Nova: ``power`` is the number of its power state, ``task`` is '' for none."""

    project: str
    state: str
    power: int | None
    task: str
    wanted: Wanted


@dataclasses.dataclass(frozen=True)
class Signal:
    """The policies of the server are to be signalled."""


@dataclasses.dataclass(frozen=True)
class Drop:
    """Nothing follows."""

    outcome: Outcome
    reason: str


@dataclasses.dataclass(frozen=True)
class LookAgain:
    """Nova is at work on the server: what it shows now does not last."""

    reason: str


Step = Signal | Drop | LookAgain

# Actions after which a server is meant to run, and those after which it is not. All others leave it
# as it was: a server that is stopped may be resized, migrated or rebuilt, and stays stopped.
_CREATE = 'create'
_TO_RUN = frozenset({_CREATE, 'start', 'reboot', 'resume', 'unpause', 'unshelve', 'unrescue',
                     'restore'})  # fmt: skip
_TO_STOP = frozenset({'stop', 'pause', 'suspend', 'shelve', 'shelveOffload', 'rescue', 'delete',
                      'softDelete', 'forceDelete'})  # fmt: skip

_RUNNING_POWER = 1
# Shut down and crashed. Nova shows "no state" for a guest that the hypervisor does not know.
_NO_POWER, _NO_STATE = (4, 6), 0

# Seconds before each further try; a minute and a half in all. A start of a server takes less, and
# what an alarm tells the policy does not wait for it.
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0)


def pause(tries: int) -> float | None:
    """Seconds until the next try after so many in vain, None to give up."""
    return PAUSES[tries - 1] if 0 < tries <= len(PAUSES) else None


def wanted(actions: Iterable[Action]) -> Wanted:
    """What somebody last asked for, from a server's actions, the newest first.

    What Nova has done by itself is passed over: it stops a guest that crashed, and also one that
    was stopped and that somebody has started beside Nova. So is what has failed, but for the
    creation: a server that has one was meant to run from the beginning. No more of the actions is
    read than it takes.
    """
    for action in actions:
        if not action.user or (action.has_failed and action.name != _CREATE):
            continue
        if action.name in _TO_RUN:
            return Wanted.RUNNING
        if action.name in _TO_STOP:
            return Wanted.STOPPED
    return Wanted.UNKNOWN


def next_step(shown: Shown | None, projects: Collection[str]) -> Step:
    """What follows for a server, None where Nova has it no more.

    Invariant: a signal follows only where Nova shows that the guest does not run, that it was last
    asked to run, and that it belongs to a project of the policies (S7). What is not known leads to
    no signal (S2).

    :param projects: those of the policies that ask for it.
    """
    if shown is None:
        return Drop(Outcome.GONE, 'Nova has the server no more')
    if shown.project not in projects:
        return Drop(Outcome.FOREIGN, 'a stack of another project claims to have the server')
    if shown.task:
        return LookAgain(f'Nova is at work on the server: {shown.task}')
    if shown.power == _RUNNING_POWER:
        return Drop(Outcome.RUNNING, 'the guest runs again')
    if shown.wanted is Wanted.STOPPED:
        return Drop(Outcome.ASKED_FOR, 'somebody has asked Nova for that')
    if shown.wanted is Wanted.UNKNOWN:
        return Drop(Outcome.UNKNOWN, 'Nova does not say what was last asked of the server')
    if not _has_ended(shown):
        return Drop(Outcome.OTHER_STATE, f'the server is {shown.state}, power {shown.power}')
    return Signal()


def _has_ended(shown: Shown) -> bool:
    if shown.state == 'stopped':
        return shown.power in (*_NO_POWER, _NO_STATE)
    # Started anew in vain, or it crashed once more and Nova is late with it.
    return shown.state in ('active', 'error') and shown.power in _NO_POWER
