# SPDX-License-Identifier: Apache-2.0
"""An engine beside others of a newer version: what they began is neither done again nor lost."""

import json
import pathlib

import pytest

from heat_ha.agent.adapters import pending_regions
from tests.plugin import scaling

pytestmark = pytest.mark.engine

RECORDS = pathlib.Path(__file__).parents[1] / 'unit' / 'records'


def of_next_year(kind):
    """A record as a later version may write it."""
    found = json.loads((RECORDS / f'{kind}-1.json').read_text())
    return json.dumps(found | {'of_next_year': 1})


def put(engine, stack, name, key, text):
    engine.stack(stack)[name].data_set(key, text)
    return text


def kept(engine, stack, name, key):
    return engine.stack(stack)[name].data()[key]


def test_a_replacement_that_a_newer_engine_began_is_not_begun_anew(engine):
    stack = engine.create(scaling.template())
    before = engine.servers_there()
    text = put(engine, stack, 'group', 'ha_replacement', of_next_year('replacement'))
    engine.signal(stack, 'policy')
    assert engine.servers_there() == before
    status, reason = scaling.last_event(engine, stack)
    assert status == 'SIGNAL_FAILED' and 'newest version' in reason and 'of_next_year' in reason
    assert kept(engine, stack, 'group', 'ha_replacement') == text


def test_pending_parts_of_a_newer_version_keep_no_others_waiting(engine, monkeypatch):
    monkeypatch.setattr(pending_regions, 'regions_of', lambda _record: ('A',))
    newer, older = (engine.create(scaling.template(), name=name) for name in ('newer', 'older'))
    put(engine, newer, 'group', pending_regions.record.RECORD, of_next_year('regions'))
    put(
        engine,
        older,
        'group',
        pending_regions.record.RECORD,
        (RECORDS / 'regions-1.json').read_text(),
    )
    assert [one.stack_name for one in pending_regions.pending()] == ['older']
