# SPDX-License-Identifier: Apache-2.0
import json
import time

import pytest
from hypothesis import given

from heat_ha import exceptions
from heat_ha.agent.rules import json_bodies
from tests.unit.agent.hostile_values import HOSTILE


@given(HOSTILE)
def test_what_has_no_key_twice_is_read_as_it_is(value):
    try:
        raw = json.dumps(value, allow_nan=False).encode()
    except ValueError:
        return
    found = json_bodies.parse(raw)
    assert found == json.loads(raw)
    json_bodies.refuse_doubled(found, 'it')


@pytest.mark.parametrize(
    'raw',
    [b'{"a": 1, "b": 2, "a": 3}', b'[7, {"b": [{"a": {}, "a": {}}]}]', b'{"x": {"a": 1, "a": 1}}'],
)
def test_a_key_that_is_there_twice_is_found_however_deep_it_is(raw):
    with pytest.raises(exceptions.Refused, match="it has the key 'a' twice"):
        json_bodies.refuse_doubled(json_bodies.parse(raw), 'it')


def test_a_large_object_costs_no_more_than_its_size():
    pairs = ','.join(f'"{n}":1' for n in range(25_000))
    begun = time.monotonic()
    with pytest.raises(exceptions.Refused, match="'24999' twice"):
        json_bodies.refuse_doubled(json_bodies.parse(f'{{{pairs},"24999":1}}'.encode()), 'it')
    assert time.monotonic() - begun < 5
