# SPDX-License-Identifier: Apache-2.0
"""What happens in a run, drawn from the seed and the number of the run: no clock, no cloud.

No run depends on another one, so each can be had by itself.
"""

import dataclasses
import enum
import random
from collections.abc import Iterable, Iterator

AGENT = 'heat-ha-agent'
ENGINES = ('heat-engine-one-1', 'heat-engine-one-2')


class Failure(enum.Enum):
    """What happens to the guest that writes; ``lab.client.failures`` does it."""

    CRASH = 'crash'
    POWER = 'power'
    CUT = 'cut'
    ISOLATED = 'isolated'
    FROZEN = 'frozen'

    @property
    def is_of_host(self) -> bool:
        """Whether the host of the guest does not answer any more."""
        return self is not Failure.CRASH


class Way(enum.Enum):
    """Who says that something has happened.

    MONITOR: what monitors the service, which signals the policy and names the server. The policy
    has that guest alone shut out from the storage. AGENT: a sender who is certain that a host is
    down, and heat-ha-agent, which shuts all of the host out and then signals the policy.
    """

    MONITOR = 'monitor'
    AGENT = 'agent'


# What runs are counted under, beside their failure and way.
TROUBLES = (DOUBLED, ENGINE_KILLED, AGENT_KILLED) = ('doubled', 'engine_killed', 'agent_killed')
KINDS = (*(one.value for one in Failure), *(one.value for one in Way), *TROUBLES)


@dataclasses.dataclass(frozen=True)
class Kill:
    """A program that is killed ``after`` seconds from the first signal on, and stays dead for some.

    :ivar what: one of ``ENGINES``, or ``AGENT``.
    """

    what: str
    after: float
    lasts: float


@dataclasses.dataclass(frozen=True)
class Run:
    """One failover.

    :ivar signals: when each copy of the signal is sent, in seconds after the first one.
    """

    number: int
    failure: Failure
    way: Way
    signals: tuple[float, ...]
    kills: tuple[Kill, ...]

    def __str__(self) -> str:
        kills = (f'{k.what} killed after {k.after:.1f} s for {k.lasts:.1f} s' for k in self.kills)
        signals = ', '.join(f'{after:.1f}' for after in self.signals)
        return '; '.join(
            (f'{self.failure.value} by {self.way.value}', f'signals at {signals} s', *kills)
        )

    def kinds(self, kills: Iterable[Kill]) -> Iterator[str]:
        """The ``KINDS`` that it is counted under.

        :param kills: those that came to be; a failover may be over before.
        """
        yield self.failure.value
        yield self.way.value
        if len(self.signals) > 1:
            yield DOUBLED
        for kill in kills:
            yield AGENT_KILLED if kill.what == AGENT else ENGINE_KILLED


def draw(seed: int, number: int) -> Run:
    """Draw one run. Five runs from 1, 6, 11, … on have each failure once."""
    turn, place = divmod(number - 1, len(Failure))
    order = list(Failure)
    random.Random(f'real failures {seed} {turn}').shuffle(order)
    failure = order[place]
    rng = random.Random(f'real {seed} {number}')
    # A report about a host is no way to tell of a guest.
    way = rng.choice(list(Way))
    if not failure.is_of_host:
        way = Way.MONITOR
    return Run(number, failure, way, _signals(rng), tuple(_kills(rng)))


def _signals(rng: random.Random) -> tuple[float, ...]:
    count = rng.randint(1, 5)
    # All at once, or spread over the failover.
    spread = rng.choice([0.0, rng.uniform(0.0, 20.0)])
    return (0.0, *sorted(rng.uniform(0.0, spread) for _ in range(count - 1)))


def _kills(rng: random.Random) -> Iterator[Kill]:
    # Most of a failover is over after twenty seconds; a new member is made after that.
    if rng.random() < 0.5:
        yield Kill(rng.choice(ENGINES), rng.uniform(0.0, 40.0), rng.uniform(0.0, 15.0))
    if rng.random() < 0.5:
        yield Kill(AGENT, rng.uniform(0.0, 20.0), rng.uniform(0.0, 15.0))
