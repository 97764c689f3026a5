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
