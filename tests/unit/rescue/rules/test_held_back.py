# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.agent.rules import dispatch_rules, storm
from heat_ha.rescue.rules import held_back
from heat_ha.rescue.rules.held_back import Level
from tests.unit.docs.tables import documented

SCOPE = storm.Scope('p', 's', '7')
LIMITS = {
    Level.PROJECT: storm.Limits(per_project=1),
    Level.STACK: storm.Limits(per_stack=1),
    Level.POLICY: storm.Limits(per_policy=1),
}
IN_VAIN = 'given up after 12 signals in vain: no engine took it up'


def reason_of(level):
    """What the storm guard itself says."""
    return storm.of_rescues([(SCOPE, 2)], [], LIMITS[level], 0.0)['7']


@pytest.mark.parametrize('level', list(Level))
def test_what_the_storm_guard_says_tells_whose_limit_it_was(level):
    assert held_back.level_of(reason_of(level)) is level
    # The agent may have given it up as well, since.
    assert held_back.level_of(f'given up after 12 signals in vain: {reason_of(level)}') is None


# S6
@pytest.mark.parametrize('is_asked_for', [False, True], ids=['alarm', 'by name'])
@pytest.mark.parametrize('level', [*Level, None])
def test_a_limit_of_the_operator_holds_for_every_signal(level, is_asked_for):
    reason = reason_of(level) if level else IN_VAIN
    why = held_back.why_refused(reason, is_asked_for)
    if level is None or (level is Level.POLICY and is_asked_for):
        assert why == ''
        return
    assert why.startswith(reason)
    remedy = '{"action": "rescue"}' if level is Level.POLICY else 'Ask the operator'
    assert remedy in why


def test_only_what_is_held_back_in_an_incident_that_is_open_counts():
    for phase, opened, turn, number in itertools.product(
        ('rescuing', 'done', 'dropped', 'closed'), (1.0, 2.0),
        [state.value for state in dispatch_rules.DispatchState], (7, 8),
    ):  # fmt: skip
        row = {'number': number, 'turn': turn, 'servers': ['s1', 's2'], 'reason': 'why'}
        found = held_back.of_policy(
            {'c1': {'phase': phase, 'opened': opened}},
            {'c1': {'opened': 1.0, 'rows': [row]}, 'c2': {'opened': 1.0, 'rows': [row]}},
            7,
        )
        is_held = phase != 'closed' and opened == 1.0 and turn == 'deferred' and number == 7
        assert found == ({'s1': 'why', 's2': 'why'} if is_held else {})


# S6
@pytest.mark.parametrize('level', list(Level))
def test_what_an_operator_has_dropped_is_not_released_by_that(level):
    row = {'number': 7, 'turn': 'dropped', 'servers': ['s1'], 'reason': reason_of(level)}
    found = held_back.of_policy(
        {'c1': {'phase': 'done', 'opened': 1.0}}, {'c1': {'opened': 1.0, 'rows': [row]}}, 7
    )
    assert held_back.level_of(found['s1']) is level
    assert held_back.why_refused(found['s1'], is_asked_for=False)
    by_name = held_back.why_refused(found['s1'], is_asked_for=True)
    assert bool(by_name) is not level.of_owner and 'release' not in by_name


@pytest.mark.parametrize('odd', [{}, {'rows': [{}]}, {'opened': 1.0}])
def test_what_a_newer_agent_wrote_otherwise_holds_nothing_back(odd):
    assert held_back.of_policy({'c1': {'opened': 1.0}}, {'c1': odd}, 7) == {}


def test_the_document_has_each_limit_with_what_is_refused():
    rows = documented('user/rescue_policy.rst', 'held-back')
    wanted = [
        ['refused' if held_back.why_refused(reason, asked) else 'rescued' for asked in (0, 1)]
        for reason in (reason_of(Level.PROJECT), reason_of(Level.POLICY), IN_VAIN)
    ]
    assert [[cell.split(';')[0].split(':')[0] for cell in row[1:]] for row in rows] == wanted
