# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import random

import pytest

from heat_ha import serialization
from heat_ha.agent.rules import dispatch_rules, storm
from heat_ha.agent.rules.dispatch_rules import DispatchState, PolicyDispatch, PolicyState
from heat_ha.cloud.model import ServerStatus
from heat_ha.rescue import model

NOW = 10_000.0
OPENED = NOW - 30


def row(number, servers=1, priority=0, **changes):
    ids = tuple(f's{number}-{n}' for n in range(servers))
    made = PolicyDispatch(number, f'p{number}', 'st', 'stack', 'project', 'root', priority, ids)
    return dataclasses.replace(made, **changes)


def progress(server, state, ended=NOW):
    before = model.Server(server, ServerStatus.ACTIVE)
    return model.Progress(server, server, before, state=state, ended=ended)


HOST_IDS = {'project': 'here'}


def advance(rows, *, states=None, on_host=None, now=NOW, max_concurrent=8):
    if on_host is None:
        on_host = {s for r in rows for s in r.servers}
    return dispatch_rules.advance(
        rows, on_host, states or {}, OPENED, now, max_concurrent, HOST_IDS
    )


@pytest.mark.parametrize('state', [s for s in model.State if s.is_final])
@pytest.mark.parametrize('came_from', ['', 'here', 'elsewhere'])
@pytest.mark.parametrize('is_here', [True, False])
@pytest.mark.parametrize('ended', [OPENED - 1, OPENED, NOW])
def test_a_server_that_was_rescued_to_the_host_is_rescued_from_it(state, came_from, is_here, ended):
    """It came to a host that had died already, though Nova still showed it as up."""
    one = row(1)
    [server] = one.servers
    known = progress(server, state, ended)
    known = dataclasses.replace(known, before=dataclasses.replace(known.before, host=came_from))
    states = {1: PolicyState(is_at_work=False, rescues={server: known})}
    [found], chosen = advance([one], states=states, on_host={server} if is_here else set())
    is_cascade = state is model.State.DONE and came_from == 'elsewhere'
    is_left = is_here and (is_cascade or ended < OPENED)
    assert (found.state is not DispatchState.DONE) is is_left
    assert bool(chosen) is is_left


def test_the_most_important_policy_is_signalled_first_and_none_overtakes():
    rows = [row(1, 4, 0), row(2, 6, 10), row(3, 1, -5)]
    _rows, chosen = advance(rows)
    assert [r.number for r in chosen] == [2]


def test_a_policy_with_more_servers_than_may_be_under_way_is_signalled_alone():
    _rows, chosen = advance([row(1, 50, 1), row(2, 1, 0)])
    assert [r.number for r in chosen] == [1]


def test_a_server_that_is_done_takes_no_room_while_others_of_its_policy_are_not():
    rows, _chosen = advance([row(1, 8, 9), row(2, 7)])
    done = {f's1-{n}': progress(f's1-{n}', model.State.DONE) for n in range(7)}
    states = {1: PolicyState(True, done | {'s1-7': progress('s1-7', model.State.RUNNING, 0.0)})}
    on_host = {'s1-7', *row(2, 7).servers}
    rows, chosen = advance(rows, states=states, on_host=on_host)
    assert [r.number for r in chosen] == [2]
    over = dispatch_rules.ended(rows, on_host, states, OPENED, HOST_IDS)
    assert dispatch_rules.under_way(rows, over) == on_host


@pytest.mark.parametrize('seconds', [dispatch_rules.OVERTAKE_AFTER, 7200.0])
def test_a_policy_that_there_is_no_room_for_keeps_others_waiting_for_some_minutes(seconds):
    rows, _chosen = advance([row(1, 5, 9), row(2, 6, 5), row(3, 2), row(4, 1), row(5, 1)])
    states = {1: PolicyState(True, {'s1-0': progress('s1-0', model.State.RUNNING, 0.0)})}
    rows, chosen = advance(rows, states=states, now=NOW + seconds)
    is_over = seconds > dispatch_rules.OVERTAKE_AFTER
    assert [r.number for r in chosen] == ([4, 5] if is_over else []), 'and of these, in their order'


@pytest.mark.parametrize('seed', range(200))
def test_all_policies_get_their_turn_and_never_too_many_servers_are_under_way(seed):
    rng = random.Random(seed)
    rows = [row(n, rng.randint(1, 5), rng.randint(-2, 2)) for n in range(rng.randint(1, 12))]
    states, on_host, now = {}, {s for r in rows for s in r.servers}, NOW
    for _ in range(300):
        rows, chosen = advance(rows, states=states, on_host=on_host, now=now, max_concurrent=8)
        under_way = sum(len(r.servers) for r in rows if r.state is DispatchState.SIGNALLED)
        assert under_way <= 8
        for r in chosen:
            # A signal may be lost, an engine may die in the middle.
            if rng.random() < 0.3:
                continue
            final = rng.random() < 0.6
            state = rng.choice([model.State.DONE, model.State.FAILED, model.State.LEFT_ALONE])
            kind = state if final else model.State.RUNNING
            states[r.number] = PolicyState(False, {s: progress(s, kind, now) for s in r.servers})
            # What was brought back is on another host.
            on_host = on_host - set(r.servers if kind is model.State.DONE else ())
        if not dispatch_rules.left(rows):
            break
        now += 5
    assert not dispatch_rules.left(rows)
    for r in rows:
        is_given_up = r.in_vain >= dispatch_rules.GIVE_UP_AFTER
        assert r.state is DispatchState.DONE or (is_given_up and 'given up' in r.reason), r


def test_nobody_is_signalled_again_while_a_living_engine_is_at_work():
    [started], _ = advance([row(1)])
    states = {1: PolicyState(True, {'s1-0': progress('s1-0', model.State.RUNNING)})}
    _rows, chosen = advance([started], states=states, now=NOW + 60)
    assert chosen == []
    states = {1: dataclasses.replace(states[1], is_at_work=False)}
    _rows, chosen = advance([started], states=states, now=NOW + dispatch_rules.RESIGNAL_AFTER)
    assert [r.number for r in chosen] == [1]


def test_a_rescue_of_an_earlier_failure_does_not_count():
    states = {1: PolicyState(False, {'s1-0': progress('s1-0', model.State.DONE, OPENED - 1)})}
    rows, chosen = advance([row(1)], states=states)
    assert chosen and rows[0].state is DispatchState.SIGNALLED


def test_a_server_that_its_owner_deleted_is_no_work():
    rows, chosen = advance([row(1)], on_host=set())
    assert not chosen and rows[0].state is DispatchState.DONE


def test_what_is_held_back_is_shown_and_never_signalled():
    limits = storm.Limits(per_project=3)
    rows = dispatch_rules.guarded([row(1, 2), row(2, 2, 5)], {}, [], limits, NOW)
    assert [(r.number, r.state) for r in rows] == [
        (2, DispatchState.WAITING),
        (1, DispatchState.DEFERRED),
    ]
    assert 'level project' in rows[1].reason
    rows, chosen = advance(rows)
    assert [r.number for r in chosen] == [2] and rows[1].state is DispatchState.DEFERRED


def test_the_template_sets_a_limit_for_its_own_policy():
    past = [storm.PastRescue(row(1).scope, 1, NOW - 100)]
    for period, turn in ((3600.0, DispatchState.DEFERRED), (60.0, DispatchState.WAITING)):
        [found] = dispatch_rules.guarded([row(1)], {1: (1, period)}, past, storm.Limits(), NOW)
        assert found.state is turn


def test_a_row_survives_the_record():
    for turn in DispatchState:
        one = row(3, 2, 7, state=turn, reason='x', first_signal=1.5)
        assert serialization.decode(PolicyDispatch, serialization.encode(one), 'it') == one


def test_what_is_not_placed_yet_fits_into_the_room_on_the_hosts_that_live():
    hosts = (None, 'c2', 'c3', 'dead')
    answers = set()
    # Three servers of ours and three of others, each not placed yet or on one of the hosts.
    for places in itertools.product(hosts, repeat=6):
        arriving = {f's{n}': host for n, host in enumerate(places) if host}
        ours = {'s0', 's1', 's2'}
        for limit in (1, 2, 5):
            found = dispatch_rules.bound(ours, arriving, ['c2', 'c3'], 8, limit)
            counts = {h: list(arriving.values()).count(h) for h in ('c2', 'c3')}
            room = sum(max(0, limit - count) for count in counts.values())
            placed = len(ours & set(arriving))
            assert found == min(8, placed + room), (places, limit)
            # As many as may be begun beside those that are under way.
            assert max(0, found - len(ours)) <= max(0, room - (len(ours) - placed))
            answers.add(found)
    assert answers == set(range(0, 9))


def test_without_a_bound_for_destinations_that_of_the_failed_host_counts():
    assert dispatch_rules.bound({'s1'}, {'s2': 'c2'}, [], 8, 0) == 8
    assert dispatch_rules.bound({'s1'}, {'s2': 'c2'}, [], 8, 4) == 0
    assert dispatch_rules.bound(set(), {}, ['c2', 'c3'], 8, 100) == 8


def test_where_no_host_has_room_one_policy_has_its_turn_all_the_same():
    rows, chosen = advance([row(1, 2), row(2, 2)], max_concurrent=0)
    assert [r.number for r in chosen] == [1]
    assert dispatch_rules.under_way(rows) == {'s1-0', 's1-1'}
    _rows, chosen = advance(rows, max_concurrent=0)
    assert chosen == []


def through(rows, seconds, *, refuses=(), at_work=(), works=float('inf'), max_concurrent=8):
    """What is signalled in so many seconds, as (time, number), and the rows after that.

    :param works: seconds after which those that engines work for are done.
    """
    sent = []
    states = {n: PolicyState(True, {}) for n in at_work}
    for second in range(seconds):
        here = [r for r in rows if second < works or r.number not in at_work]
        rows, chosen = advance(
            rows, states=states, now=NOW + second, max_concurrent=max_concurrent,
            on_host={s for r in here for s in r.servers},
        )  # fmt: skip
        sent += [(second, r.number) for r in chosen]
        refusing = {r.number for r in chosen} & set(refuses)
        rows = [dispatch_rules.refused(r, 'HTTP 400') if r.number in refusing else r for r in rows]
    return rows, sent


def test_a_policy_that_refuses_lets_others_pass_and_is_given_up_in_the_end():
    rows, sent = through(
        [row(1, 16, 9), row(2, 4), row(3, 4)], 3600, refuses={1}, at_work={2, 3}, works=60
    )
    assert [n for _second, n in sent if n != 1] == [2, 3]
    # The most important one first, and the others in the next second already.
    assert sent[0] == (0, 1) and {sent[1], sent[2]} == {(1, 2), (1, 3)}
    assert len(sent) - 2 <= dispatch_rules.GIVE_UP_AFTER
    [given_up] = [r for r in rows if r.number == 1]
    assert given_up.state is DispatchState.DEFERRED and 'HTTP 400' in given_up.reason
    assert not dispatch_rules.left(rows)


@pytest.mark.parametrize('in_vain', range(dispatch_rules.GIVE_UP_AFTER + 1))
def test_a_signal_that_no_engine_answered_leads_to_no_giving_up(in_vain):
    found = dispatch_rules.unanswered(row(1, in_vain=in_vain)).in_vain
    assert found < dispatch_rules.GIVE_UP_AFTER
    # The first ones let others pass, and then it is as before the signal.
    assert found == (in_vain if in_vain <= dispatch_rules.PATIENCE else in_vain - 1)


@pytest.mark.parametrize('max_concurrent', [1, 8, 100])
def test_a_policy_that_nobody_takes_up_is_signalled_ever_more_seldom(max_concurrent):
    rows, sent = through([row(1, 4, 9), row(2, 4)], 7200, max_concurrent=max_concurrent)
    assert {r.state for r in rows} == {DispatchState.DEFERRED} and not dispatch_rules.left(rows)
    for number in (1, 2):
        times = [second for second, n in sent if n == number]
        assert len(times) <= dispatch_rules.GIVE_UP_AFTER + 1
        pauses = [later - at for at, later in itertools.pairwise(times)]
        assert pauses[0] == dispatch_rules.RESIGNAL_AFTER and max(pauses) >= 256
    # The second one has had its turn long before the first was given up.
    assert min(s for s, n in sent if n == 2) <= 4 * dispatch_rules.RESIGNAL_AFTER


def test_a_policy_that_an_engine_works_for_is_never_given_up():
    rows, sent = through([row(1)], 7200, at_work={1})
    assert len(sent) == 1 and rows[0].state is DispatchState.SIGNALLED
