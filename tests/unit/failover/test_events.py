# SPDX-License-Identifier: Apache-2.0
import types

import pytest

from heat_ha import exceptions
from heat_ha.cloud import model as cloud
from heat_ha.failover import events, model
from heat_ha.failover.rules import moves, server_rules


def emitter(add_event):
    return events.EventEmitter(types.SimpleNamespace(name='policy', _add_event=add_event))


def test_a_failover_goes_on_when_no_event_can_be_made():
    def broken(*_args):
        raise RuntimeError('the database does not answer')

    emitter(broken).progress('detach: done')


@pytest.mark.parametrize(
    ('reason', 'said'), [('', '; steps:'), ('it burns', ' because it burns; ')]
)
def test_a_reason_is_reported_where_there_is_one(reason, said):
    found = []
    plan = model.Plan('p', model.Cause.FAILOVER, reason, 'policy', '', 1, '', None, None, ())
    emitter(lambda *event: found.append(event)).start(plan)
    assert found[0][2].startswith(f'[p] failover from none to a new member{said}')


def test_a_text_of_many_parts_is_in_as_few_events_as_hold_it():
    made = []
    parts = [f'volume-{number} is at member a' for number in range(30)]
    made_by = emitter(lambda _what, _status, text: made.append(text))
    made_by.emit_in_parts(events.COMPLETE, '; '.join(parts))
    assert '; '.join(made) == '; '.join(parts)
    assert 1 < len(made) < 10 and all(len(text) <= 255 for text in made)


def _longest_stops():
    """What the hosts of servers lead to, each for a volume and after a free one."""
    for status in cloud.ServerStatus:
        for state in cloud.HostState:
            server, host = cloud.Server('s' * 36, status), cloud.Host(state, 'the host ' + 'h' * 60)
            yield server_rules.next_for_stuck(server, host, may_delete=False)
            yield server_rules.next_for_stuck_stop(server, host)
            for new in (True, False):
                yield server_rules.next_for_hand_over(server, host, is_successor=new)
            for sight in cloud.Sight:
                yield server_rules.next_for_free(server, host, sight)


@pytest.mark.parametrize('kind', [exceptions.FencingUnconfirmed, exceptions.SuccessorFailed])
def test_the_way_out_is_in_the_event_whole_however_long_the_reason_is(kind):
    found = [m for m in _longest_stops() if isinstance(m, moves.Stop | moves.WaitForFence)]
    assert found
    for move in found:
        step = f'detach:{"v" * 36}: it is free, but '
        exc = kind(step + move.reason, move.remedy)
        for text in (
            events.of_error('stopped: ', exc),
            events.with_remedy('waiting for the fence: ', exc.reason, exc.remedy),
        ):
            # With the id of the plan before it.
            assert len(f'[12345678] {text}') <= 255, text
            assert text.endswith(f'. {move.remedy}') and step[:40] in text
    assert events.of_error('stopped: ', exceptions.CouldNotAsk('Nova', 'a server', 'x')) == (
        'stopped: could not ask Nova for a server: x'
    )
    assert events.of_error('refused: ', exceptions.Refused('no')) == 'refused: no'


def test_who_is_eligible_again_is_news_even_of_a_signal_that_makes_none():
    made = []
    made_by = emitter(lambda _what, _status, text: made.append(text))
    made_by.hold_back()
    made_by.progress('as before')
    made_by.cleared({'a': 'it was rebooted'})
    made_by.let_go(is_news=False)
    assert made == ['member a is eligible again: it was rebooted']
