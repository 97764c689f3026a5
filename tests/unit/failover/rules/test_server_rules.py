# SPDX-License-Identifier: Apache-2.0
import itertools

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.failover.rules import moves, server_rules


def test_a_server_counts_as_stopped_only_when_nova_shows_it():
    for status in ServerStatus:
        move = server_rules.next_for_stop(cloud.Server('s', status))
        assert isinstance(move, moves.Done) is (status is ServerStatus.SHUTOFF), status
        assert isinstance(move, moves.Free) is (status is ServerStatus.GONE), status
        if status is ServerStatus.COULD_NOT_ASK:
            assert isinstance(move, moves.Wait)


# S1, S8
def test_a_server_is_deleted_only_by_wish_and_only_where_it_cannot_write_unseen():
    for status, state, wish in itertools.product(ServerStatus, cloud.HostState, (False, True)):
        server, host = cloud.Server('s', status), cloud.Host(state, state.value)
        for judge in (
            lambda s, h, w=wish: server_rules.next_for_stuck(s, h, w),
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
                assert state is cloud.HostState.CONFIRMED_DOWN, (status, state)
            if state is cloud.HostState.UNKNOWN:
                # S2: without an answer nothing is decided.
                assert isinstance(move, moves.Wait)


def test_the_wait_for_heat_is_ended_only_for_a_server_whose_host_is_confirmed_down():
    for status, state, is_new in itertools.product(ServerStatus, cloud.HostState, (False, True)):
        server, host = cloud.Server('s', status), cloud.Host(state, state.value)
        move = server_rules.next_for_hand_over(server, host, is_successor=is_new)
        is_there = status not in (ServerStatus.GONE, ServerStatus.COULD_NOT_ASK)
        if not is_there or state is not cloud.HostState.CONFIRMED_DOWN:
            assert isinstance(move, moves.Wait), (status, state)
        elif is_new:
            assert isinstance(move, moves.Stop) and move.is_of_server
        else:
            assert isinstance(move, moves.WaitForFence) and move.server == 's'


def test_a_host_that_does_not_answer_is_waited_for_by_name_of_the_command_that_confirms_it():
    move = server_rules.next_for_stuck(
        cloud.Server('s', ServerStatus.ACTIVE), cloud.Host(cloud.HostState.DOWN, 'silent'), True
    )
    assert isinstance(move, moves.WaitForFence) and 'set --down' in move.remedy
    assert move.server == 's'


def test_a_stuck_detach_is_never_done_by_what_its_server_shows():
    for status, state, wish in itertools.product(ServerStatus, cloud.HostState, (False, True)):
        server, host = cloud.Server('s', status), cloud.Host(state, state.value)
        found = server_rules.next_for_stuck(server, host, wish)
        assert not isinstance(found, moves.Done), (status, state)


# S1, S2
def test_what_is_free_can_be_given_away_only_by_what_is_known_of_the_host_of_who_had_it():
    for status, state, sight in itertools.product(ServerStatus, HostState, cloud.Sight):
        server, host = cloud.Server('s', status, 'h'), cloud.Host(state, state.value)
        found = server_rules.next_for_free(server, host, sight)
        case = status, state, sight
        if isinstance(found, moves.Done):
            assert status is not ServerStatus.COULD_NOT_ASK, case
            assert state is not HostState.DOWN, case
            if state is HostState.UNKNOWN:
                # Either no host is silent, or nobody may see hosts at all.
                assert sight in (cloud.Sight.NONE_SILENT, cloud.Sight.NO_CREDENTIAL), case
        elif isinstance(found, moves.WaitForFence):
            assert found.server == 's' and 'set --down' in found.remedy
            assert state is HostState.DOWN or sight is cloud.Sight.SOME_SILENT, case
        else:
            assert cloud.Sight.COULD_NOT_ASK is sight or status is ServerStatus.COULD_NOT_ASK, case
        if state in (HostState.UP, HostState.CONFIRMED_DOWN):
            assert isinstance(found, moves.Done) or status is ServerStatus.COULD_NOT_ASK, case


def test_heat_takes_things_from_a_host_only_where_that_is_not_seen_to_be_down():
    down = (HostState.DOWN, HostState.CONFIRMED_DOWN)
    for status, state in itertools.product(ServerStatus, HostState):
        server, host = cloud.Server('s', status, 'h'), cloud.Host(state, state.value)
        found = server_rules.next_for_fence(server, host)
        case = status, state
        assert isinstance(found, moves.Free) is (status is ServerStatus.GONE), case
        # S2
        assert isinstance(found, moves.Wait) is (status is ServerStatus.COULD_NOT_ASK), case
        if isinstance(found, moves.Done):
            assert state not in down, case
        if isinstance(found, moves.Request):
            # What is in the way is examined at once; nothing is sent.
            assert state in down, case
