# SPDX-License-Identifier: Apache-2.0
"""What a policy frees when it is deleted, from whom, and when it gives up."""

import itertools

import pytest

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, VolumeStatus
from heat_ha.failover import model
from heat_ha.failover.handoff import release, volume
from heat_ha.failover.rules import moves
from heat_ha.testing import clouds

OWN = ('a', 'b')


def all_looks():
    servers = [frozenset(s) for size in range(4) for s in itertools.combinations('abx', size)]
    for status, holders, is_multi in itertools.product(VolumeStatus, servers, (False, True)):
        yield cloud.Volume('v1', status, holders, is_multiattach=is_multi)


def test_only_a_member_is_asked_and_nothing_counts_as_free_that_one_has_or_may_get():
    for seen in all_looks():
        holder, move = release.next_move(volume.VolumeDriver, seen, OWN)
        if isinstance(move, moves.Request):
            assert holder in OWN and holder in seen.servers, seen
            assert seen.status is VolumeStatus.IN_USE, seen
        if isinstance(move, moves.Done | moves.Free) and seen.servers.intersection(OWN):
            # It is of a kind that is never handed over, or somebody else has it too.
            is_unfit = seen.status in (VolumeStatus.GONE, VolumeStatus.OTHER)
            assert seen.is_multiattach or is_unfit or len(seen.servers) > 1, seen
        if seen.status is VolumeStatus.COULD_NOT_ASK:
            assert isinstance(move, moves.Wait), seen
        under_way = (VolumeStatus.ATTACHING, VolumeStatus.RESERVED, VolumeStatus.DETACHING)
        if seen.status in under_way and not seen.servers and not seen.is_multiattach:
            assert isinstance(move, moves.Wait), seen


class Clock:
    """The module ``time``, whose seconds pass at each look."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(release, 'time', found)
    return found


@pytest.fixture
def world():
    found = clouds.FakeCloud()
    for server in ('a', 'b', 'x'):
        found.add_server(server)
    return found


def freed(world, clock, *, asked=False, goes_away=False, targets=('v1',)):
    """Free the volumes, a second a look. :returns: the seconds, and what was emitted."""
    emitted = []
    things = [release.Thing(model.ThingKind.VOLUME, t, asked) for t in targets]
    work = release.Release(world, things, OWN, lambda _server: goes_away, emitted.append)
    begin = clock.now
    while not work.is_done():
        clock.now += 1.0
        assert clock.now < begin + 300
    return clock.now - begin, emitted


@pytest.mark.parametrize('holder', ['a', 'b'])
def test_a_volume_is_taken_from_whichever_member_has_it(world, clock, holder):
    world.add_volume('v1', holder)
    freed(world, clock)
    assert world.holder('v1') is None and world.requests == [('detach', 'v1', holder)]


def test_an_attachment_that_is_under_way_is_waited_for_and_then_taken_back(world, clock):
    world.add_volume('v1')
    world.attach('b', 'v1', None)
    freed(world, clock)
    assert world.requests[1:] == [('detach', 'v1', 'b')] and world.holder('v1') is None


def test_a_volume_that_was_just_asked_for_has_to_be_free_for_a_while(world, clock):
    world.add_volume('v1')
    assert freed(world, clock)[0] == 0
    assert freed(world, clock, asked=True)[0] >= release.SETTLES


def test_a_request_that_nova_marks_late_is_seen(world, clock):
    world.add_volume('v1')
    things = [release.Thing(model.ThingKind.VOLUME, 'v1', was_asked_for=True)]
    work = release.Release(world, things, OWN, lambda _server: False, print)
    assert not work.is_done()
    world.attach('b', 'v1', None)
    for _ in range(20):
        clock.now += 1.0
        if work.is_done():
            break
    assert world.holder('v1') is None and world.requests[-1] == ('detach', 'v1', 'b')


def test_each_of_several_volumes_is_freed_whatever_the_services_answer(world, clock):
    for seed in range(30):
        faulty = clouds.FakeCloud(faults=0.3, seed=seed)
        for server, name in zip('abx', ('v1', 'v2', 'v3'), strict=True):
            faulty.add_server(server)
            faulty.add_volume(name, server)
        freed(faulty, clock, targets=('v1', 'v2', 'v3'))
        assert [faulty.holder(n) for n in ('v1', 'v2', 'v3')] == [None, None, 'x'], seed


@pytest.mark.parametrize('goes_away', [True, False])
def test_a_server_that_gives_up_nothing_is_deleted_only_where_it_goes_away_anyway(
    world, clock, goes_away
):
    world.add_volume('v1', 'a')
    world.let_die('a')
    world.host = cloud.Host(HostState.CONFIRMED_DOWN, 'so that no violation is counted')
    seconds, emitted = freed(world, clock, goes_away=goes_away)
    if goes_away:
        assert release.REFUSED_FOR <= seconds < 30
        assert world.holder('v1') is None and 'deleting server a' in emitted[0]
    else:
        # Its end is for the deletion of the nested stack to report.
        assert release.LIMIT < seconds < release.LIMIT + 5
        assert world.holder('v1') == 'a' and not emitted


def test_a_refusal_that_passes_deletes_no_server(world, clock, monkeypatch):
    world.add_volume('v1', 'a')
    replies = iter([(cloud.Reply.CONFLICT, 'rebooting')] * 3)
    own = world.detach
    monkeypatch.setattr(world, 'detach', lambda *args: next(replies, None) or own(*args))
    freed(world, clock, goes_away=True)
    assert world.requests == [('detach', 'v1', 'a')]
