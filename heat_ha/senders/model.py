# SPDX-License-Identifier: Apache-2.0
"""What is read of a body, and what a row of the table of senders has."""

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping

from heat_ha import exceptions, quoting

Body = Mapping[str, object]


class AlarmState(enum.Enum):
    """What the alarm says of the thing that it watches."""

    ALARM = 'alarm'
    OK = 'ok'
    INSUFFICIENT_DATA = 'insufficient data'


Words = Mapping[str, AlarmState]


@dataclasses.dataclass(frozen=True)
class Alert:
    """A state, of which server (None where it names no one), and whether it was sent before.

    ``was_ok``: the sender says that the state before this one was ok.

    ``host`` is what an alert that names no server has to say of one: a name that a guest may
    have, or that of something else, such as a hypervisor or who looked. ``is_one``: its sender has
    one state for all that has this name, and may name a host only while that is sick. ``labels``
    stands for what else tells it from others of its name, in each of its states.
    """

    state: AlarmState
    member: str | None = None
    host: str | None = None
    name: str = ''
    reason: str = ''
    is_repeat: bool = False
    was_ok: bool = False
    is_one: bool = False
    labels: str = ''

    @property
    def source(self) -> str:
        """Which alert it is, in each of its states: by its name, and by the host that it is of.

        It is empty without a name: many a sender may say something of one host.
        """
        if not self.name:
            return ''
        is_of_host = self.host is not None and not self.is_one
        text = quoting.shorten(f'{self.name} of {self.host}' if is_of_host else self.name)
        return f'{text} ({self.labels})' if self.labels else text


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a body says: what its alerts ask for together, and which alerts there are.

    ``asking`` are the sources of the alerts that ask for ``alert``; empty where one of them is not
    known, or they are too many. ``over`` are the sources of those that are ok, whatever the others
    ask for.
    """

    alert: Alert
    asking: tuple[str, ...] = ()
    over: tuple[str, ...] = ()


# More alerts than a policy keeps by name are not told apart; see ``failover.remembered``.
MOST_SOURCES = 20


def sources(alerts: Iterable[Alert]) -> tuple[str, ...]:
    """The sources of these alerts, those without a name left out."""
    return tuple(dict.fromkeys(one.source for one in alerts if one.source))


@dataclasses.dataclass(frozen=True)
class Sender:
    """One form of body: how it is recognised, which words it has, and how it is read.

    ``recognised_by`` and ``member_at`` are for the user guide. The words are in lower case.
    ``one_server`` says what makes the sender post about one server at a time.
    """

    name: str
    recognised_by: str
    words: Words
    member_at: str
    is_from: Callable[[Body], bool]
    read: Callable[['Sender', Body], list[Alert]]
    one_server: str = 'Send one body a server'

    def state(self, value: object, key: str) -> AlarmState:
        """Return what the word under a key means. A number counts as the text of it.

        :raises exceptions.Refused: this sender has no such word.
        """
        if isinstance(value, int) and not isinstance(value, bool):
            word = str(value)
        else:
            word = value.strip().lower() if isinstance(value, str) else ''
        if word not in self.words:
            raise exceptions.Refused(
                f'{key} is {quoting.shown(value)}',
                quoting.shorten(f'Known: {", ".join(self.words)}', 200),
            )
        return self.words[word]
