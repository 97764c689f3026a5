# SPDX-License-Identifier: Apache-2.0
"""How many servers the dispatcher lets be under way, and what it asks Nova for that."""

import itertools

from heat_ha.agent import dispatcher
from heat_ha.agent.rules import dispatch_rules, storm
from heat_ha.cloud import model as cloud


class Nova:
    """Counts how often it is asked what is built anew."""

    def __init__(self, arriving):
        self.found = arriving
        self.asked = 0

    def arriving(self):
        self.asked += 1
        return self.found


def row(number, turn):
    return dispatch_rules.PolicyDispatch(
        number, f'p{number}', 'st', 's', 'p', 'r', 0, (f's{number}',), turn
    )


def test_nova_is_asked_what_arrives_where_only_while_a_policy_waits_for_others():
    services = {
        'c1': cloud.ComputeService('c1', 'id', False, True, True),
        'c2': cloud.ComputeService('c2', 'id', True, False, False),
        'c3': cloud.ComputeService('c3', 'id', True, False, True),
    }
    for turns in itertools.product(dispatch_rules.DispatchState, repeat=2):
        for per_destination in (0, 2):
            nova = Nova({'s1': 'c2'})
            made = dispatcher.Dispatcher(None, nova, None, storm.Limits(), 8, per_destination)
            found = made._bound([row(n, turn) for n, turn in enumerate(turns)], services)
            waiting = turns.count(dispatch_rules.DispatchState.WAITING)
            is_asked = waiting == 2 or (waiting and dispatch_rules.DispatchState.SIGNALLED in turns)
            assert nova.asked == bool(is_asked and per_destination), turns
            if nova.asked:
                # Only c2 takes servers, and one of its two places is taken.
                assert found == 1 + (turns[1] is dispatch_rules.DispatchState.SIGNALLED), turns
            else:
                assert found == 8
