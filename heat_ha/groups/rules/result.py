# SPDX-License-Identifier: Apache-2.0
"""What a run of a replacement came to, pair by pair. No clock, no client."""

import collections.abc
import dataclasses

from heat_ha import signals
from heat_ha.groups import model
from heat_ha.groups.rules import decide, pairs

# Characters of another's error message that fit into an event beside what it is about.
MAX_CAUSE_LENGTH = 120


@dataclasses.dataclass(frozen=True)
class Result:
    """How the pairs of a replacement ended, apart from those that its request has overtaken.

    ``done`` are those whose victim is gone; ``new`` is empty where somebody has removed the new
    member since. ``failures`` has a sentence about each of the others. ``may_pass``: every one of
    them may succeed later, unchanged. ``left_over`` are the former members of all pairs that Heat
    has not deleted yet.
    """

    done: tuple[model.Pair, ...]
    failures: tuple[str, ...]
    may_pass: bool
    left_over: tuple[str, ...] = ()

    @property
    def replaced(self) -> tuple[str, ...]:
        """Names of the members that were replaced."""
        return tuple(pair.victim for pair in self.done if pair.victim)

    @property
    def added(self) -> tuple[str, ...]:
        """Names of the new members."""
        return tuple(pair.new for pair in self.done if pair.new)


def result(
    seen: model.Group, wanted: model.Replacement, causes: collections.abc.Mapping[str, str]
) -> Result:
    """Judge the pairs by what the group is at the end of a run.

    :param causes: why this run has given up new members, by their names.

    Invariant: what was not done is not among what is done, whether or not it may pass.
    """
    left_over = tuple(m.name for m in pairs.former(seen, wanted))
    done, failures, may_pass = [], [], True
    for pair in wanted.pairs:
        if pair.is_overtaken:
            continue
        new = seen.member(pair.new)
        is_lacking = pair.new in wanted.given_up and not (new and new.is_in_service)
        if not is_lacking and seen.member(pair.victim) is None:
            if pair.victim not in left_over:
                done.append(model.Pair(pair.victim, pair.new if new else ''))
            continue
        cause = causes.get(pair.new)
        failures.append(_failure(seen, pair, cause))
        # What another run gave up was for a reason that may be gone by now.
        is_passing = cause is None or decide.is_passing(cause)
        may_pass &= is_passing and pair.new in wanted.given_up
    return Result(tuple(done), tuple(failures), may_pass, left_over)


def names_of(names: collections.abc.Sequence[str]) -> str:
    """The names that are not empty, in words."""
    return ', '.join(n for n in names if n) or 'none'


def _failure(seen: model.Group, pair: model.Pair, cause: str | None) -> str:
    # An event holds 255 characters: what matters comes first.
    is_there = seen.member(pair.victim) is not None
    new = seen.member(pair.new)
    if is_there and new is not None and new.is_in_service:
        return f'member {pair.victim} is still there with {pair.new}: the group may not be smaller'
    old = f'member {pair.victim} is still there, ' if is_there else ''
    why = 'it had failed before' if cause is None else cause
    return f'{old}no new member {pair.new}: {signals.shorten(why, MAX_CAUSE_LENGTH)}'
