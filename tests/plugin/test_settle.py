# SPDX-License-Identifier: Apache-2.0
"""What an earlier replacement left, before one more member is brought into a group."""

import types

import pytest

from heat_ha import exceptions
from heat_ha.groups import intent, replacing
from tests.unit.groups import worlds


@pytest.mark.parametrize('is_on_record', [True, False])
@pytest.mark.parametrize('kind', [exceptions.Stopped, exceptions.Refused, intent.TakenOver])
def test_only_what_is_off_the_record_and_still_ours_is_passed_over(monkeypatch, kind, is_on_record):
    left = worlds.replacement(('a', 'x'))

    def fail(*_arguments):
        raise kind('no host', 'mend it')

    monkeypatch.setattr(replacing, '_in_several_runs', fail)
    monkeypatch.setattr(
        replacing,
        'group_store',
        types.SimpleNamespace(read_replacement=lambda _group: left if is_on_record else None),
    )
    emitted = []
    if is_on_record or kind is intent.TakenOver:
        with pytest.raises(kind):
            replacing._settle(None, None, left, (), emitted.append)
        assert emitted == []
    else:
        replacing._settle(None, None, left, (), emitted.append)
        assert 'no host' in emitted[0]
