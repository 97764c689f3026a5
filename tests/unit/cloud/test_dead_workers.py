# SPDX-License-Identifier: Apache-2.0
"""Which work counts as left behind by a dead engine, over all small trees."""

import itertools

from heat_ha.cloud import dead_workers
from heat_ha.cloud.dead_workers import LOST_AFTER, Work

LIVING = {'living'}
ENGINES = ('', 'living', 'dead')


def trees():
    """All trees of two stacks with up to three resources between them."""
    rows = [
        (stack, engine, is_in_progress)
        for stack in ('outer', 'inner')
        for engine in ENGINES
        for is_in_progress in (True, False)
    ]
    for count in range(4):
        for chosen in itertools.combinations_with_replacement(rows, count):
            yield tuple(Work(stack, n, *rest) for n, (stack, *rest) in enumerate(chosen))


def test_only_what_nobody_living_works_on_is_left_behind():
    counted = 0
    for tree in trees():
        for outer, inner in itertools.product((LOST_AFTER - 1, LOST_AFTER), repeat=2):
            counted += 1
            quiet = {'outer': outer, 'inner': inner}
            stacks, works = dead_workers.left_behind(tree, LIVING.__contains__, quiet)
            assert all(w.engine != 'living' and w.is_in_progress for w in works), tree
            assert {w.stack for w in works} <= stacks <= {w.stack for w in tree}, tree
            for stack in {w.stack for w in tree}:
                mine = [w for w in tree if w.stack == stack]
                dead = [w for w in mine if w.engine == 'dead' and w.is_in_progress]
                is_lost = quiet[stack] >= LOST_AFTER and not any(w.engine for w in mine)
                assert (stack in stacks) == (bool(dead) or is_lost), tree
                wanted = [w for w in mine if w.is_in_progress] if is_lost else dead
                assert [w for w in works if w.stack == stack] == wanted, tree
    assert counted == 4 * (1 + 12 + 78 + 364)


def test_each_engine_is_asked_once():
    asked = []

    def is_alive(engine):
        asked.append(engine)
        return True

    tree = [Work('s', n, 'other', True) for n in range(5)]
    assert dead_workers.left_behind(tree, is_alive, {'s': 0.0}) == (frozenset(), ())
    assert asked == ['other']
