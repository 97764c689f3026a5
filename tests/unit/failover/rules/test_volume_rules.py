# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import VolumeStatus
from heat_ha.failover.rules import moves, volume_rules


def volume(status, *servers, multiattach=False):
    return cloud.Volume('v1', status, frozenset(servers), multiattach, status.value)


ALL_VOLUMES = [
    volume(status, *servers, multiattach=multi)
    for status in VolumeStatus
    for size in range(3)
    for servers in itertools.combinations(('old', 'new', 'foreign'), size)
    for multi in (False, True)
]


# S1
def test_a_volume_is_asked_for_the_new_active_only_when_it_is_seen_free():
    for look, old in itertools.product(ALL_VOLUMES, ('old', None)):
        move = volume_rules.next_for_attach(look, old, 'new')
        if isinstance(move, moves.Request):
            assert look.status is VolumeStatus.AVAILABLE and not look.servers, look
        if isinstance(move, moves.Done):
            assert look.status is VolumeStatus.IN_USE and look.servers == {'new'}, look


# S1
def test_a_volume_counts_as_taken_only_when_no_server_but_the_new_has_it():
    for look, old in itertools.product(ALL_VOLUMES, ('old', None)):
        move = volume_rules.next_for_detach(look, old, 'new')
        if isinstance(move, moves.Done):
            assert look.servers == {'new'}, look
        if isinstance(move, moves.Free):
            # Whether the old one can still write is asked of its host.
            assert not look.servers and look.status is VolumeStatus.AVAILABLE, look
        if isinstance(move, moves.Request):
            assert old in look.servers, look


# S2
def test_a_volume_that_could_not_be_asked_for_leads_to_nothing():
    for servers in ((), ('old',), ('new',)):
        look = volume(VolumeStatus.COULD_NOT_ASK, *servers)
        for decision in (volume_rules.next_for_detach, volume_rules.next_for_attach):
            assert isinstance(decision(look, 'old', 'new'), moves.Wait)


@pytest.mark.parametrize('decision', [volume_rules.next_for_detach, volume_rules.next_for_attach])
def test_a_volume_on_a_foreign_server_stops_the_failover(decision):
    for status in (VolumeStatus.IN_USE, VolumeStatus.DETACHING):
        move = decision(volume(status, 'foreign'), 'old', 'new')
        assert isinstance(move, moves.Stop) and 'foreign' in move.reason


@pytest.mark.parametrize('decision', [volume_rules.next_for_detach, volume_rules.next_for_attach])
def test_multiattach_volumes_are_refused_with_the_reason(decision):
    move = decision(volume(VolumeStatus.IN_USE, 'old', multiattach=True), 'old', 'new')
    assert isinstance(move, moves.Stop) and 'multiattach' in move.reason
