# SPDX-License-Identifier: Apache-2.0
"""Which work on record the agent asks for, over all that can be on record together."""

import datetime
import itertools

import pytest

from heat_ha.agent.rules import unfinished

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def at(seconds):
    return (NOW + datetime.timedelta(seconds=seconds)).isoformat()


SIGNALS = {
    'none': ((), False),
    'a new one': (({'came': at(-1)},), False),
    'one that nobody took': (({'came': at(-60)},), True),
    'one that is due later': (({'came': at(-60), 'due': at(30)},), False),
    'one that was due': (({'came': at(-60), 'due': at(-30)},), True),
    'one of a clock ahead': (({'came': at(18_000)},), True),
    'one put off by a clock ahead': (({'came': at(-60), 'due': at(18_000)},), True),
}
FOLLOW_UPS = {
    'none': ((), False),
    'a new one': (({},), True),
    'one that is due later': (({'due': at(30)},), False),
    'one that is due': (({'due': at(-1)},), True),
    'one whose engine lives': (({'due': at(-1), 'engine': 'living'},), False),
    'one whose engine is dead': (({'due': at(-1), 'engine': 'dead'},), True),
    'one that its living engine forgot': (({'due': at(-61), 'engine': 'living'},), True),
    'one of a clock ahead': (({'due': at(18_000), 'engine': 'living'},), True),
}
KEPT = {
    'none': ((), False),
    'later': (({'until': at(9)},), False),
    'much later': (({'until': at(18_000)},), False),
    'now': (({'until': at(-9)},), True),
    'again later': (({'until': at(-9), 'due': at(9)},), False),
    'again by a clock ahead': (({'until': at(-99), 'due': at(18_000)},), True),
    'again now': (({'until': at(-99), 'due': at(-9)},), True),
}
STATES = ('ready', 'running', 'waiting_for_fence', 'stopped')


def test_what_is_due_is_asked_for_unless_a_living_engine_is_at_it():
    count = 0
    for state, signals, left, kept, paused, locked, fenced in itertools.product(
        STATES, SIGNALS, FOLLOW_UPS, KEPT, (False, True), (False, True), (False, True)
    ):
        count += 1
        record = {'state': state, 'is_paused': paused}
        record |= {'follow_ups': list(FOLLOW_UPS[left][0]), 'kept': list(KEPT[kept][0])}
        found = unfinished.wanted(
            record,
            SIGNALS[signals][0],
            NOW,
            is_locked=locked,
            is_alive=lambda engine: engine == 'living',
            is_fence_over=lambda fenced=fenced: fenced,
        )
        if paused or locked:
            assert found is None
        elif state == 'running' or (state == 'waiting_for_fence' and fenced):
            assert found.action == 'resume'
        elif state == 'stopped':
            assert found.action == 'retry'
        else:
            is_over = state == 'ready'
            is_due = FOLLOW_UPS[left][1] or (is_over and (SIGNALS[signals][1] or KEPT[kept][1]))
            assert (found is not None and found.action == 'retry') is is_due, (signals, left, kept)
    assert count == 4 * 7 * 8 * 7 * 8


def test_a_stopped_plan_is_tried_again_when_that_is_due():
    for due, is_due in (('', True), (at(-1), True), (at(1), False), (at(90), True)):
        record = {'state': 'stopped', 'retry_due': due}
        found = unfinished.wanted(
            record, (), NOW, is_locked=False, is_alive=bool, is_fence_over=lambda: False
        )
        assert (found is not None) is is_due


def test_a_config_in_a_server_is_run_again_by_a_person_only():
    for kind in ('detach', 'attach', 'hand_over', 'add_member', 'quiesce', 'activate'):
        record = {'state': 'stopped', 'plan': {'steps': [{'kind': kind, 'state': 'failed'}]}}
        found = unfinished.wanted(
            record, (), NOW, is_locked=False, is_alive=bool, is_fence_over=lambda: False
        )
        assert (found is None) is (kind in ('quiesce', 'activate'))


@pytest.mark.parametrize('state', STATES[1:])
def test_a_signal_about_the_successor_waits_for_no_plan(state):
    hook = {'kind': 'activate', 'state': 'failed'}
    plan = {'new': {'member': 'b', 'server': 'server-b'}, 'steps': [hook]}
    record = {'state': state, 'plan': plan, 'retry_due': at(30)}

    def found(server, came, **changes):
        kept = ({'server': server, 'came': at(came), **changes},)
        return unfinished.wanted(
            record, kept, NOW, is_locked=False, is_alive=lambda _: False,
            is_fence_over=lambda: False,
        )  # fmt: skip

    assert found('server-b', -60).action == ('resume' if state == 'running' else 'retry')
    if state != 'running':
        assert found('server-c', -60) is None and found('server-b', -1) is None
        assert found('server-of-then', -60, named='b', is_named=True).action == 'retry'
        assert found('server-of-then', -60, named='c', is_named=True) is None
