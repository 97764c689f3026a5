# SPDX-License-Identifier: Apache-2.0
"""Updates of a nested stack that fail are repeated; those that do not end are not."""

import types
from unittest import mock

import pytest
from heat.common import exception as heat_exception
from heat.objects import stack as stack_object

from heat_ha import exceptions
from heat_ha.cloud import nested_stack


class Policy:
    """A resource whose nested stack ends its updates as it was told."""

    name, resource_id, context = 'policy', 'nested', None

    def __init__(self, *ends):
        self.ends = list(ends)
        self.updates = 0

    def update_with_template(self, template):
        assert template == 'template'
        self.updates += 1
        if self.ends[0] == 'refused':
            self.ends.pop(0)
            raise heat_exception.StackValidationFailed(message='no answer of Cinder')

    def get_status(self, _context, _stack):
        end = self.ends[0] if self.ends[0] == 'IN_PROGRESS' else self.ends.pop(0)
        return 'UPDATE', end, 'why', None


@pytest.fixture
def update(monkeypatch):
    def call(policy, still_wanted=lambda: None, timeout=60.0):
        monkeypatch.setattr(stack_object.Stack, 'get_status', policy.get_status)
        nested_stack.update_nested(
            policy, lambda: 'template', timeout=timeout, still_wanted=still_wanted
        )

    monkeypatch.setattr(nested_stack, 'AGAIN_AFTER', (0.0, 0.0, 0.0))
    return call


@pytest.mark.parametrize('failures', [(), ('FAILED',), ('refused', 'FAILED', 'refused')])
def test_an_update_is_repeated_until_it_is_complete(update, failures):
    policy = Policy(*failures, 'COMPLETE')
    update(policy)
    assert policy.updates == len(failures) + 1


def test_it_stops_when_it_fails_each_time(update):
    policy = Policy(*['FAILED'] * 9)
    with pytest.raises(exceptions.Stopped, match='why'):
        update(policy)
    assert policy.updates == 4


def test_an_update_that_does_not_end_is_not_repeated(update):
    policy = Policy('IN_PROGRESS')
    with pytest.raises(exceptions.Stopped, match='not done'):
        update(policy, timeout=0.0)
    assert policy.updates == 1


def test_an_engine_that_is_no_longer_wanted_repeats_nothing(update):
    policy = Policy('FAILED', 'COMPLETE')

    def still_wanted():
        if policy.updates and policy.ends[0] == 'COMPLETE':
            raise exceptions.FencingUnconfirmed('the policy is being deleted', '')

    with pytest.raises(exceptions.FencingUnconfirmed):
        update(policy, still_wanted)
    assert policy.updates == 1


class Deleted:
    """A nested stack that is deleted, as Heat's database shows it from look to look."""

    def __init__(self, monkeypatch, *looks):
        self.looks, self.sent, self.now, self.has_row = list(looks), [], 100.0, False
        monkeypatch.setattr(stack_object.Stack, 'get_status', self._status)
        monkeypatch.setattr(stack_object.Stack, 'get_by_id', lambda *_args: self.has_row or None)
        clock = types.SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(nested_stack, 'time', clock)
        monkeypatch.setattr(nested_stack, 'scanner_of', lambda *_args: mock.Mock())
        self.deletion = nested_stack.Deletion('context', 'nested', self._send)

    def _status(self, _context, _stack):
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if found is None:
            raise heat_exception.NotFound
        return *found.split('_', 1), 'why', None

    def _send(self):
        self.sent.append(self.now)

    def look(self, times=1):
        found = [self.deletion.is_gone() for _ in range(times)]
        return found[-1]


def test_a_deletion_that_is_under_way_is_left_alone(monkeypatch):
    world = Deleted(monkeypatch, 'DELETE_IN_PROGRESS', 'DELETE_IN_PROGRESS', None)
    assert not world.look(2)
    assert world.look() and not world.sent


@pytest.mark.parametrize('has_row', [False, True])
def test_a_deleted_stack_whose_row_an_engine_left_is_deleted_once_more(monkeypatch, has_row):
    world = Deleted(monkeypatch, 'DELETE_COMPLETE')
    world.has_row = has_row
    assert world.look() and len(world.sent) == has_row


def test_a_request_that_was_lost_is_sent_again_after_a_while(monkeypatch):
    world = Deleted(monkeypatch, 'CREATE_COMPLETE')
    assert not world.look(5) and len(world.sent) == 1
    world.now += nested_stack.DELETE_AGAIN_AFTER
    assert not world.look(5) and len(world.sent) == 2


def test_a_deletion_that_fails_is_sent_again_a_few_times(monkeypatch):
    world = Deleted(monkeypatch, 'DELETE_FAILED')
    for sent, pause in enumerate(nested_stack.AGAIN_AFTER, 1):
        assert not world.look(3) and len(world.sent) == sent
        world.now += pause
    with pytest.raises(nested_stack.NestedFailed, match='why'):
        world.look()
    assert len(world.sent) == len(nested_stack.AGAIN_AFTER)


def test_the_time_without_a_change_is_counted_anew_after_each_request(monkeypatch):
    world = Deleted(monkeypatch, 'DELETE_IN_PROGRESS', 'DELETE_FAILED', 'DELETE_IN_PROGRESS')
    first = world.deletion._scanner
    assert not world.look(3)
    assert first.look.call_count == 1 and world.deletion._scanner is not first
    assert world.deletion._scanner.look.call_count == 1
