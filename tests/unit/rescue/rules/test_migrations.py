# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.cloud.model import Host, HostState
from heat_ha.rescue.model import Migration
from heat_ha.rescue.rules import migrations
from heat_ha.rescue.rules.migrations import Phase

# Nova's own words, of all kinds of migrations.
UNDER_WAY = [
    'accepted',
    'queued',
    'preparing',
    'pre-migrating',
    'running',
    'migrating',
    'post-migrating',
    'confirming',
    'reverting',
]
OVER = ['done', 'completed', 'confirmed', 'reverted', 'finished']
FAILED = ['failed', 'error', 'cancelled']
NOW = 10_000.0


def of(status, created=NOW, to='there'):
    return Migration(status, migrations.EVACUATION, created, to)


@pytest.mark.parametrize('status', UNDER_WAY + OVER + FAILED)
def test_every_state_of_a_migration_has_a_row(status):
    assert status in migrations.STATES
    expected = (
        Phase.UNDER_WAY if status in UNDER_WAY
        else Phase.OVER if status in OVER
        else Phase.FAILED
    )  # fmt: skip
    assert migrations.phase(of(status), 'here', NOW) is expected


@pytest.mark.parametrize('status', ['', 'a word of tomorrow'])
def test_a_state_that_is_not_known_counts_as_under_way(status):
    assert migrations.phase(of(status), 'here') is Phase.UNDER_WAY


@pytest.mark.parametrize('status', UNDER_WAY + OVER + FAILED)
def test_what_is_of_an_earlier_attempt_tells_nothing_unless_it_is_under_way(status):
    early = migrations.phase(of(status, NOW - 1000), 'here', NOW)
    assert early is (Phase.UNDER_WAY if status in UNDER_WAY else Phase.ABSENT)
    apart = migrations.phase(of(status, NOW - migrations.CLOCKS_APART / 2), 'here', NOW)
    assert apart is migrations.phase(of(status), 'here', NOW)


def test_what_has_brought_the_server_to_its_host_is_no_news():
    assert migrations.phase(of('done', to='here'), 'here') is Phase.ABSENT
    assert migrations.phase(of('done', to='there'), 'here') is Phase.OVER
    assert migrations.phase(of('done', to=''), '') is Phase.OVER


@pytest.mark.parametrize('state', HostState)
def test_only_a_host_that_is_confirmed_down_cuts_a_migration_off(state):
    host = Host(state, '')
    is_dead = state is HostState.CONFIRMED_DOWN
    assert migrations.is_cut_off(of('pre-migrating'), host) is is_dead
    assert not migrations.is_cut_off(of('pre-migrating'), None)
    assert not migrations.is_cut_off(of('done'), host)


@pytest.mark.parametrize('status', [*UNDER_WAY, '', 'a word of tomorrow'])
def test_a_guest_may_have_left_once_its_live_migration_runs(status):
    may = migrations.may_have_left(Migration(status, migrations.LIVE))
    assert may is (status not in ('accepted', 'queued', 'preparing'))
    assert not migrations.may_have_left(of(status))
    for kind in ('resize', 'migration'):
        assert not migrations.may_have_left(Migration(status, kind))
    for kind in ('', 'one of tomorrow'):
        assert migrations.may_have_left(Migration(status, kind))


def test_only_the_kinds_that_wait_for_their_owner_do_not_move_the_guest():
    kinds = ('migration', 'resize', 'live-migration', 'evacuation', '', 'one of tomorrow')
    moved = [kind for kind in kinds if migrations.moves_guest(Migration('done', kind))]
    assert moved == ['live-migration', 'evacuation', '', 'one of tomorrow']


DEAD = Host(HostState.CONFIRMED_DOWN, '')


@pytest.mark.parametrize('destination', [None, *(Host(state, '') for state in HostState)], ids=str)
@pytest.mark.parametrize('status', UNDER_WAY + OVER + FAILED + [Migration.ABSENT, 'of tomorrow'])
def test_which_migrations_may_have_been_torn(status, destination):
    for kind in ('live-migration', 'one of tomorrow'):
        is_torn = migrations.was_torn(Migration(status, kind, NOW, 'there'), destination)
        assert is_torn is (status == 'error' and destination != DEAD)
        assert not migrations.was_torn(Migration(status, kind, NOW, ''), None)
    assert not migrations.was_torn(of(status), destination)
    for kind in ('resize', 'migration'):
        is_torn = migrations.was_torn(Migration(status, kind, NOW, 'there'), destination)
        assert is_torn is (status not in OVER and status != Migration.ABSENT)


PLACES = ('', 'dead', 'living', 'unknown')
SEEN = {
    'dead': Host(HostState.CONFIRMED_DOWN, 'dead'),
    'living': Host(HostState.UP, 'living'),
    'unknown': Host(HostState.UNKNOWN, 'unknown'),
}


@pytest.mark.parametrize('status', [*UNDER_WAY, *OVER, *FAILED, 'a word of tomorrow'])
@pytest.mark.parametrize('kind', [migrations.EVACUATION, migrations.LIVE, 'resize', ''])
@pytest.mark.parametrize('to', ['', 'there'])
def test_only_of_an_evacuation_under_way_is_it_asked_where_room_was_reserved(status, kind, to):
    found = Migration(status, kind, NOW, to)
    is_under_way = status not in (*OVER, *FAILED)
    expected = is_under_way and kind == migrations.EVACUATION and not to
    assert migrations.has_no_destination_yet(found) is expected


# S1
@pytest.mark.parametrize(
    ('to', 'candidates'),
    [
        (to, tuple(chosen))
        for to in PLACES
        for count in range(3)
        for chosen in itertools.permutations(PLACES[1:], count)
    ],
)
def test_an_evacuation_is_cut_off_only_where_every_host_that_it_may_be_for_is_dead(to, candidates):
    found = Migration('accepted', migrations.EVACUATION, NOW, to, candidates)
    place = migrations.destination(found, SEEN.__getitem__)
    meant = {to} if to else set(candidates)
    assert migrations.is_cut_off(found, place) is (bool(meant) and meant == {'dead'})
    assert (place is None) is (not meant)
