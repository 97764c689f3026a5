# SPDX-License-Identifier: Apache-2.0
"""What came of the rounds of the benchmark ``rescue``: medians, ratios, goals. Pure.

What was not measured is None, and a word beside it says why: one contender that fails, or that is
too slow, takes nobody else's figures along.
"""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

# At most so many times as long, until the last server is back.
GOALS = {'ours_over_bare': 1.25, 'ours_over_peer': 1.0, 'ours_over_peer_defaults': 1 / 3}

WORDS = {
    'ours': 'heat-ha',
    'bare': 'bare evacuate loop',
    'peer': 'Masakari without its waits',
    'peer_defaults': 'Masakari with its defaults',
    'ours_told_early': 'heat-ha, with a report of the death (from then on)',
}


@dataclasses.dataclass(frozen=True)
class Round:
    """One rescue: seconds until the first and the last server was back, and the load before it.

    ``first`` and ``last`` are None when that did not come in time; ``missing`` servers had not come
    back by then. ``why`` says what went wrong, '' for nothing.
    """

    name: str
    first: float | None
    last: float | None
    missing: int
    down_after: float | None
    load: float
    why: str = ''


def summary(found: Sequence[Round], planned: Sequence[str], count: int) -> dict[str, Any]:
    """The medians of all rounds, the ratios and the goals.

    :param planned: the names of all contenders, also of those that had no round.
    """
    medians: dict[str, Any] = {}
    for name in (n for n in WORDS if n in planned):
        own = [r for r in found if r.name == name]
        medians[f'{name}_s'] = _median([r.last for r in own])
        medians[f'{name}_first_s'] = _median([r.first for r in own])
        if missing := sum(r.missing for r in own):
            medians[f'{name}_not_back'] = missing
        if why := [r.why for r in own if r.why] or ([] if own else ['it had no round']):
            medians[f'{name}_why'] = '; '.join(why)[:500]
    medians['down_after_s'] = after = _median([r.down_after for r in found])
    ratios = {
        f'ours_over_{name}': _ratio(medians['ours_s'], medians[f'{name}_s'])
        for name in ('bare', 'peer', 'peer_defaults')
        if name in planned
    }
    ratios['ours_over_bare_from_death'] = _ratio(medians['ours_s'], medians['bare_s'], after)
    rounds = sum(r.name == 'ours' for r in found)
    return {
        **{k: round(v, 3) if isinstance(v, float) else v for k, v in (ratios | medians).items()},
        'ran': f'{servers(count)}, {rounds} round{"s" * (rounds != 1)}',
        'load': round(statistics.median(r.load for r in found), 1) if found else None,
        'goals': {
            key: {
                'at_most': round(limit, 3),
                'holds': None if (is_now := ratios[key]) is None else is_now <= limit,
            }
            for key, limit in GOALS.items()
            if key in ratios
        },
    }


def verdicts(figures: dict[str, Any]) -> list[str]:
    """One sentence for each goal."""
    sentences = []
    for key, goal in figures['goals'].items():
        peer = key.removeprefix('ours_over_')
        if goal['holds'] is None:
            why = figures.get('ours_why') or figures.get(f'{peer}_why') or 'it was not measured'
            sentences.append(
                f'{figures["ran"]}: nothing to say of heat-ha and {WORDS[peer]}: {why}'
            )
            continue
        word = 'holds' if goal['holds'] else 'is missed'
        sentences.append(
            f'{figures["ran"]}: heat-ha takes {figures[key]:.2f} times as long as {WORDS[peer]}; '
            f'the goal, at most {goal["at_most"]:.2f}, {word}.'
        )
    return sentences


def servers(count: int) -> str:
    """So many servers, in words."""
    return '1 server' if count == 1 else f'{count} servers'


def shown(value: float | None) -> str:
    """A figure of a table."""
    return '-' if value is None else f'{value:.1f}'


def _median(values: Sequence[float | None]) -> float | None:
    """Of those that are known; None when one of them is not, which would flatter the others."""
    if not values or any(value is None for value in values):
        return None
    return float(statistics.median(value for value in values if value is not None))


def _ratio(one: float | None, other: float | None, both: float | None = 0.0) -> float | None:
    if one is None or other is None or both is None:
        return None
    return (one + both) / (other + both)
