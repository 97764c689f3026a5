# SPDX-License-Identifier: Apache-2.0
"""Replacements make way for failovers of the same engine, and for how long."""

import contextlib

import pytest

from heat_ha import exceptions, signals
from heat_ha.failover import controller, model, moves_under_way, work_loop
from tests.unit.failover.policies import RUNNING, change, kept
from tests.unit.failover.rules.test_outcome import moved


@pytest.fixture
def moves(made, monkeypatch):
    """What moves in this engine, on the clock of ``made``, and another one that does."""
    found = moves_under_way.MovesUnderWay(lambda: made.clock[0])

    def wait(seconds):
        work_loop.time.sleep(seconds)

    found._change.wait = wait
    monkeypatch.setattr(moves_under_way, 'HERE', found)
    found.begin('other')
    return found


def replaces_at_once(made, monkeypatch):
    """A follow-up whose work takes no time; when it was begun is in ``made.carried``."""
    change(made, follow_ups=(model.FollowUp(moved(RUNNING)),))

    def carry_out(_self):
        made.carried.append(made.clock[0])
        change(made, follow_ups=())
        return work_loop.follow_up_run.Tried.ENDED

    monkeypatch.setattr(work_loop.follow_up_run.FollowUpRun, 'carry_out', carry_out)


@pytest.mark.parametrize(
    ('ends_after', 'begins'),
    [
        pytest.param(7.0, (7.0, 9.0), id='until the other has moved'),
        pytest.param(9e9, (60.0, 63.0), id='at the latest after its patience'),
    ],
)
def test_a_replacement_makes_way_for_failovers_of_the_engine(
    made, moves, monkeypatch, ends_after, begins
):
    replaces_at_once(made, monkeypatch)
    made.while_asleep.append(lambda now: moves.end('other') if now >= ends_after else None)
    made._loop.go_on(waits=True)
    [begun] = made.carried
    assert begins[0] <= begun <= begins[1]


def test_a_signal_is_decided_while_a_replacement_makes_way(made, moves, monkeypatch):
    replaces_at_once(made, monkeypatch)
    made.answers = ['done']
    told = []

    def tell(now):
        if now >= 5.0 and not told:
            told.append(now)
            at = work_loop.clock.now_text()
            made._signals.keep(model.Remembered('b', 'server-b', True, at, 'alarm', 'ill', None))

    made.while_asleep.append(tell)
    made._loop.go_on(waits=True)
    assert len(made.decided) == 1 and kept(made) == ()
    assert len(made.carried) == 1 and made.carried[0] > told[0]


def test_who_does_not_wait_makes_no_way(made, moves, monkeypatch):
    replaces_at_once(made, monkeypatch)
    made._loop.go_on(waits=False)
    assert made.carried == [0.0]


def test_one_thread_of_a_policy_makes_way_and_the_others_end(made, moves, monkeypatch):
    replaces_at_once(made, monkeypatch)
    monkeypatch.setitem(work_loop._WAITERS, made.policy.resource_id, 'another thread')
    made._loop.go_on(waits=True)
    assert made.carried == [] and made.clock[0] == 0.0


@pytest.mark.parametrize('answer', ['done', exceptions.Stopped('why', 'how'), RuntimeError('bug')])
def test_a_failover_is_made_way_for_while_it_is_decided_and_carried_out(
    made, moves, monkeypatch, answer
):
    seen = []

    def handle(_self, *_args, **_kwargs):
        seen.append(made.policy.resource_id in moves._begun)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(controller.FailoverController, 'handle', handle)
    with contextlib.suppress(exceptions.Stopped, RuntimeError):
        made.handle(signals.Signal(), None, 'alarm')
    assert seen == [True] and made.policy.resource_id not in moves._begun
