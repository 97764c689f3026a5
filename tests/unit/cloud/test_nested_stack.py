# SPDX-License-Identifier: Apache-2.0
"""Updates of a nested stack that fail are repeated; those that do not end are not."""

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
