# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest

from heat_ha import exceptions, serialization
from heat_ha.groups import model
from tests.unit.groups import worlds


def test_a_replacement_is_read_as_it_was_written():
    for order, given_up in itertools.product(worlds.ORDERS, ((), ('x',))):
        held = model.MaskedFailure('a', (('stack_id', '1'), ('tenant', 't')), 'server', 'sick')
        wanted = worlds.replacement(
            *worlds.PAIRS, order=order, named=('a',), given_up=given_up, masked=(held,)
        )
        assert serialization.decode(model.Replacement, serialization.encode(wanted), 'it') == wanted


@pytest.mark.parametrize('stored', ['', 'null', '[]', '{}', '{"order": "sideways"}', '{"id": 1}'])
def test_a_record_of_another_form_is_told_as_such(stored):
    with pytest.raises(exceptions.Unreadable, match='not understood'):
        serialization.read(model.Replacement, stored, 'it')


def test_a_chained_request_is_read_as_it_was_written():
    for order, cooldown in itertools.product(worlds.ORDERS, (None, 0, 60.5)):
        chained = model.Chained('policy', 2, order, cooldown)
        assert serialization.decode(model.Chained, serialization.encode(chained), 'it') == chained


def test_only_a_pair_that_another_request_has_overtaken_is_written_as_no_version_before_did():
    plain = serialization.encode(worlds.replacement(('a', 'x')))
    assert plain['pairs'] == [{'victim': 'a', 'new': 'x'}]
    overtaken = model.Pair('a', '', model.Order.DELETE_FIRST, is_overtaken=True)
    wanted = dataclasses.replace(worlds.replacement(('b', 'y')), pairs=(overtaken,))
    assert serialization.decode(model.Replacement, serialization.encode(wanted), 'it') == wanted
