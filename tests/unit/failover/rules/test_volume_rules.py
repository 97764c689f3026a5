# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import ServerStatus, VolumeStatus
from heat_ha.failover.rules import volume_rules


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
        if isinstance(move, volume_rules.Request):
            assert look.status is VolumeStatus.AVAILABLE and not look.servers, look
        if isinstance(move, volume_rules.Done):
            assert look.status is VolumeStatus.IN_USE and look.servers == {'new'}, look


# S1
def test_a_volume_counts_as_taken_only_when_no_server_but_the_new_has_it():
    for look, old in itertools.product(ALL_VOLUMES, ('old', None)):
        move = volume_rules.next_for_detach(look, old, 'new')
        if isinstance(move, volume_rules.Done):
            assert look.servers <= {'new'}, look
            assert look.servers or look.status is VolumeStatus.AVAILABLE, look
        if isinstance(move, volume_rules.Request):
            assert old in look.servers, look


# S2
def test_a_volume_that_could_not_be_asked_for_leads_to_nothing():
    for servers in ((), ('old',), ('new',)):
        look = volume(VolumeStatus.COULD_NOT_ASK, *servers)
        for decision in (volume_rules.next_for_detach, volume_rules.next_for_attach):
            assert isinstance(decision(look, 'old', 'new'), volume_rules.Wait)


@pytest.mark.parametrize('decision', [volume_rules.next_for_detach, volume_rules.next_for_attach])
def test_a_volume_on_a_foreign_server_stops_the_failover(decision):
    for status in (VolumeStatus.IN_USE, VolumeStatus.DETACHING):
        move = decision(volume(status, 'foreign'), 'old', 'new')
        assert isinstance(move, volume_rules.Stop) and 'foreign' in move.reason


@pytest.mark.parametrize('decision', [volume_rules.next_for_detach, volume_rules.next_for_attach])
def test_multiattach_volumes_are_refused_with_the_reason(decision):
    move = decision(volume(VolumeStatus.IN_USE, 'old', multiattach=True), 'old', 'new')
    assert isinstance(move, volume_rules.Stop) and 'multiattach' in move.reason


def test_a_server_counts_as_stopped_only_when_nova_shows_it():
    for status in ServerStatus:
        move = volume_rules.next_for_stop(cloud.Server('s', status))
        stopped = status in (ServerStatus.SHUTOFF, ServerStatus.GONE)
        assert isinstance(move, volume_rules.Done) is stopped, status
        if status is ServerStatus.COULD_NOT_ASK:
            assert isinstance(move, volume_rules.Wait)


# S1, S8
def test_a_server_is_deleted_only_by_wish_and_only_where_it_cannot_write_unseen():
    for status, state, wish in itertools.product(ServerStatus, cloud.HostState, (False, True)):
        server, host = cloud.Server('s', status), cloud.Host(state, state.value)
        for judge in (
            lambda s, h, w=wish: volume_rules.next_for_stuck(s, h, w),
            volume_rules.next_for_stuck_stop,
        ):
            move = judge(server, host)
            if isinstance(move, volume_rules.Delete):
                assert wish, (status, state)
                confirmed = state is cloud.HostState.CONFIRMED_DOWN
                assert confirmed or (
                    state is cloud.HostState.UP and status is ServerStatus.ERROR
                ), (status, state)
            if isinstance(move, volume_rules.Done):
                assert status is ServerStatus.GONE or state is cloud.HostState.CONFIRMED_DOWN, (
                    status,
                    state,
                )
            if state is cloud.HostState.UNKNOWN:
                # S2: without an answer nothing is decided but what the server itself shows.
                assert isinstance(move, volume_rules.Wait) or status is ServerStatus.GONE


def test_a_host_that_does_not_answer_is_waited_for_by_name_of_the_command_that_confirms_it():
    move = volume_rules.next_for_stuck(
        cloud.Server('s', ServerStatus.ACTIVE), cloud.Host(cloud.HostState.DOWN, 'silent'), True
    )
    assert isinstance(move, volume_rules.WaitForFence) and 'set --down' in move.remedy
