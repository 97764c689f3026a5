# SPDX-License-Identifier: Apache-2.0
"""Which work counts as left behind by a dead engine, over all small trees."""

import itertools
import types

import pytest

from heat_ha.cloud import heat_stalled
from heat_ha.cloud.heat_stalled import DEAD_AFTER, LOST_AFTER, Work

LIVING = {'living'}
ENGINES = ('', 'living', 'dead')
KINDS = tuple(itertools.product(ENGINES, (True, False)))
QUIET = (DEAD_AFTER - 1, DEAD_AFTER, LOST_AFTER)


def trees():
    """All trees of an outer stack with two resources, and an inner one with two in the first."""
    for first, second, *inner in itertools.product(KINDS, repeat=4):
        yield (
            Work('outer', 1, *first),
            Work('outer', 2, *second),
            *(Work('inner', 3 + n, *one, below=1) for n, one in enumerate(inner)),
        )


def test_only_what_nobody_living_works_on_is_left_behind():
    counted = 0
    for tree, outer, inner in itertools.product(trees(), QUIET, QUIET):
        counted += 1
        quiet = {'outer': outer, 'inner': inner}
        stacks, works = heat_stalled.left_behind(tree, LIVING.__contains__, quiet)
        found = {w.resource for w in works}
        for stack in ('outer', 'inner'):
            mine = [w for w in tree if w.stack == stack]
            is_lost = quiet[stack] >= LOST_AFTER and not any(w.engine for w in mine)
            is_inside = stack == 'inner' and 1 in found
            for work in mine:
                is_dead = work.engine == 'dead' and quiet[stack] >= DEAD_AFTER
                wanted = work.is_in_progress and (is_dead or is_lost) and not is_inside
                assert (work.resource in found) == wanted, (tree, quiet)
            is_hit = is_lost or any(w.resource in found for w in mine)
            assert (stack in stacks) == (is_hit and not is_inside), (tree, quiet)
    assert counted == 6**4 * 3**2


@pytest.mark.parametrize('depth', [1, 2, 3])
def test_of_what_lies_in_one_another_only_the_outermost_is_let_fail(depth):
    # Whoever takes the outer resource up updates the inner stack: to let that one fail at the same
    # moment would take the update from under its feet.
    tree = [Work(f's{n}', n + 1, 'dead', True, below=n) for n in range(depth + 1)]
    quiet = dict.fromkeys((w.stack for w in tree), LOST_AFTER)
    stacks, works = heat_stalled.left_behind(tree, LIVING.__contains__, quiet)
    assert stacks == {'s0'} and works == (tree[0],)


@pytest.mark.parametrize('quiet', QUIET)
def test_a_stack_of_which_every_resource_is_gone_counts_as_left_when_nothing_changes(quiet):
    # Its engine died after the last deletion and before the stack's own end.
    empty = Work('s', 0, '', False)
    expected = {'s'} if quiet >= LOST_AFTER else set()
    assert heat_stalled.left_behind([empty], LIVING.__contains__, {'s': quiet}) == (expected, ())
    # In one that is found itself, it is seen to by whoever goes on with that one.
    outer = Work('outer', 7, 'dead', True)
    inner = Work('s', 0, '', False, below=7)
    other = Work('other', 8, '', True)
    stacks, works = heat_stalled.left_behind(
        [outer, inner, other], LIVING.__contains__, {'outer': quiet, 's': quiet, 'other': quiet}
    )
    assert 's' not in stacks
    assert ('other' in stacks) == (other in works) == (quiet >= LOST_AFTER)


def test_each_engine_is_asked_once():
    asked = []

    def is_alive(engine):
        asked.append(engine)
        return True

    tree = [Work('s', n, 'other', True) for n in range(5)]
    assert heat_stalled.left_behind(tree, is_alive, {'s': 0.0}) == (frozenset(), ())
    assert asked == ['other']


@pytest.mark.parametrize(
    ('answers', 'is_left'),
    [
        # By look; they are three seconds apart, and the stack is quiet for long enough at the last.
        ([True] * 6, False),
        ([True] * 5 + [False], False),
        ([True] * 4 + [False] * 2, True),
        ([True, True, False, True, True, False], False),
        ([False] * 6, True),
    ],
)
def test_one_answer_that_is_late_takes_nothing_from_an_engine(monkeypatch, answers, is_left):
    now, left = [0.0], []
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(heat_stalled, 'time', clock)
    monkeypatch.setattr(
        heat_stalled,
        '_waited_for',
        lambda *_a: [heat_stalled.Work('s', 1, 'busy', True, 1, 'CREATE')],
    )
    monkeypatch.setattr(heat_stalled.heat_orphans, 'adopt', lambda *_a: None)
    monkeypatch.setattr(heat_stalled.OrphanScanner, '_fail_resource', lambda _s, w: left.append(w))
    monkeypatch.setattr(heat_stalled.OrphanScanner, '_fail_stack', lambda *_a: None)
    at_look = []
    scanner = heat_stalled.OrphanScanner(None, 's', lambda _engine: at_look[-1])
    for answer in answers:
        at_look.append(answer)
        now[0] += heat_stalled.EVERY
        scanner.look()
    assert bool(left) is is_left


@pytest.mark.parametrize('outer', ['IN_PROGRESS', 'FAILED', 'COMPLETE'])
@pytest.mark.parametrize('inner', ['IN_PROGRESS', 'FAILED'])
@pytest.mark.parametrize('engine', ['living', None])
def test_what_a_living_engine_waits_for_in_a_failed_stack_is_looked_at(
    monkeypatch, outer, inner, engine
):
    """Another engine has died with the message about the inner stack. Found by chaos (seed 31)."""

    def row(number, physical, held_by, status):
        return types.SimpleNamespace(
            id=number,
            physical_resource_id=physical,
            engine_id=held_by,
            status=status,
            atomic_key=number,
            action='UPDATE',
        )

    rows = {
        'outer': {1: row(1, 'inner', engine, 'IN_PROGRESS'), 2: row(2, 'x', None, 'COMPLETE')},
        'inner': {3: row(3, 'y', None, 'COMPLETE')},
    }
    statuses = {'outer': outer, 'inner': inner}
    children = {'outer': [types.SimpleNamespace(id='inner')]}
    stacks, resources = heat_stalled.stack_object.Stack, heat_stalled.resource_object.Resource
    monkeypatch.setattr(stacks, 'get_status', lambda _c, one: ('UPDATE', statuses[one], '', ''))
    monkeypatch.setattr(stacks, 'get_all_by_owner_id', lambda _c, one: children.get(one, []))
    monkeypatch.setattr(resources, 'get_all_active_by_stack', lambda _c, one: rows[one])
    found = {work.stack for work in heat_stalled._waited_for(None, 'outer')}
    is_waited_for = inner == 'IN_PROGRESS' and (outer == 'IN_PROGRESS' or engine == 'living')
    assert ('inner' in found) is is_waited_for and ('outer' in found) is (outer == 'IN_PROGRESS')
    works = tuple(heat_stalled._waited_for(None, 'outer'))
    quiet = {'outer': 0.0, 'inner': LOST_AFTER}
    left, _rows = heat_stalled.left_behind(works, LIVING.__contains__, quiet)
    # The inner stack is let fail, and with it ends what the engine waits for.
    assert left == ({'inner'} if is_waited_for else set())
