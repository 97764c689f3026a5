# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from heat_ha.fencing.rules import guests
from heat_ha.fencing.rules.guests import GuestFence, Request

NOW, WEEK = 1e9, 7 * 86400.0
REQUEST = Request('r1', 'p1', 's1', 'hash-1', ('v1',), NOW + 300)
DONE = GuestFence(
    's1', 'hash-1', host='h1', volumes=('v1', 'v2'), clients=('192.0.2.11:0/1',),
    proved_for=('r1',), written=5.0, at=NOW - 5, until=NOW + WEEK, seen_at=NOW - 1, who='agent-1',
)  # fmt: skip


def test_a_record_is_a_proof_and_names_neither_host_nor_address():
    text = guests.proof(DONE, REQUEST, 5.0, NOW)
    assert 'shut its guest out' in text and 'h1' not in text and '192.0.2' not in text


@pytest.mark.parametrize(
    'wrong',
    [
        {'server': 's2'},
        {'host_id': 'hash-2'},
        {'proved_for': ('r2',)},
        {'proved_for': ()},
        {'refused': 'no'},
        {'is_over': True},
        {'is_void': True},
        {'clients': ()},
        {'at': 0.0},
        {'volumes': ('v2',)},
        {'until': NOW + guests.LEAST_LEFT - 1},
        {'seen_at': NOW - guests.FRESH - 1},
        {'seen_at': NOW + guests.FRESH + 1},
        {'written': 6.0},
    ],
)
def test_a_record_counts_only_for_its_request_host_and_volumes_while_it_holds(wrong):
    assert not guests.proof(dataclasses.replace(DONE, **wrong), REQUEST, 5.0, NOW)


def test_what_is_not_known_proves_nothing():
    assert not guests.proof(None, REQUEST, 5.0, NOW)
    # A sign of life: the host's record was written since, as Nova shows it to the engine.
    assert not guests.proof(DONE, REQUEST, 6.0, NOW)
    nowhere = dataclasses.replace(REQUEST, host='')
    assert not guests.proof(dataclasses.replace(DONE, host_id=''), nowhere, 5.0, NOW)


def test_requests_about_one_server_are_dealt_with_together():
    more = dataclasses.replace(REQUEST, request_id='r2', volumes=('v2',), until=NOW + 9)
    late = dataclasses.replace(REQUEST, request_id='r3', until=NOW - 1)
    found = guests.wanted([more, REQUEST, late], NOW)
    assert found == guests.Wanted(('r1', 'r2'), frozenset({'v1', 'v2'}), NOW + 300)
    assert guests.wanted([late, dataclasses.replace(REQUEST, host='')], NOW) is None


@pytest.mark.parametrize(
    ('client', 'is_there'),
    [
        ('192.0.2.11:0/1', True),
        ('192.0.2.111:0/1', False),
        ('[2001:db8::1]:0/7', True),
        ('[2001:db8::2]:0/7', False),
        ('nonsense', False),
        ('', False),
    ],
)
def test_a_client_is_at_a_host_by_its_whole_address(client, is_there):
    found = guests.at_host(frozenset({client}), ('192.0.2.11', '2001:db8::1'))
    assert bool(found) is is_there
