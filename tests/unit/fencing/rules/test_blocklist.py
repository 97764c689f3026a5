# SPDX-License-Identifier: Apache-2.0
"""Whom Ceph's blocklist refuses, for each way in which an entry may be there or not."""

import itertools

import pytest

from heat_ha import exceptions
from heat_ha.fencing.model import Power
from heat_ha.fencing.rules import blocklist

NOW = 1_700_000_000.0
DURATION = 7200.0

# As release 16.2.15 answers.
LISTED = (
    '[{"addr":"10.78.0.11:0/0","until":"2026-11-28T17:00:00.500000+0000"},'
    '{"addr":"10.78.0.12:0/3126","until":"2026-11-28T17:10:00.000000+0000"},'
    '{"addr":"[fd00::1]:0/0","until":"2026-11-28T18:00:00.000000+0100"}][]'
)


def entries(*clients, left=DURATION):
    return [blocklist.Entry(client, NOW + left) for client in clients]


def test_what_ceph_lists_is_read_with_the_time_at_which_it_ends():
    found = blocklist.parse(LISTED)
    assert [one.client for one in found] == ['10.78.0.11:0/0', '10.78.0.12:0/3126', '[fd00::1]:0/0']
    assert found[0].until - found[2].until == 0.5
    for text in ('[]', '[][]', '[]\n[]\n'):
        assert blocklist.parse(text) == []


@pytest.mark.parametrize(
    'text',
    [
        '', 'listed 0 entries', '{}x', 'null', '{"addr": "a"}', '[{"addr": "10.0.0.1:0/0"}]',
        '[{"addr": "10.0.0.1:0/0", "until": "tomorrow"}]', '[1]', '"x"', '[][', '[]x', '5',
    ],
)  # fmt: skip
def test_another_answer_says_nothing(text):
    with pytest.raises(exceptions.CouldNotAsk, match='its blocklist'):
        blocklist.parse(text)


# For one address: what the list has of it, and whether that refuses all of its clients.
STATES = {
    'nothing': ([], False),
    'all clients': (['{}:0/0'], True),
    'one client, as librbd lists a dead one': (['{}:0/4242'], False),
    'one client and all': (['{}:0/4242', '{}:0/0'], True),
    'another port': (['{}:6789/0'], False),
}


@pytest.mark.parametrize(
    ('first', 'second'), list(itertools.product(STATES, STATES)), ids=' and '.join
)
def test_a_host_is_fenced_only_when_each_of_its_addresses_is_refused_whole(first, second):
    addresses = ('10.78.0.1', '10.78.0.10')
    listed = [
        one.format(address)
        for address, state in zip(addresses, (first, second), strict=True)
        for one in STATES[state][0]
    ]
    power, detail = blocklist.power(addresses, entries(*listed))
    is_refused = [STATES[state][1] for state in (first, second)]
    assert power is (Power.OFF if all(is_refused) else Power.ON)
    if power is Power.OFF:
        assert '2023-11-15 00:13:20 UTC' in detail
    else:
        free = [a for a, refused in zip(addresses, is_refused, strict=True) if not refused]
        assert detail.endswith(': ' + ', '.join(free))
    found = blocklist.refused(addresses, entries(*listed))
    assert found == [a for a, refused in zip(addresses, is_refused, strict=True) if refused]


@pytest.mark.parametrize(
    ('value', 'plain', 'client'),
    [
        ('10.78.0.11', '10.78.0.11', '10.78.0.11:0/0'),
        ('FD00:0:0::1', 'fd00::1', '[fd00::1]:0/0'),
        ('::ffff:10.78.0.11', '10.78.0.11', '10.78.0.11:0/0'),
    ],
)
def test_an_address_is_written_as_ceph_lists_it(value, plain, client):
    assert blocklist.plain_address(value) == plain
    assert blocklist.client_at(plain) == client


@pytest.mark.parametrize(
    'value', ['', 'compute-1', '10.78.0', '10.78.0.11:6789', '10.78.0.0/24', 10, None, ['::1']]
)
def test_what_is_not_an_address_is_refused(value):
    with pytest.raises(exceptions.Refused, match='is not an IP address'):
        blocklist.plain_address(value)


@pytest.mark.parametrize(
    ('left', 'is_due'), [(DURATION, False), (DURATION / 2, False), (DURATION / 2 - 1, True),
                         (1.0, True), (-5.0, True)]
)  # fmt: skip
def test_an_entry_is_renewed_in_its_second_half(left, is_due):
    found = blocklist.ending(['10.0.0.1'], entries('10.0.0.1:0/0', left=left), NOW, DURATION)
    assert found == (['10.0.0.1'] if is_due else [])


def test_what_has_no_entry_is_not_renewed():
    assert blocklist.ending(['10.0.0.1'], entries('10.0.0.1:0/7', left=1.0), NOW, DURATION) == []
