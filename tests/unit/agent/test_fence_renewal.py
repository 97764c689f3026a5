# SPDX-License-Identifier: Apache-2.0
"""Which fences are renewed, and when."""

import contextlib
import dataclasses

import pytest

from heat_ha.agent import fence_renewal
from heat_ha.agent.model import Incident, Phase
from heat_ha.fencing import inventory, let_in, model


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def renewal(found, free=True, **more):
    """One beside these incidents on record, whose hosts nobody else works on."""
    return fence_renewal.FenceRenewal(
        inventory.parse(''), locked=lambda _host: contextlib.nullcontext(free),
        recorded=found.get, **{'run': lambda call: call(), **more},
    )  # fmt: skip


@pytest.fixture
def renewed(monkeypatch):
    found = []
    monkeypatch.setattr(let_in, 'keep_off', lambda host, _proof, _fences: found.append(host))
    return found


def incident(phase, proof=True):
    made = model.Proof('ceph by a1', 'x', 1.0) if proof else None
    return Incident(phase.value, phase, 1.0, 'down', 1.0, made)


def test_the_fence_of_each_host_is_renewed_that_was_not_let_in(renewed):
    found = {phase.value: incident(phase) for phase in Phase}
    renewal(found).look(found)
    assert set(renewed) == {phase.value for phase in Phase if phase is not Phase.CLOSED}


def test_a_host_without_a_proof_has_nothing_to_renew(renewed):
    found = {'suspect': incident(Phase.SUSPECT, proof=False)}
    renewal(found).look(found)
    assert renewed == []


def test_no_lock_is_taken_of_a_host_whose_fence_does_not_end_by_itself(renewed):
    locked = []

    def lock(host):
        locked.append(host)
        return contextlib.nullcontext(True)

    proofs = {
        'off': model.Proof('redfish by a1', 'x', 1.0),
        'both': model.Proof('redfish and ceph by a1', 'x', 1.0),
        'program': model.Proof('command by a1', 'x', 1.0),
        'theirs': model.Proof('theirs by a1', 'x', 1.0, in_storage=('theirs',)),
    }
    found = {
        host: dataclasses.replace(incident(Phase.RESCUING), host=host, proof=proof)
        for host, proof in proofs.items()
    }
    made = renewal(found)
    made._locked = lock
    made.look(found)
    assert locked == renewed == ['both', 'theirs']


def test_a_round_is_begun_after_some_minutes_and_never_beside_another(renewed):
    clock, calls = Clock(), []
    found = {'done': incident(Phase.DONE)}
    made = renewal(found, monotonic=clock, run=calls.append)
    made.look(found)
    clock.now = fence_renewal.EVERY + 1
    made.look(found)
    assert len(calls) == 1
    calls[0]()
    clock.now += 1
    made.look(found)
    assert len(calls) == 2
    calls[1]()
    made.look(found)
    assert len(calls) == 2 and renewed == ['done', 'done']


def test_a_thread_that_cannot_be_started_stops_no_later_round(renewed, caplog):
    def full(_call):
        raise RuntimeError("can't start new thread")

    clock = Clock()
    known = {'done': incident(Phase.DONE)}
    made = renewal(known, monotonic=clock, run=full)
    made.look(known)
    assert 'are renewed later' in caplog.text
    made._run = lambda call: call()
    clock.now += fence_renewal.EVERY
    made.look(known)
    assert renewed == ['done']


def test_a_host_whose_renewal_fails_keeps_no_other_one_waiting(monkeypatch, caplog):
    found = []

    def keep_off(host, _proof, _fences):
        found.append(host)
        raise ValueError('a driver is broken')

    monkeypatch.setattr(let_in, 'keep_off', keep_off)
    known = {phase.value: incident(phase) for phase in (Phase.DONE, Phase.DROPPED)}
    made = renewal(known)
    made.look(known)
    assert len(found) == 2 and 'a driver is broken' in caplog.text
    assert made._is_running.acquire(blocking=False)


@pytest.mark.parametrize(
    ('phase', 'free', 'is_renewed'),
    [(Phase.DONE, True, True), (Phase.DONE, False, False), (Phase.CLOSED, True, False)],
    ids=['held', 'worked on', 'let in'],
)
def test_nothing_is_renewed_of_a_host_that_is_let_in_meanwhile(renewed, phase, free, is_renewed):
    seen = incident(Phase.DONE)
    now = dataclasses.replace(seen, phase=phase)
    renewal({'done': now}, free).look({'done': seen})
    assert bool(renewed) is is_renewed
