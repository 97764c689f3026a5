# SPDX-License-Identifier: Apache-2.0
"""What other versions have put on record: older ones are read, newer ones told apart."""

import collections.abc
import dataclasses
import json
import pathlib
import types
import typing

import hypothesis
import pytest
from hypothesis import strategies as st

from heat_ha import exceptions, serialization
from heat_ha.agent import model as agent
from heat_ha.agent.rules import dispatch_rules
from heat_ha.failover import model as failover
from heat_ha.failover import record as failover_record
from heat_ha.groups import model as groups
from heat_ha.regions import model as regions
from heat_ha.regions import record as regions_record
from heat_ha.rescue import model as rescue
from heat_ha.rescue import record as rescue_record

# One file for each kind of record and version that wrote it, with every field set. They are never
# changed: a version that cannot read one of them cannot be upgraded to.
FOLDER = pathlib.Path(__file__).parent / 'records'

KINDS = {
    'failover': failover.Record,
    'incident': agent.Incident,
    'regions': regions.Record,
    'replacement': groups.Replacement,
    'rescue': rescue.Progress,
    'row': dispatch_rules.PolicyDispatch,
    'snapshot': regions.Snapshot,
}
FILES = sorted(FOLDER.glob('*.json'))


def kept(path):
    return path.name.partition('-')[0], json.loads(path.read_text())


def objects_in(found):
    """All objects of a record that have the fields of a class, not keys of their own."""
    if isinstance(found, list):
        for one in found:
            yield from objects_in(one)
    elif isinstance(found, dict):
        yield found
        for name, one in found.items():
            if name not in ('generations', 'considered', 'input_values'):
                yield from objects_in(one)


def values_of(kind):
    """Any value of a type that a record may have."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = {f.name: values_of(hints[f.name]) for f in dataclasses.fields(kind)}
        return st.fixed_dictionaries(fields).map(lambda found: kind(**found))
    if origin is types.UnionType:
        return st.none() | values_of(args[0])
    if origin is tuple and args[-1] is Ellipsis:
        return st.lists(values_of(args[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, args))
    if origin is collections.abc.Mapping:
        return st.dictionaries(st.text(), values_of(args[1]), max_size=2)
    if kind is typing.Any:
        return st.none() | st.text() | st.lists(st.integers())
    return st.floats(allow_nan=False, allow_infinity=False) if kind is float else st.from_type(kind)


def test_there_is_one_of_each_kind():
    assert {kept(path)[0] for path in FILES} == set(KINDS)


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_what_an_older_version_wrote_is_read_with_nothing_lost(path):
    name, found = kept(path)
    value = serialization.decode(KINDS[name], found, 'it')
    again = json.loads(json.dumps(serialization.encode(value)))
    assert again | found == again


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_what_is_written_again_is_the_same_text(path):
    name, found = kept(path)
    value = serialization.decode(KINDS[name], found, 'it')
    assert serialization.compact(serialization.encode(value)) == serialization.compact(found)


@pytest.mark.parametrize('name', KINDS)
@hypothesis.settings(
    max_examples=40, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
@hypothesis.given(data=st.data())
def test_any_value_is_read_as_it_was_written(name, data):
    value = data.draw(values_of(KINDS[name]))
    text = serialization.compact(serialization.encode(value))
    assert serialization.read(KINDS[name], text, 'it') == value


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_a_value_of_another_type_is_told_with_its_field(path):
    name, found = kept(path)
    for place in list(objects_in(found)):
        for key, value in place.items():
            if key == serialization.VERSION:
                continue
            place[key] = (
                [7] if isinstance(value, str) else 7 if isinstance(value, list | dict) else 'x'
            )
            with pytest.raises(exceptions.Unreadable, match=rf'\.{key}: '):
                serialization.decode(KINDS[name], found, 'it')
            place[key] = value


@pytest.mark.parametrize(('written', 'read'), [(None, ''), (7, '7'), ('theirs', 'theirs')])
def test_a_null_or_a_number_from_a_template_is_read_as_text(written, read):
    _name, found = kept(FOLDER / 'regions-1.json')
    found['parts'][0]['adopts'] = written
    record = serialization.decode(regions.Record, found, 'it')
    assert record.parts[0].adopts == read
    # Else a stack with it could be neither updated nor deleted.
    again = serialization.read(
        regions.Record, serialization.compact(serialization.encode(record)), 'it'
    )
    assert again == record


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_what_every_version_has_written_may_not_be_missing(path):
    name, found = kept(path)
    form = getattr(KINDS[name], 'FORM', serialization.Form())
    for field in form.always:
        key = form.keys.get(field, field)
        less = {k: v for k, v in found.items() if k != key}
        with pytest.raises(exceptions.Unreadable, match=f'lacks the field {key!r}'):
            serialization.decode(KINDS[name], less, 'it')


def test_a_record_of_a_later_form_is_not_read():
    _name, found = kept(FOLDER / 'regions-1.json')
    for version in (regions.VERSION + 1, 'x', None):
        with pytest.raises(exceptions.Unreadable, match='version'):
            serialization.decode(regions.Record, found | {'version': version}, 'it')


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_a_field_that_is_not_known_is_told_not_dropped(path):
    name, found = kept(path)
    places = list(objects_in(found))
    assert places[0] is found
    for place in places:
        place['of_next_year'] = 1
        with pytest.raises(exceptions.Unreadable) as caught:
            serialization.decode(KINDS[name], found, 'it')
        assert 'of_next_year' in str(caught.value) and 'newest version' in str(caught.value)
        del place['of_next_year']


@pytest.mark.parametrize('text', ['', 'null', '[]', '{}', '"x"', '{"state": "sideways"}', '7'])
def test_what_is_no_record_at_all_is_told_by_each_store(text):
    resource = types.SimpleNamespace(data=lambda: {})
    for key, read in {
        failover_record.RECORD: failover_record.read,
        rescue_record.SERVER + 'one': rescue_record.read,
        regions_record.RECORD: lambda r: regions_record.Store(r).read(),
        regions_record.SNAPSHOT: lambda r: regions_record.Store(r).snapshot(),
    }.items():
        resource.data = lambda key=key: {key: text}
        with pytest.raises(exceptions.Unreadable, match='not understood'):
            read(resource)


@dataclasses.dataclass(frozen=True)
class Grown:
    FORM = serialization.Form(omits=('new',))

    old: int = 1
    new: str = 'as before'


def test_a_field_that_is_omitted_is_written_only_when_it_says_something_new():
    for value, plain in ((Grown(), {'old': 1}), (Grown(1, 'x'), {'old': 1, 'new': 'x'})):
        assert serialization.encode(value) == plain
        assert serialization.decode(Grown, plain, 'it') == value


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_without_what_is_not_known_a_record_of_a_later_version_has_all_that_is(path):
    kind = KINDS[path.stem.split('-')[0]]
    plain = json.loads(path.read_text())

    def later(found):
        if isinstance(found, dict):
            return {key: later(one) for key, one in found.items()} | {'later': [{'a': 1}]}
        return [later(one) for one in found] if isinstance(found, list) else found

    known = serialization.pruned(kind, plain)
    pruned = serialization.pruned(kind, later(plain))
    assert set(pruned) == set(known) <= set(plain)
    rows = {'opened': 1.0, 'rows': [{'number': 1, 'later': 1}], 'later': 1}
    assert serialization.pruned(dispatch_rules.Dispatches, rows) == {
        'opened': 1.0, 'rows': [{'number': 1}],
    }  # fmt: skip
