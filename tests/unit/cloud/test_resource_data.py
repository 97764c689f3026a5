# SPDX-License-Identifier: Apache-2.0
import types

import pytest

from heat_ha import exceptions
from heat_ha.cloud import resource_data


class Resource:
    """A resource of Heat's that has been looked at, while another engine wrote."""

    context = id = None
    name, _atomic_key = 'resource', 3

    def __init__(self, data=None, metadata=None):
        self.there = dict(data or {})
        self.metadata = metadata
        self.writes = []
        self._data = {'old': 'look'}

    def data(self):
        if self._data is None:
            self._data = dict(self.there)
        return self._data

    def data_set(self, key, value):
        self.writes.append((key, value))
        self.there[key] = value

    def metadata_get(self, refresh=False):
        assert refresh
        return self.metadata

    def metadata_set(self, metadata, merge_metadata):
        for current in (self.metadata, {**(self.metadata or {}), 'theirs': 1}):
            found = merge_metadata(metadata, current)
        self.metadata = found


@pytest.fixture(autouse=True)
def row(monkeypatch):
    """Heat's row: who has locked it, and how often it was written."""
    found = types.SimpleNamespace(engine_id=None, atomic_key=3)
    monkeypatch.setattr(resource_data.resource_object.Resource, 'get_obj', lambda *_a, **_k: found)
    return found


@pytest.mark.parametrize(
    ('locked_by', 'key', 'own', 'is_refused'),
    [
        (None, 3, None, False),
        (None, 3, 'one', False),
        ('one', 3, None, True),
        ('one', 3, 'two', True),
        ('one', 3, 'one', False),
        # This object had it once; by now another one of the same engine has.
        ('one', 4, 'one', True),
    ],
)
def test_nothing_is_written_to_a_row_that_heat_has_locked_for_something_else(
    row, locked_by, key, own, is_refused
):
    row.engine_id, row.atomic_key = locked_by, key
    resource = Resource(metadata={'a': 1})
    resource._calling_engine_id = own
    if is_refused:
        with pytest.raises(exceptions.TryAgain, match='Heat is at work'):
            resource_data.change_metadata(resource, lambda current: current | {'b': 2})
        assert resource.metadata == {'a': 1}
    else:
        resource_data.change_metadata(resource, lambda current: current | {'b': 2})
        assert resource.metadata['b'] == 2


def test_entries_are_those_of_now():
    assert resource_data.fresh(Resource({'a': '1'})) == {'a': '1'}


def test_an_entry_that_the_column_cannot_hold_is_refused():
    longest = 'ä' * (resource_data.MAX_BYTES // 2)
    resource_data.check_size(longest, 'the plan takes', 'Hand over less')
    with pytest.raises(exceptions.Refused, match=r'the plan takes 60001 bytes.*Hand over less'):
        resource_data.check_size(f'{longest}.', 'the plan takes', 'Hand over less')


def test_what_is_written_already_is_not_written_again():
    resource = Resource()
    entries = resource_data.ChangesOnly(resource)
    for text in ('1', '1', '2', '1'):
        entries.write('a', text)
    assert resource.writes == [('a', '1'), ('a', '2'), ('a', '1')]


@pytest.mark.parametrize('before', [None, {}, {'ours': 0}])
def test_a_change_of_the_metadata_keeps_what_another_engine_wrote_meanwhile(before):
    resource = Resource(metadata=before)
    assert resource_data.metadata(resource) == (before or {})
    resource_data.change_metadata(resource, lambda current: current | {'ours': 2})
    assert resource.metadata == {'ours': 2, 'theirs': 1}


def test_a_change_that_raises_writes_nothing():
    resource = Resource(metadata={'ours': 0})

    def refuse(_current):
        raise exceptions.TryAgain('it is marked')

    with pytest.raises(exceptions.TryAgain):
        resource_data.change_metadata(resource, refuse)
    assert resource.metadata == {'ours': 0}
