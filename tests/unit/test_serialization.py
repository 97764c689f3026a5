# SPDX-License-Identifier: Apache-2.0
"""What other versions have put on record: older ones are read, newer ones told apart."""

import json
import pathlib
import types

import pytest

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
    'failover': (failover.Record.from_dict, lambda r: r.to_dict()),
    'incident': (agent.Incident.from_dict, lambda r: r.to_dict()),
    'regions': (regions.Record.from_dict, lambda r: r.to_dict()),
    'replacement': (
        lambda found: groups.Replacement.from_json(json.dumps(found)),
        lambda r: json.loads(r.to_json()),
    ),
    'rescue': (rescue.Progress.from_dict, lambda r: r.to_dict()),
    'row': (dispatch_rules.PolicyDispatch.from_dict, lambda r: r.to_dict()),
    'snapshot': (regions.Snapshot.from_dict, lambda r: r.to_dict()),
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


def test_there_is_one_of_each_kind():
    assert {kept(path)[0] for path in FILES} == set(KINDS)


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_what_an_older_version_wrote_is_read_with_nothing_lost(path):
    kind, found = kept(path)
    make, plain = KINDS[kind]
    again = json.loads(json.dumps(plain(make(found))))
    assert again | found == again


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_a_field_that_is_not_known_is_told_not_dropped(path):
    kind, found = kept(path)
    make, _plain = KINDS[kind]
    places = list(objects_in(found))
    assert places[0] is found
    for place in places:
        place['of_next_year'] = 1
        with pytest.raises(exceptions.Unreadable) as caught:
            serialization.decode(found, make, 'it')
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
