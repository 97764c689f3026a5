# SPDX-License-Identifier: Apache-2.0
"""What an earlier replacement left, before another one is put on record."""

import types

import pytest

from heat_ha import exceptions
from heat_ha.groups import intent, model, run_series
from tests.unit.groups import worlds

MEMBERS = {
    'nothing': None,
    'a removal': worlds.group('b', 'c', 'x'),
    'more': worlds.group('a', 'b'),
}


@pytest.mark.parametrize('on_record', MEMBERS)
@pytest.mark.parametrize('kind', [exceptions.Stopped, exceptions.Refused, intent.TakenOver])
def test_only_what_another_may_overtake_and_is_still_ours_is_passed_over(
    monkeypatch, kind, on_record
):
    left = worlds.replacement(('a', 'x'))
    seen = MEMBERS[on_record]

    def fail(*_arguments):
        raise kind('no host', 'mend it')

    monkeypatch.setattr(run_series.RunSeries, 'in_runs', fail)
    monkeypatch.setattr(
        run_series,
        'group_store',
        types.SimpleNamespace(read_replacement=lambda _group: left if seen else None),
    )
    monkeypatch.setattr(
        run_series,
        'group_members',
        types.SimpleNamespace(look=lambda _group: seen, rolling=lambda _group: model.Rolling()),
    )
    emitted = []
    group = types.SimpleNamespace(MAX_SIZE='max_size', properties={'max_size': 9})
    series = run_series.RunSeries(group, None, emitted.append)
    if on_record == 'more' or kind is intent.TakenOver:
        with pytest.raises(kind):
            series.settle(left, lambda: ())
        assert len(emitted) == 1
    else:
        assert series.settle(left, lambda: ()) is None
        assert 'no host' in emitted[-1]
