# SPDX-License-Identifier: Apache-2.0
"""What follows the end of a guest: the table of the admin guide, over all that Nova may show."""

import itertools

import pytest

from heat_ha.agent.rules import instance_failures as rules
from heat_ha.agent.rules.instance_failures import Action, Outcome, Wanted

OWN = {'own', 'second'}
STATES = ('active', 'stopped', 'error', 'building', 'paused', 'suspended', 'rescued', 'resized',
          'shelved', 'shelved_offloaded', 'soft-delete', 'deleted', '')  # fmt: skip
POWERS = (None, 0, 1, 3, 4, 6, 7, 99)
TASKS = ('', 'powering-on', 'powering-off', 'deleting', 'rebuilding', 'migrating')
# Where a guest does not run: by the state of its server, the states of its power.
ENDED = {'stopped': (0, 4, 6), 'active': (4, 6), 'error': (4, 6)}


def outcome(step):
    return step.outcome if isinstance(step, rules.Drop) else type(step)


def test_a_signal_follows_only_for_an_own_server_that_was_to_run_and_does_not():
    every = itertools.product(('own', 'other'), STATES, POWERS, TASKS, Wanted)
    for project, state, power, task, wanted in every:
        shown = rules.Shown(project, state, power, task, wanted)
        if project != 'own':
            expected = Outcome.FOREIGN
        elif task:
            expected = rules.LookAgain
        elif power == 1:
            expected = Outcome.RUNNING
        elif wanted is Wanted.STOPPED:
            expected = Outcome.ASKED_FOR
        elif wanted is Wanted.UNKNOWN:
            expected = Outcome.UNKNOWN
        elif power in ENDED.get(state, ()):
            expected = rules.Signal
        else:
            expected = Outcome.OTHER_STATE
        assert outcome(rules.next_step(shown, OWN)) is expected, shown


def test_a_server_that_is_gone_has_not_crashed():
    assert outcome(rules.next_step(None, OWN)) is Outcome.GONE


CREATED = Action('create', 'owner')
NOVA = Action('stop', '')


@pytest.mark.parametrize(
    ('actions', 'expected'),
    [
        # It crashed, once or several times.
        ([NOVA, CREATED], Wanted.RUNNING),
        ([NOVA, NOVA, Action('reboot', 'owner'), CREATED], Wanted.RUNNING),
        # A person has stopped it, after a start that followed the crash.
        ([Action('stop', 'owner'), Action('start', 'owner'), NOVA, CREATED], Wanted.STOPPED),
        # A person has stopped it, somebody has started it beside Nova, and Nova stopped it again.
        ([NOVA, Action('stop', 'owner'), CREATED], Wanted.STOPPED),
        # Started again.
        ([Action('start', 'owner'), NOVA, CREATED], Wanted.RUNNING),
        # What a failover does with it says nothing of its power.
        ([Action('detach_volume', 'owner'), NOVA, CREATED], Wanted.RUNNING),
        ([Action('resize', 'owner'), Action('stop', 'owner'), CREATED], Wanted.STOPPED),
        # What has failed left it as it was; it was to run since it was made, if that failed or not.
        ([NOVA, Action('suspend', 'owner', has_failed=True), CREATED], Wanted.RUNNING),
        (
            [NOVA, Action('start', 'owner', has_failed=True), Action('stop', 'owner')],
            Wanted.STOPPED,
        ),
        (
            [NOVA, Action('rebuild', 'owner'), Action('create', 'owner', has_failed=True)],
            Wanted.RUNNING,
        ),
        ([NOVA, Action('delete', 'owner', has_failed=True)], Wanted.UNKNOWN),
        ([NOVA], Wanted.UNKNOWN),
        ([], Wanted.UNKNOWN),
    ],
)
def test_what_counts_is_what_somebody_last_asked_for(actions, expected):
    assert rules.wanted(actions) is expected


@pytest.mark.parametrize('name', ['pause', 'suspend', 'shelve', 'shelveOffload', 'rescue',
                                  'delete', 'softDelete', 'forceDelete', 'stop'])  # fmt: skip
def test_after_these_a_server_is_not_meant_to_run(name):
    assert rules.wanted([Action(name, 'owner'), CREATED]) is Wanted.STOPPED


def test_a_failure_is_given_up_after_a_minute_and_a_half():
    pauses = [rules.pause(tries) for tries in range(1, 10)]
    assert pauses[0] == 1.0 and pauses[len(rules.PAUSES) :] == [None, None]
    assert 60 < sum(rules.PAUSES) < 120


def test_no_more_of_the_actions_is_read_than_it_takes():
    rest = iter([NOVA, Action('createImage', 'owner'), Action('start', 'owner'), CREATED])
    assert rules.wanted(rest) is Wanted.RUNNING and list(rest) == [CREATED]
