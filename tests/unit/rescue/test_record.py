# SPDX-License-Identifier: Apache-2.0
"""What a policy keeps of its rescues has a bound, whatever the servers are called."""

import types

import pytest

from heat_ha import exceptions, serialization
from heat_ha.cloud import resource_data
from heat_ha.cloud.model import ServerStatus
from heat_ha.rescue import model, record

NOW = 1_000_000.0


@pytest.fixture
def policy():
    data = {}
    return types.SimpleNamespace(
        data=lambda: dict(data), data_set=data.__setitem__, data_delete=data.pop, kept=data
    )


def progress(server, state=model.State.DONE, ended=NOW, name='web', reason=''):
    before = model.Server(server, ServerStatus.ACTIVE, 'old')
    return model.Progress(
        server, name, before, began=ended - 1, ended=ended, state=state, reason=reason
    )


@pytest.mark.parametrize('name', ['a', 'ä', '𝄞'])
def test_the_history_fits_into_its_column(policy, name):
    for number in range(2 * record.MAX_PAST):
        one = progress(f's{number}', name=name * 250, reason=name * 250)
        record.add_to_history(policy, one)
        assert resource_data.size_of(policy.kept[record.HISTORY]) <= resource_data.MAX_BYTES
    lines = record.read_history(policy)
    assert lines[-1]['server'] == f's{2 * record.MAX_PAST - 1}' and len(lines) > 5


@pytest.mark.parametrize('state', model.State)
@pytest.mark.parametrize('is_protected', [True, False])
@pytest.mark.parametrize('age', [0.0, record.KEPT, record.KEPT + 1])
def test_what_ended_long_ago_of_a_server_that_is_gone_is_dropped(policy, state, is_protected, age):
    record.write(policy, progress('s0', state, NOW - age))
    record.drop_old(policy, ['s0'] if is_protected else ['other'], NOW)
    is_kept = is_protected or not state.is_final or age <= record.KEPT
    assert bool(record.read(policy)) is is_kept


def test_a_rescue_that_is_not_understood_hides_no_other_one_and_is_at_work(policy):
    record.write(policy, progress('s0'))
    newer = serialization.encode(progress('s1')) | {'newer': {'a': 1}}
    policy.data_set(record.SERVER + 's1', serialization.compact(newer))
    for number, odd in enumerate(('{"state":"new"}', '{', '[]', 'null', '""'), start=2):
        policy.data_set(f'{record.SERVER}s{number}', odd)
    with pytest.raises(exceptions.Unreadable):
        record.read(policy)
    found, why = record.understood_of(policy.data() | {record.HISTORY: 'x'})
    assert "unknown field 'newer'" in why
    assert {s: one.state.value for s, one in found.items() if one.state.is_final} == {
        's0': 'done', 's1': 'done',
    }  # fmt: skip
    assert sorted(found) == [f's{number}' for number in range(7)]
    assert record.understood_of({}) == ({}, '')
