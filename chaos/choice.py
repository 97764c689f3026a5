# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a campaign, drawn from its seed: no clock, no cloud.

A campaign goes in rounds. In a round a few stacks fail over side by side, at most one host is
dead, and at most two engines are killed on purpose, one after the other: that hits all failovers
which the engine carries, and all stacks that have a server on the host.
"""

import dataclasses
import enum
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from heat_ha.failover import model

# A failover that waits for a fence is in no step; an engine may die there too.
WAITING = model.State.WAITING_FOR_FENCE.value


class HostFault(enum.Enum):
    """What happens to the host of one active, before its stack is signalled."""

    NONE = 'living'
    KILLED = 'killed'
    FROZEN = 'frozen'


class TakeUp(enum.Enum):
    """The signal that is sent when a failover has stopped, or its engine has died.

    What leads elsewhere than to the end of the same failover is sent once, and only after a stop.
    """

    ALARM = 'alarm'
    RESUME = 'resume'
    SWITCHOVER = 'switchover'
    FAIL_BACK = 'fail_back'
    DROP = 'drop'


class Trouble(enum.Enum):
    """What else is done to a stack that fails over; ``troubles`` does it and takes it back."""

    HEIR_LOCKED = 'heir_locked'
    NOBODY_CAN = 'nobody_can'
    OLD_LOCKED = 'old_locked'
    VOLUME_DELETED = 'volume_deleted'
    SCALED = 'scaled'
    UPDATED = 'updated'
    ROLLED = 'rolled'
    SECOND_ALARM = 'second_alarm'
    SECOND_STOPPED = 'second_stopped'
    SECOND_FROZEN = 'second_frozen'


# They need a Nova that carries out what is asked of each server, or a second host that may die.
NO_DEAD_HOST = (
    Trouble.NOBODY_CAN,
    Trouble.VOLUME_DELETED,
    Trouble.SECOND_STOPPED,
    Trouble.SECOND_FROZEN,
)

# The share of the stacks of a round that are troubled.
TROUBLED = 0.5


@dataclasses.dataclass(frozen=True)
class Run:
    """One failover of one stack. Times are in seconds.

    :ivar signals: how many alarms are sent at once.
    :ivar kill_at: the kind of step, or ``WAITING``, in which the carrying engine is killed; None
        leaves it alone.
    :ivar kill_after: from the moment that the step begins.
    :ivar is_foreign_named: whether one more signal names a server outside of the group.
    :ivar trouble_after: from the first signal on, where it does not wait for a step.
    :ivar trouble_lasts: from the moment that it has begun; how long is for the trouble to say where
        it ends with the failover.
    :ivar foreign_every: pause between signals about servers of others, 0 for none.
    """

    number: int
    stack: int
    signals: int
    signal_after: float
    is_foreign_named: bool
    kill_at: str | None
    kill_after: float
    take_up: TakeUp
    take_up_after: float
    trouble: Trouble | None = None
    trouble_after: float = 0.0
    trouble_lasts: float = 0.0
    foreign_every: float = 0.0


@dataclasses.dataclass(frozen=True)
class Round:
    """Runs side by side and what happens around them. The host is that of the first run's active.

    :ivar fence_after: seconds until somebody confirms that the host is down; None: nobody does.
    :ivar back_after: seconds until the host works again, from its death on.
    """

    number: int
    runs: tuple[Run, ...]
    host: HostFault
    fence_after: float | None
    back_after: float


class _Deck:
    """Deals cards in random order, each once before any comes again."""

    def __init__(self, rng: random.Random, cards: Sequence[str]) -> None:
        self._rng = rng
        self._cards = list(cards)
        self._left: list[str] = []

    def deal(self, count: int) -> list[str]:
        """So many different cards; fewer when the same one came twice."""
        dealt = []
        for _ in range(count):
            if not self._left:
                self._left = self._rng.sample(self._cards, len(self._cards))
            dealt.append(self._left.pop())
        return list(dict.fromkeys(dealt))

    def first(self, fits: Callable[[str], bool]) -> str | None:
        """The next card that fits; those before it keep their turn."""
        if not self._left:
            self._left = self._rng.sample(self._cards, len(self._cards))
        found = next((card for card in reversed(self._left) if fits(card)), None)
        if found is not None:
            self._left.remove(found)
        return found


def rounds(
    seed: int,
    runs: int,
    side_by_side: int,
    steps: Mapping[int, Sequence[str]],
    able: Mapping[int, Sequence[Trouble]],
) -> list[Round]:
    """Draw a whole campaign.

    :param steps: for each stack of the pool the kinds of step that its failovers have.
    :param able: for each stack the troubles that it can have.

    Four rounds of five have engines killed, at each kind of step in turn, and stacks are used in
    turn, so that each rests between two failovers. Troubles come in turn as well, by dice of their
    own.
    """
    drawn = list(_rounds(random.Random(seed), runs, side_by_side, steps))
    return list(_troubled(random.Random(f'troubles {seed}'), drawn, able))


def _troubled(
    rng: random.Random, drawn: Sequence[Round], able: Mapping[int, Sequence[Trouble]]
) -> Iterator[Round]:
    of_quiet = _Deck(rng, [t.value for t in NO_DEAD_HOST])
    of_any = _Deck(rng, [t.value for t in Trouble if t not in NO_DEAD_HOST])
    for one in drawn:
        # What bears no dead host has its turn in the rounds without, then come the others.
        decks = [of_quiet, of_any] if one.host is HostFault.NONE else [of_any]
        troubles: dict[int, Trouble] = {}
        for _ in range(math.ceil(TROUBLED * len(one.runs))):
            dealt = _deal(decks, one.runs, troubles, able)
            if dealt is not None:
                run, trouble = dealt
                troubles[run.number] = trouble
        runs = tuple(_with_trouble(rng, run, troubles.get(run.number)) for run in one.runs)
        yield dataclasses.replace(one, runs=runs)


def _deal(
    decks: Sequence[_Deck],
    runs: Sequence[Run],
    given: Mapping[int, Trouble],
    able: Mapping[int, Sequence[Trouble]],
) -> tuple[Run, Trouble] | None:
    """The next trouble that one of the runs can have, none twice; None without any.

    The first runs have their engines killed; those that have not come before them.
    """
    free = [run for run in reversed(runs) if run.number not in given]

    def taker(card: str) -> Run | None:
        trouble = Trouble(card)
        if trouble in given.values():
            return None
        return next((run for run in free if trouble in able[run.stack]), None)

    for deck in decks:
        card = deck.first(lambda one: taker(one) is not None)
        if card is not None:
            run = taker(card)
            assert run is not None
            return run, Trouble(card)
    return None


def _with_trouble(rng: random.Random, run: Run, trouble: Trouble | None) -> Run:
    after, lasts = rng.uniform(0.0, 6.0), rng.uniform(8.0, 35.0)
    if trouble in (Trouble.NOBODY_CAN, Trouble.VOLUME_DELETED):
        # A refusal has to last 20 s until it counts.
        lasts += 20.0
    foreign_every = rng.uniform(1.0, 6.0) if rng.random() < 0.4 else 0.0
    take_up = run.take_up
    if rng.random() < 0.3:
        take_up = rng.choice([TakeUp.SWITCHOVER, TakeUp.FAIL_BACK, TakeUp.DROP])
    return dataclasses.replace(
        run,
        take_up=take_up,
        trouble=trouble,
        trouble_after=after,
        trouble_lasts=lasts if trouble is not None else 0.0,
        foreign_every=foreign_every,
    )


def _rounds(
    rng: random.Random, runs: int, side_by_side: int, steps: Mapping[int, Sequence[str]]
) -> Iterator[Round]:
    kinds = sorted({kind for of_one in steps.values() for kind in of_one})
    kills = _Deck(rng, [*kinds, WAITING])
    resting: list[int] = sorted(steps)
    rng.shuffle(resting)
    number = 0
    for round_number in range(1, runs + 1):
        count = min(side_by_side, runs - number, len(resting))
        if count == 0:
            return
        # Always one kill where the campaign is short, else up to two in four rounds of five.
        is_short = runs <= 2 * len(kinds)
        wanted = min(1 if is_short else 2, count)
        killed = kills.deal(wanted) if is_short or rng.random() < 0.8 else []
        if WAITING in killed[1:]:
            # It is the first one's host that may be dead.
            killed = [WAITING, *[k for k in killed if k != WAITING]]
        chosen = _stacks(resting, count, killed, steps)
        resting = [s for s in resting if s not in chosen] + chosen
        host, fence_after, back_after = _host(rng, WAITING in killed)
        drawn = tuple(
            _run(rng, number + place, stack, kill, host)
            for place, (stack, kill) in enumerate(
                itertools.zip_longest(chosen, killed[: len(chosen)]), 1
            )
        )
        number += count
        yield Round(round_number, drawn, host, fence_after, back_after)


def _stacks(
    resting: Sequence[int], count: int, killed: Sequence[str], steps: Mapping[int, Sequence[str]]
) -> list[int]:
    """The stacks that have rested longest; the first ones have the steps to kill at."""
    chosen: list[int] = []
    for step in killed:
        able = (s for s in resting if s not in chosen and step in (WAITING, *steps[s]))
        chosen.append(next(able))
    return [*chosen, *[s for s in resting if s not in chosen][: count - len(chosen)]]


def _host(rng: random.Random, has_to_wait: bool) -> tuple[HostFault, float | None, float]:
    kind = rng.choices(list(HostFault), weights=(40, 25, 35))[0]
    fence_after = rng.uniform(0.0, 25.0)
    is_fenced = rng.random() < 0.85
    back_after = rng.uniform(5.0, 25.0)
    if has_to_wait:
        # It has to wait, and Nova takes 12 s to see that a host does not answer.
        kind = HostFault.FROZEN if kind is HostFault.NONE else kind
        fence_after, is_fenced = rng.uniform(25.0, 35.0), True
    if kind is HostFault.NONE:
        return kind, None, 0.0
    if not is_fenced:
        return kind, None, fence_after + back_after
    return kind, fence_after, fence_after + back_after


def _run(rng: random.Random, number: int, stack: int, kill_at: str | None, host: HostFault) -> Run:
    low, high = rng.choices([(1, 1), (2, 5), (6, 20), (21, 50)], weights=(45, 35, 15, 5))[0]
    signal_after = rng.uniform(0.0, 4.0)
    if host is not HostFault.NONE and rng.random() < 0.4:
        # By then Nova has seen that the host does not answer.
        signal_after += 12.0
    return Run(
        number=number,
        stack=stack,
        signals=rng.randint(low, high),
        signal_after=signal_after,
        is_foreign_named=rng.random() < 0.2,
        kill_at=kill_at,
        kill_after=rng.choice([0.0, rng.uniform(0.0, 1.5)]),
        take_up=rng.choice([TakeUp.ALARM, TakeUp.RESUME]),
        take_up_after=rng.uniform(0.0, 5.0),
    )
