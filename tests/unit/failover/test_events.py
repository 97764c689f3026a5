# SPDX-License-Identifier: Apache-2.0
import types

import pytest

from heat_ha.failover import events, model


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


def test_who_is_eligible_again_is_news_even_of_a_signal_that_makes_none():
    made = []
    made_by = emitter(lambda _what, _status, text: made.append(text))
    made_by.hold_back()
    made_by.progress('as before')
    made_by.cleared({'a': 'it was rebooted'})
    made_by.let_go(is_news=False)
    assert made == ['member a is eligible again: it was rebooted']
