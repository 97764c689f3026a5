# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, Reply, ServerStatus, VolumeStatus
from heat_ha.failover.rules import moves, retry, server_rules, volume_rules

BEGIN = 1000.0
LONG_AGO = -1000.0

LOOKS = [
    moves.Request(),
    moves.Wait('w'),
    moves.Done('d'),
    moves.Stop('s', 'r'),
    moves.WaitForFence('f', 'r', 'server'),
]
FINDINGS = [
    moves.Wait('w'),
    moves.Done('d'),
    moves.Stop('s', 'r'),
    moves.Delete('x', 's'),
    moves.WaitForFence('f', 'r', 'server'),
]
EVENTS = [
    *(retry.Looked(move, left) for move in LOOKS for left in (False, True)),
    *(retry.Answered(reply, 'text') for reply in Reply),
    *(retry.Examined(finding) for finding in FINDINGS),
    retry.Deleted(),
    retry.Paused(),
]
# Seconds since the step began: before, at and after each limit on it.
AGES = [
    limit + beside
    for limit in (0.0, retry.OFTEN_FOR, retry.STUCK_AFTER, retry.STEP_LIMIT)
    for beside in (-0.01, 0.0, 0.01)
    if limit + beside >= 0
]
PAUSES = [retry.FIRST_LOOK, retry.AFTER_REFUSAL, retry.SLOWEST_LOOK]
REFUSED_AGES = [None, 0.0, retry.REFUSED_FOR - 0.01, retry.REFUSED_FOR, retry.REFUSED_FOR + 0.01]


def everything():
    """Each state of an attempt with each event, and what follows."""
    flags = itertools.product((False, True), repeat=4)
    for (
        has_server,
        in_vain,
        stuck,
        overdue,
    ), age, pause, accepted, refused, event in itertools.product(
        flags, AGES, PAUSES, range(retry.MAX_REQUESTS + 1), REFUSED_AGES, EVENTS
    ):
        now = BEGIN + age
        attempt = retry.Attempt(
            'detach:v1',
            started=BEGIN,
            pause=pause,
            next_examination=now - 0.01 if overdue else now,
            has_server=has_server,
            is_in_vain=in_vain and has_server,
            is_stuck=stuck,
            accepted=accepted,
            refused_since=None if refused is None else now - refused,
        )
        yield attempt, event, now, *retry.after(attempt, event, now)


def of(event):
    """What an event says, where it says something."""
    match event:
        case retry.Looked(found) | retry.Examined(found):
            return found
    return None


# S1, S8
def test_only_what_was_just_seen_leads_to_a_request_a_deletion_or_an_end_as_done():
    count = 0
    for attempt, event, _, _, action in everything():
        count += 1
        match action:
            case moves.Request():
                assert isinstance(event, retry.Looked) and of(event) == action
                assert not event.is_abandoned and not attempt.is_in_vain
            case moves.Delete():
                assert isinstance(event, retry.Examined) and type(of(event)) is type(action)
            case moves.WaitForFence(reason, remedy, server):
                assert of(event) == moves.WaitForFence('f', 'r', 'server')
                assert (reason, remedy, server) == ('detach:v1: f', 'r', 'server')
            case moves.Done():
                assert isinstance(of(event), moves.Done)
            case retry.Look():
                assert event == retry.Paused()
    assert count == 2**4 * len(AGES) * 3 * 6 * 5 * (10 + 5 + 5 + 2)


# S1
def test_what_an_examination_found_is_done_whatever_was_tried_before():
    for attempt, event, _, later, action in everything():
        if not isinstance(event, retry.Examined):
            continue
        match event.finding:
            case moves.Delete():
                assert action == event.finding and later.pause == retry.FIRST_LOOK
            case moves.WaitForFence(reason, remedy, server):
                assert action == moves.WaitForFence(f'detach:v1: {reason}', remedy, server)
            case moves.Wait():
                assert isinstance(action, (retry.Pause, moves.Stop))
                assert attempt.seen in later.seen and 'w' in later.seen
            case _:
                assert action == event.finding


def test_a_server_is_examined_when_it_is_late_and_at_the_first_sign_of_a_dead_host():
    for attempt, event, now, later, action in everything():
        is_late = now > attempt.next_examination
        match event:
            case retry.Looked(moves.Done() | moves.Stop() | moves.WaitForFence()):
                is_due = False
            case retry.Looked(_, True):
                is_due = False
            case retry.Looked(moves.Wait()):
                is_due = is_late
            case retry.Looked(moves.Request()):
                # What is in vain is not asked for: its server is looked at instead.
                is_due = attempt.is_in_vain
            case retry.Answered(Reply.CONFLICT):
                is_first = attempt.accepted == 0 and attempt.pause == retry.FIRST_LOOK
                is_due = attempt.is_stuck or is_first
            case retry.Answered():
                is_due = attempt.is_stuck and not isinstance(action, moves.Stop)
            case _:
                is_due = False
        assert isinstance(action, retry.Examine) is (is_due and attempt.has_server), (
            attempt,
            event,
        )
        if isinstance(action, retry.Examine):
            assert later.next_examination == now + retry.STUCK_AFTER
            if event == retry.Looked(moves.Request()):
                assert not later.is_in_vain


def test_no_attempt_waits_longer_sends_more_or_bears_more_refusals_than_its_limits():
    for attempt, event, now, later, action in everything():
        if isinstance(action, retry.Pause):
            assert now <= attempt.started + retry.STEP_LIMIT
            assert retry.FIRST_LOOK <= action.seconds <= retry.SLOWEST_LOOK
            if isinstance(event, retry.Answered) and event.reply is not Reply.ACCEPTED:
                assert action.seconds >= retry.AFTER_REFUSAL
        assert later.accepted <= retry.MAX_REQUESTS
        if event == retry.Answered(Reply.ACCEPTED, 'text'):
            is_too_often = attempt.accepted == retry.MAX_REQUESTS
            assert (isinstance(action, moves.Stop) and 'undone each' in action.reason) or (
                not is_too_often and later.accepted == attempt.accepted + 1
            )
        if event == retry.Answered(Reply.REFUSED, 'text'):
            since = attempt.refused_since
            is_over = since is not None and now >= since + retry.REFUSED_FOR
            assert (isinstance(action, moves.Stop) and 'refused' in action.reason) or not is_over
        if isinstance(event, retry.Looked) and event.is_abandoned:
            assert isinstance(action, (moves.Done, moves.Stop))


def test_looks_come_often_at_first_and_thin_out():
    attempt, action = retry.begin('stop_server', BEGIN, has_server=True)
    assert action == retry.Look()
    now, pauses = BEGIN, []
    while now < BEGIN + 60.0:
        attempt, action = retry.after(attempt, retry.Looked(moves.Wait('w')), now)
        if action == retry.Examine():
            attempt, action = retry.after(attempt, retry.Examined(moves.Wait('w')), now)
        pauses.append(action.seconds)
        now += action.seconds
        attempt, action = retry.after(attempt, retry.Paused(), now)
    often = int(retry.OFTEN_FOR / retry.FIRST_LOOK)
    assert set(pauses[:often]) == {retry.FIRST_LOOK}
    assert pauses == sorted(pauses) and pauses[-1] == retry.SLOWEST_LOOK


# --- what one engine left, another finds ----------------------------------------------------


@dataclasses.dataclass
class World:
    """A volume on a server, on a host; an accepted request ends some seconds later."""

    host: HostState
    may_delete: bool
    forgets: int = 0
    now: float = BEGIN
    free_at: float | None = None
    server: ServerStatus = ServerStatus.ACTIVE
    requests: int = 0
    deleted: int = 0

    def volume(self):
        if self.free_at is not None and self.now >= self.free_at:
            return cloud.Volume('v1', VolumeStatus.AVAILABLE)
        status = VolumeStatus.IN_USE if self.free_at is None else VolumeStatus.DETACHING
        return cloud.Volume('v1', status, frozenset({'old'}))

    def send(self):
        seen = self.volume()
        assert seen.servers == {'old'} and seen.status is VolumeStatus.IN_USE
        if self.host is not HostState.UP:
            return Reply.CONFLICT
        self.requests += 1
        if self.requests > self.forgets:
            self.free_at = self.now + 1.0
        return Reply.ACCEPTED

    def settled(self):
        """What a look at the volume leads to; what is free is settled by the server's host."""
        move = volume_rules.next_for_detach(self.volume(), 'old', 'new')
        if not isinstance(move, moves.Free):
            return move
        server, host = cloud.Server('old', self.server), cloud.Host(self.host, self.host.value)
        return server_rules.next_for_free(server, host, cloud.Sight.NONE_SILENT)

    def examine(self):
        return server_rules.next_for_stuck(
            cloud.Server('old', self.server),
            cloud.Host(self.host, self.host.value),
            self.may_delete,
        )

    def delete(self):
        assert self.host is HostState.CONFIRMED_DOWN and self.may_delete
        self.deleted += 1
        self.server, self.free_at = ServerStatus.GONE, self.now


def carried(world, most, *, is_known_dead=False):
    """Carry a detachment until it ends, or die after ``most`` actions; None for a death."""
    attempt, action = retry.begin(
        'detach:v1', world.now, has_server=True, is_known_dead=is_known_dead
    )
    for _ in range(most):
        match action:
            case retry.Look():
                event = retry.Looked(world.settled())
            case moves.Request():
                event = retry.Answered(world.send(), 'text')
            case retry.Examine():
                event = retry.Examined(world.examine())
            case moves.Delete():
                world.delete()
                event = retry.Deleted()
            case retry.Pause(seconds):
                world.now += seconds
                event = retry.Paused()
            case _:
                return action
        attempt, action = retry.after(attempt, event, world.now)
    return None


# S4
@pytest.mark.parametrize(
    ('host', 'is_known_dead'),
    [*((host, False) for host in HostState), (HostState.CONFIRMED_DOWN, True)],
)
@pytest.mark.parametrize('may_delete', [False, True])
def test_whatever_action_an_engine_dies_after_the_next_one_ends_as_one_would_have(
    host, is_known_dead, may_delete
):
    whole = carried(World(host, may_delete), 10_000, is_known_dead=is_known_dead)
    # Every one of the first actions, then, where nothing new happens, some.
    for died_after in itertools.chain(range(60), itertools.count(60, 20)):
        world = World(host, may_delete)
        end = carried(world, died_after, is_known_dead=is_known_dead)
        is_over = end is not None
        if not is_over:
            end = carried(world, 10_000, is_known_dead=is_known_dead)
        assert type(end) is type(whole), (died_after, end)
        assert world.requests <= 1 and world.deleted <= 1
        is_free = world.volume().status is VolumeStatus.AVAILABLE
        assert isinstance(end, moves.Done) is is_free
        if host is HostState.CONFIRMED_DOWN:
            assert isinstance(end, moves.Done if may_delete else moves.WaitForFence)
            assert world.deleted == may_delete
        elif host is not HostState.UP:
            assert not world.deleted and not is_free
        if is_over:
            break


def test_a_request_that_the_services_let_fail_is_sent_again_a_few_times():
    for forgets, ends in ((retry.MAX_REQUESTS - 1, moves.Done), (100, moves.Stop)):
        world = World(HostState.UP, may_delete=True, forgets=forgets)
        assert isinstance(carried(world, 10_000), ends)
        assert not world.deleted and world.requests <= retry.MAX_REQUESTS + 1


def test_a_conflict_ends_an_attachment_after_a_while_and_never_a_release():
    conflict = retry.Answered(Reply.CONFLICT, 'HTTP 409: Instance is locked')
    for has_server in (False, True):
        attempt, action = retry.begin('attach:v1', BEGIN, has_server=has_server)
        now, ended = BEGIN, None
        while now < BEGIN + 100.0 and ended is None:
            attempt, action = retry.after(attempt, retry.Looked(moves.Request()), now)
            if action == moves.Request():
                attempt, action = retry.after(attempt, conflict, now)
            if action == retry.Examine():
                attempt, action = retry.after(attempt, retry.Examined(moves.Wait('w')), now)
            if isinstance(action, moves.Stop):
                ended = now
            now += 1.0
        if has_server:
            assert ended is None, 'the server is examined instead'
        else:
            assert retry.CONFLICT_FOR <= ended - BEGIN <= retry.CONFLICT_FOR + 2
            assert action.is_of_server and 'is locked' in action.reason


# S2
def test_a_service_that_gives_no_answer_says_nothing_against_the_server():
    for is_blind in (False, True):
        attempt, _action = retry.begin('attach:v1', BEGIN, has_server=False)
        looked = retry.Looked(moves.Wait('no answer', is_blind=is_blind))
        attempt, _action = retry.after(attempt, looked, BEGIN + 1.0)
        _attempt, action = retry.after(attempt, looked, BEGIN + retry.STEP_LIMIT + 1.0)
        assert isinstance(action, moves.Stop) and action.is_of_server is not is_blind


@pytest.mark.parametrize(
    ('accepted', 'refused', 'many', 'pause'),
    [
        pytest.param(1, None, 0, 0.05, id='nobody is counted'),
        pytest.param(1, None, 1, 0.05, id='it is alone'),
        pytest.param(1, None, 7, 0.35, id='one of several'),
        pytest.param(1, None, 99, retry.LOOK_AMONG_MANY, id='one of very many'),
        pytest.param(0, None, 7, 0.05, id='nothing is sent yet'),
        pytest.param(1, BEGIN, 7, 0.05, id='it is to be sent again'),
    ],
)
def test_what_has_only_to_be_seen_is_looked_at_less_often_among_many(
    accepted, refused, many, pause
):
    attempt = dataclasses.replace(
        retry.begin('attach:v1', BEGIN, has_server=False)[0],
        accepted=accepted,
        refused_since=refused,
    )
    assert retry.among(attempt, 0.05, many) == pytest.approx(pause)


@pytest.mark.parametrize('many', [1, 7])
def test_a_pause_that_is_long_already_stays_as_it_is(many):
    attempt = dataclasses.replace(retry.begin('a', BEGIN, has_server=False)[0], accepted=1)
    assert retry.among(attempt, retry.SLOWEST_LOOK, many) == retry.SLOWEST_LOOK
