# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.failover import model
from heat_ha.failover.model import OnFailure
from heat_ha.failover.rules import hook, moves

TIMES = (0.0, 9.9, 10.0, 59.9, 60.0, 1000.0)
SERVERS = [None, *(cloud.Server('s', status, detail=status.value) for status in ServerStatus)]
HOSTS = [None, *(cloud.Host(state, state.value) for state in HostState)]


def a_hook(on_failure=OnFailure.STOP, heartbeat=0.0, transport=''):
    return model.Hook('c1', {}, 60.0, heartbeat, on_failure, transport)


def everything():
    for on_failure, heartbeat, transport, state, in_all, silent, server, host in itertools.product(
        OnFailure, (0.0, 10.0), ('', hook.NO_SIGNAL), hook.RunState, TIMES, TIMES, SERVERS, HOSTS
    ):
        wanted = a_hook(on_failure, heartbeat, transport)
        run = hook.Run(state, 'why')
        waited = hook.Waited(in_all, silent, in_all)
        yield (
            wanted,
            run,
            waited,
            server,
            host,
            hook.next_for_hook(wanted, run, waited, server, host),
        )


def test_a_hook_counts_as_done_without_success_only_where_the_template_says_so():
    count = 0
    for wanted, run, waited, _, _, move in everything():
        count += 1
        if isinstance(move, moves.Done):
            success = run.state is hook.RunState.COMPLETE
            unanswered = (
                wanted.signal_transport == hook.NO_SIGNAL and waited.in_all >= wanted.timeout
            )
            assert success or unanswered or wanted.on_failure is OnFailure.CONTINUE, run
        if isinstance(move, moves.Stop):
            assert wanted.on_failure is OnFailure.STOP
    assert count == 2 * 2 * 2 * 7 * 6 * 6 * 7 * 5


def test_a_run_is_begun_only_where_none_is_and_its_server_may_run_it():
    for _, run, waited, server, host, move in everything():
        if isinstance(move, moves.Request):
            assert run.state is hook.RunState.ABSENT and waited.in_all < 60
            assert server is None or server.status in (
                ServerStatus.ACTIVE,
                ServerStatus.COULD_NOT_ASK,
            )
            assert host is None or host.state in (HostState.UP, HostState.UNKNOWN)


def test_no_answer_of_heat_nova_or_the_host_leads_to_nothing_before_the_timeout():
    for wanted, run, waited, server, host, move in everything():
        asked_in_vain = (
            run.state is hook.RunState.COULD_NOT_ASK
            and (server is None or server.status is ServerStatus.COULD_NOT_ASK)
            and (host is None or host.state is HostState.UNKNOWN)
        )
        if asked_in_vain and waited.in_all < wanted.timeout:
            assert isinstance(move, moves.Wait)


def test_no_hook_is_waited_for_longer_than_its_timeout():
    for wanted, _, waited, _, _, move in everything():
        if waited.in_all >= wanted.timeout:
            assert isinstance(move, (moves.Done, moves.Stop))


@pytest.mark.parametrize('heartbeat', [0.0, 10.0])
def test_a_silent_hook_counts_as_dead_only_where_heartbeats_are_expected(heartbeat):
    run = hook.Run(hook.RunState.IN_PROGRESS)
    move = hook.next_for_hook(a_hook(heartbeat=heartbeat), run, hook.Waited(30.0, 10.0))
    assert isinstance(move, moves.Stop if heartbeat else moves.Wait)


def test_a_run_that_no_engine_began_is_taken_away_and_begun_again():
    run = hook.Run(hook.RunState.STARTING)
    early, late = hook.Waited(20.0, 0.0, hook.LOST_AFTER - 1), hook.Waited(40.0, 0.0, 31.0)
    assert isinstance(hook.next_for_hook(a_hook(), run, early), moves.Wait)
    assert isinstance(hook.next_for_hook(a_hook(), run, late), hook.Again)
