# SPDX-License-Identifier: Apache-2.0
"""What a failover does around its plan: letting go of what was kept, and telling."""

import types
from unittest import mock

import pytest

from heat_ha.failover import model, shell, telling
from heat_ha.groups import replacing
from heat_ha.plugin import failover_policy
from tests.unit.failover import worlds

LONG_AGO = '2020-01-01T00:00:00.000+00:00'


@pytest.fixture
def failover(monkeypatch):
    """A failover that has nothing but what the tests look at; each lock answer is used once."""

    def make(*is_held, tell=None):
        made = object.__new__(shell.Failover)
        answers = list(is_held)
        made._lock = types.SimpleNamespace(is_held=lambda: answers.pop(0))
        made._policy = types.SimpleNamespace(name='policy', _add_event=tell or (lambda *a: None))
        made._teller = telling.Teller(made._policy)
        made._group = None
        made._record = model.Record(
            active=worlds.holder('b'), kept=(model.Kept('a', 'server-a', LONG_AGO),)
        )
        made.replaced, made.written = [], []
        monkeypatch.setattr(replacing, 'replace', lambda *a, **k: made.replaced.append(k['named']))
        monkeypatch.setattr(shell.record, 'write', lambda policy, new: made.written.append(new))
        return made

    return make


def test_what_was_kept_long_enough_goes(failover):
    made = failover(True, True)
    made._let_go_of_kept('policy')
    assert made.replaced == [('a',)] and made.written[-1].kept == ()


def test_an_engine_that_lost_the_group_removes_nothing_and_writes_nothing(failover):
    made = failover(False)
    made._let_go_of_kept('policy')
    assert made.replaced == [] and made.written == []


def test_an_engine_that_loses_the_group_meanwhile_leaves_the_record_to_its_successor(failover):
    made = failover(True, False)
    made._let_go_of_kept('policy')
    assert made.replaced == [('a',)] and made.written == []


def test_a_failover_goes_on_when_no_event_can_be_made(failover):
    def broken(*_args):
        raise RuntimeError('the database does not answer')

    failover(tell=broken)._teller.progress('detach: done')


@pytest.mark.parametrize(
    ('reason', 'said'), [('', '; steps:'), ('it burns', ' because it burns; ')]
)
def test_a_reason_is_told_where_there_is_one(failover, reason, said):
    told = []
    plan = model.Plan('p', model.Cause.FAILOVER, reason, 'policy', '', 1, '', None, None, ())
    failover(tell=lambda *event: told.append(event))._teller.start(plan)
    assert told[0][2].startswith(f'[p] failover from none to a new member{said}')


def test_attributes_that_are_shown_together_are_of_one_moment(monkeypatch):
    policy = object.__new__(failover_policy.FailoverPolicy)
    policy.resource_id = 'id'
    moments = [model.Record(state=model.State.RUNNING, epoch=1), model.Record(epoch=2)]
    monkeypatch.setattr(failover_policy.record, 'read', lambda _policy: moments.pop(0))
    shown = [policy._resolve_attribute(name) for name in ('epoch', 'state')]
    assert shown == [1, 'running']
    # Not for ever: a resource may live long in an engine.
    policy._shown_at -= failover_policy.TOGETHER
    assert policy._resolve_attribute('state') == 'ready'


def test_a_creation_that_is_cancelled_holds_no_lock(monkeypatch):
    cancelled = []
    monkeypatch.setattr(
        failover_policy.FailoverPolicy, '_handle_cancel', lambda _policy: cancelled.append(1)
    )
    policy = object.__new__(failover_policy.FailoverPolicy)
    policy.handle_create_cancel({'candidates': (), 'is_made': False, 'run': None})
    policy.handle_create_cancel(None)
    lock = mock.Mock()
    policy.handle_update_cancel({'lock': lock})
    assert len(cancelled) == 3 and lock.release.call_count == 1
