# SPDX-License-Identifier: Apache-2.0
import itertools

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover.rules import moves, server_rules


def test_a_server_counts_as_stopped_only_when_nova_shows_it():
    for status in ServerStatus:
        move = server_rules.next_for_stop(cloud.Server('s', status))
        stopped = status in (ServerStatus.SHUTOFF, ServerStatus.GONE)
        assert isinstance(move, moves.Done) is stopped, status
        if status is ServerStatus.COULD_NOT_ASK:
            assert isinstance(move, moves.Wait)


# S1, S8
def test_a_server_is_deleted_only_by_wish_and_only_where_it_cannot_write_unseen():
    for status, state, wish in itertools.product(ServerStatus, cloud.HostState, (False, True)):
        server, host = cloud.Server('s', status), cloud.Host(state, state.value)
        for judge in (
            lambda s, h, w=wish: server_rules.next_for_stuck(s, h, w),
            lambda s, h, w=wish: server_rules.next_for_stuck_detach(s, h, w),
            server_rules.next_for_stuck_stop,
        ):
            move = judge(server, host)
            if isinstance(move, moves.Delete):
                assert wish, (status, state)
                confirmed = state is cloud.HostState.CONFIRMED_DOWN
                assert confirmed or (
                    state is cloud.HostState.UP and status is ServerStatus.ERROR
                ), (status, state)
            if isinstance(move, moves.Done):
                assert status is ServerStatus.GONE or state is cloud.HostState.CONFIRMED_DOWN, (
                    status,
                    state,
                )
            if state is cloud.HostState.UNKNOWN:
                # S2: without an answer nothing is decided but what the server itself shows.
                assert isinstance(move, moves.Wait) or status is ServerStatus.GONE


def test_a_host_that_does_not_answer_is_waited_for_by_name_of_the_command_that_confirms_it():
    move = server_rules.next_for_stuck(
        cloud.Server('s', ServerStatus.ACTIVE), cloud.Host(cloud.HostState.DOWN, 'silent'), True
    )
    assert isinstance(move, moves.WaitForFence) and 'set --down' in move.remedy


def test_a_stuck_detach_is_never_done_by_what_its_server_shows():
    for status, state, wish in itertools.product(ServerStatus, cloud.HostState, (False, True)):
        server, host = cloud.Server('s', status), cloud.Host(state, state.value)
        found = server_rules.next_for_stuck_detach(server, host, wish)
        assert not isinstance(found, moves.Done), (status, state)
