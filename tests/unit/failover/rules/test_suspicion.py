# SPDX-License-Identifier: Apache-2.0
"""Who was reported sick is trusted again once it is seen well after its failure, and not before."""

import dataclasses
import datetime
import itertools

import pytest

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.failover import model
from heat_ha.failover.rules import decide, outcome, standbys, suspicion, ways_out
from heat_ha.groups import model as groups
from heat_ha.signals import Signal
from tests.unit.failover import worlds

SINCE = worlds.NOW
BEFORE, AFTER = (SINCE + datetime.timedelta(seconds=s) for s in (-1, 1))
LATER = AFTER.isoformat()
SUSPECT = model.Suspicion('b', SINCE.isoformat(), 'server-b')
NOTHING = suspicion.Shown()


def candidate(**changes):
    return worlds.candidate('b', **{'host_state': HostState.UP, **changes})


def record(one=SUSPECT, **changes):
    plain = model.Record(
        epoch=2, active=worlds.holder('a'), suspects=(one.member,), suspicions=(one,)
    )
    return dataclasses.replace(plain, **changes)


def cleared_by(known, found, shown=NOTHING, going=()):
    """What a look at a suspect clears it by, in words; None while it stays one."""
    known = suspicion.seen(known, [worlds.candidate('a'), found], LATER)
    for one, seen in suspicion.to_ask_about(known, [found], going):
        return suspicion.at_sight(one, seen) or suspicion.by_deeds(one, shown)
    return None


EVIDENCE = {
    'nothing': (SUSPECT, {}, NOTHING),
    'checked before': (SUSPECT, {}, suspicion.Shown(checked_at=BEFORE)),
    'checked at that moment': (SUSPECT, {}, suspicion.Shown(checked_at=SINCE)),
    'rebooted before': (SUSPECT, {}, suspicion.Shown(restarted=cloud.Restart('reboot', BEFORE))),
    'checked': (SUSPECT, {}, suspicion.Shown(checked_at=AFTER)),
    'rebooted': (SUSPECT, {}, suspicion.Shown(restarted=cloud.Restart('reboot', AFTER))),
    'was down': (dataclasses.replace(SUSPECT, was_down=True), {}, NOTHING),
    'another server': (dataclasses.replace(SUSPECT, server='server-old'), {}, NOTHING),
    'health check': (SUSPECT, {'health': model.HealthState.WELL}, NOTHING),
}
NO_EVIDENCE = ('nothing', 'checked before', 'checked at that moment', 'rebooted before')


@pytest.mark.parametrize('name', EVIDENCE)
def test_evidence_clears_a_suspect_only_when_it_is_of_after_the_failure(name):
    one, changes, shown = EVIDENCE[name]
    found = cleared_by(record(one), candidate(**changes), shown)
    assert (found is None) is (name in NO_EVIDENCE), found


UNFIT = {
    **{
        f'server {status.value}': {'status': status}
        for status in ServerStatus
        if status is not ServerStatus.ACTIVE
    },
    **{
        f'host {state.value if state else "not looked at"}': {'host_state': state}
        for state in (None, *HostState)
        if state is not HostState.UP
    },
    **{
        f'health {state.value}': {'health': state}
        for state in model.HealthState
        if state is not model.HealthState.WELL
    },
    'failed in Heat': {'is_failed': True},
    'Heat at work': {'is_in_progress': True},
}


@pytest.mark.parametrize('unfit', UNFIT)
@pytest.mark.parametrize('name', EVIDENCE)
def test_no_evidence_clears_whom_a_look_does_not_show_as_well(name, unfit):
    one, changes, shown = EVIDENCE[name]
    assert cleared_by(record(one), candidate(**{**changes, **UNFIT[unfit]}), shown) is None


@pytest.mark.parametrize('name', EVIDENCE)
def test_no_evidence_clears_who_is_to_go(name):
    one, changes, shown = EVIDENCE[name]
    assert cleared_by(record(one), candidate(**changes), shown, going={'b'}) is None
    retained = (model.Retained('b', 'server-b', LATER),)
    assert cleared_by(record(one, retained=retained), candidate(**changes), shown) is None


WORDS = {
    **dict.fromkeys(
        (
            'SHUTOFF', 'ERROR', 'REBOOT', 'HARD_REBOOT', 'REBUILD', 'RESCUE', 'SHELVED',
            'SHELVED_OFFLOADED', 'PAUSED', 'SUSPENDED',
        ),
        True,
    ),
    # The guest goes on, or nothing is known of it.
    **dict.fromkeys(('ACTIVE', 'MIGRATING', 'PASSWORD', 'UNKNOWN', 'VERIFY_RESIZE'), False),
}  # fmt: skip


@pytest.mark.parametrize('word', WORDS)
def test_who_was_seen_down_is_trusted_again_once_it_is_back(word):
    server = cloud.Server('server-b', ServerStatus.of(word), detail=word)
    known = suspicion.seen(record(), [dataclasses.replace(candidate(), server=server)], LATER)
    assert known.suspects == ('b',)
    assert (cleared_by(known, candidate()) is not None) is WORDS[word]


@pytest.mark.parametrize('state', HostState)
def test_a_host_that_was_silent_is_no_sign_that_its_guests_were_started_anew(state):
    known = suspicion.seen(record(), [candidate(host_state=state)], LATER)
    is_fenced = state is HostState.CONFIRMED_DOWN
    assert (cleared_by(known, candidate()) is not None) is is_fenced


def test_nothing_is_made_of_a_server_that_could_not_be_asked():
    asked = [ServerStatus.COULD_NOT_ASK, ServerStatus.GONE]
    for status, known in itertools.product(asked, (record(), record(suspicions=()))):
        seen = suspicion.seen(known, [candidate(status=status)], LATER)
        assert not seen.suspicions[0].was_down


def test_a_suspect_of_the_version_before_counts_from_the_first_look_on():
    known = suspicion.seen(record(suspicions=()), [candidate()], LATER)
    assert known.suspicions == (model.Suspicion('b', LATER, 'server-b'),)
    assert cleared_by(known, candidate(), suspicion.Shown(checked_at=AFTER)) is None
    later = AFTER + datetime.timedelta(seconds=1)
    assert cleared_by(known, candidate(), suspicion.Shown(checked_at=later)) is not None


def test_a_suspect_of_a_clock_that_was_ahead_counts_from_the_first_look_on():
    ahead = (SINCE + datetime.timedelta(hours=5)).isoformat()
    known = record(dataclasses.replace(SUSPECT, since=ahead))
    known = suspicion.seen(known, [candidate()], SINCE.isoformat())
    assert known.suspicions == (SUSPECT,)
    again = suspicion.Shown(restarted=cloud.Restart('reboot', AFTER))
    assert cleared_by(known, candidate(), again) and not cleared_by(known, candidate())


def test_who_is_not_a_suspect_is_not_asked_about():
    found = [candidate(), worlds.candidate('a', host_state=HostState.UP)]
    assert [one.member for one, _ in suspicion.to_ask_about(record(), found, ())] == ['b']
    gone = suspicion.seen(record(), [], LATER)
    assert gone.suspects == ('b',) and suspicion.to_ask_about(gone, [], ()) == ()


GROUP = tuple(worlds.candidate(name, host_state=HostState.UP) for name in 'ab')


def test_a_failover_and_a_replacement_of_a_standby_make_a_suspect_of_that_moment():
    seen = worlds.seen(GROUP, record=model.Record(active=worlds.holder('a'), seen=(
        worlds.holder('a'), worlds.holder('b'),
    )))  # fmt: skip
    plan = decide.answer(Signal(), seen).plan
    ended = outcome.at_end(seen.record, plan, {'a', 'b'})
    assert ended.suspicions == (model.Suspicion('a', plan.created, 'server-a'),)
    chained = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)
    asked = dataclasses.replace(seen, chained=chained)
    plan = decide.answer(Signal(member='b'), asked).plan
    ended = outcome.at_end(seen.record, plan, {'a', 'b'})
    assert ended.suspicions == (model.Suspicion('b', plan.created, 'server-b'),)


def test_who_fails_again_has_to_show_it_again():
    earlier = dataclasses.replace(SUSPECT, member='a', since=BEFORE.isoformat(), was_down=True)
    seen = worlds.seen(GROUP, record=record(earlier))
    plan = decide.answer(Signal(), seen).plan
    (now,) = outcome.at_end(seen.record, plan, {'a', 'b'}).suspicions
    assert now.since == plan.created and not now.was_down


def test_whom_a_dropped_plan_would_have_replaced_is_a_suspect_of_its_time():
    chained = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)
    seen = worlds.seen(GROUP, chained=chained)
    plan = decide.answer(Signal(), seen).plan
    open_record = model.Record(
        active=worlds.holder('b'), plan=plan, state=model.State.STOPPED, epoch=2
    )
    found = ways_out.dropped(dataclasses.replace(seen, record=open_record)).record
    assert [(one.member, one.since) for one in found.suspicions] == [('a', plan.created)]


def test_names_and_what_is_known_of_them_stay_together():
    known = record(suspects=('b', 'c'))
    assert suspicion.without(known, {'b'}) == dataclasses.replace(
        known, suspects=('c',), suspicions=()
    )
    assert suspicion.cleared(known, {'b': 'why', 'c': 'why'}).suspects == ()


@pytest.mark.parametrize('state', [None, *HostState])
def test_the_reason_says_what_a_suspect_has_to_show(state):
    if state in (HostState.DOWN, HostState.CONFIRMED_DOWN):
        return
    text = standbys.limitation(candidate(host_state=state), worlds.holder('a'), ('b',))
    remedy = 'check its stack' if state is HostState.UP else 'switchover'
    assert 'reported sick' in text and remedy in text
    well = candidate(health=model.HealthState.COULD_NOT_ASK)
    assert 'health check' in standbys.limitation(well, worlds.holder('a'), ('b',))
