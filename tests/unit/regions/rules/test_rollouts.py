# SPDX-License-Identifier: Apache-2.0
"""Which parts may be at work at once."""

import itertools

from heat_ha.regions import model
from heat_ha.regions.model import Part, State
from heat_ha.regions.rules import rollouts, spec


def test_a_rollout_keeps_its_waves_its_limit_and_its_tolerance():
    names = ('A', 'B', 'C', 'D')
    for limit, split, states in itertools.product(
        (0, 1, 2), (1, 2, 4), itertools.product('-sfb', repeat=4)
    ):
        waves = (names[:split], names[split:])
        settled = {n for n, s in zip(names, states, strict=True) if s in 'sf'}
        begun = {n for n, s in zip(names, states, strict=True) if s in 'sfb'}
        parts = tuple(
            Part(n, n, n, state=State.FAILED if s == 'f' else State.READY)
            for n, s in zip(names, states, strict=True)
        )
        rollout = spec.Rollout(waves, limit)
        chosen = rollouts.may_work(model.Record(parts=parts), rollout, settled, begun)
        assert not set(chosen) & settled
        fresh = set(chosen) - begun
        assert not (fresh and 'f' in states)
        if set(chosen) & set(waves[1]) - begun:
            assert set(waves[0]) <= settled
        if limit and fresh:
            assert len(chosen) <= max(limit, len(begun - settled))
