# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest

from heat_ha import serialization
from heat_ha.agent import model
from heat_ha.agent.model import Phase, Verdict
from heat_ha.agent.rules import decide
from heat_ha.cloud import model as cloud
from heat_ha.fencing import model as fencing

NOW = 10_000.0
SETTINGS = model.Settings(settle=5, proof_valid=300)
PROOFS = (
    None,
    fencing.Proof('redfish', 'power is off', NOW - 1),
    fencing.Proof('redfish', 'power is off', NOW - 301),
)


def incident(phase, *, opened=NOW - 60, proof=PROOFS[1], released_by=''):
    return model.Incident('c1', phase, opened, 'services_api: down', opened, proof, released_by)


def mark(*, forced=False, up=False, disabled=False):
    return cloud.ComputeService('c1', 'id', up, forced, disabled, heartbeat_at=NOW - 30)


MARKS = (
    None,
    *(
        mark(forced=forced, up=up, disabled=disabled)
        for forced, up, disabled in itertools.product((True, False), repeat=3)
    ),
)


# The phases in which the other hosts and the agent's own state matter.
HELD = (Phase.SUSPECT, Phase.CONFIRMED)


def all_seen():
    """Every combination of what may be seen, but for those that cannot be."""
    for (
        phase,
        verdict,
        seen_mark,
        proof,
        opened,
        isolation,
        storm,
        left,
        leftovers,
        by,
        doubt,
        trusted_since,
        beats,
        outlived_since,
    ) in itertools.product(
        (None, *Phase),
        Verdict,
        MARKS,
        PROOFS,
        (NOW - 60, NOW - 1),
        ('', 'cut off'),
        ('', 'storm'),
        (None, 0, 2),
        (None, (), ('guest',)),
        ('', 'ann'),
        ('', 'unheard'),
        (NOW - 60, NOW - 1),
        (0, decide.HEARTBEATS_TO_RETURN - 1, decide.HEARTBEATS_TO_RETURN),
        (NOW - 20, NOW - 3, float('inf')),
    ):
        if outlived_since <= NOW and phase is not Phase.SUSPECT:
            continue
        if beats and phase is not Phase.DONE:
            continue
        if by and phase is not Phase.CONFIRMED:
            continue
        if phase is not Phase.RESCUING and left is None:
            continue
        if phase is not Phase.QUARANTINED and leftovers is None:
            continue
        if (doubt or trusted_since != NOW - 60) and phase not in HELD:
            continue
        known = phase and incident(phase, opened=opened, proof=proof, released_by=by)
        # Whether somebody is certain matters only for a suspect that is down.
        is_down_suspect = phase is Phase.SUSPECT and verdict is Verdict.DOWN
        for is_certain in (False, True)[: 1 + is_down_suspect]:
            yield model.Observation(
                'c1', known, model.Judgement(verdict, 'said', frozenset(), is_certain), seen_mark,
                NOW, isolation, storm, left, leftovers, doubt, trusted_since, beats,
                outlived_since,
            )  # fmt: skip


# S1, S6
def test_the_rules_hold_in_every_state():
    seen_steps = set()
    for seen in all_seen():
        step = decide.next_step(seen, SETTINGS)
        phase = seen.incident and seen.incident.phase
        seen_steps.add(type(step))
        assert step.reason, seen
        if isinstance(step, decide.Fence):
            assert phase in (Phase.CONFIRMED, Phase.FENCED), seen
            if phase is Phase.CONFIRMED:
                assert seen.judgement.verdict is Verdict.DOWN and not seen.isolation, seen
                assert not seen.storm or seen.incident.released_by, seen
                assert not seen.doubt or seen.incident.released_by, seen
                assert NOW - seen.trusted_since >= SETTINGS.settle, seen
        if isinstance(step, decide.MarkDown):
            assert seen.incident.proof is not None and phase is Phase.FENCED, seen
            assert NOW - seen.incident.proof.at <= SETTINGS.proof_valid and not seen.isolation
        if isinstance(step, decide.Rescue):
            assert seen.incident.proof is not None and phase is Phase.RESCUING, seen
        if isinstance(step, decide.Enter):
            assert step.phase in decide.TRANSITIONS[phase], (phase, step)
            if step.phase is Phase.CONFIRMED:
                assert not seen.isolation and not seen.storm and not seen.doubt, seen
                is_marked = seen.service is not None and seen.service.is_forced_down
                down_since = min(seen.incident.opened, seen.outlived_since)
                is_sure = is_marked or seen.judgement.is_certain
                assert is_sure or NOW - down_since >= SETTINGS.settle, seen
                assert NOW - seen.trusted_since >= SETTINGS.settle, seen
            if step.phase is Phase.RESCUING:
                assert seen.service.is_forced_down and seen.incident.proof, seen
            if step.phase is Phase.QUARANTINED:
                assert seen.heartbeats >= decide.HEARTBEATS_TO_RETURN, seen
        if isinstance(step, decide.Reopen):
            assert phase is Phase.QUARANTINED and seen.leftovers == (), seen
    assert seen_steps == {
        decide.Wait, decide.Enter, decide.Fence, decide.MarkDown, decide.Rescue, decide.Reopen,
    }  # fmt: skip


def test_when_only_time_is_missing_the_wait_ends_when_it_is_over():
    for seen in all_seen():
        step = decide.next_step(seen, SETTINGS)
        if not isinstance(step, decide.Wait) or step.seconds == float('inf'):
            continue
        assert 0 < step.seconds <= SETTINGS.settle, (seen, step)
        later = dataclasses.replace(seen, now=seen.now + step.seconds)
        then = decide.next_step(later, SETTINGS)
        assert then != step, (seen, step)


def test_a_host_is_looked_at_soon_only_while_that_can_help():
    steps = (decide.Wait('x'), decide.Wait('x', 0.3), decide.Rescue('x'), decide.Fence('x'))
    for phase, step, age, longest in itertools.product(
        (None, *Phase), steps, (0.0, decide.URGENT_SECONDS), (0.2, 3.0)
    ):
        found = decide.pause(phase, step, age, longest)
        assert found <= longest
        is_held = phase in HELD and age < decide.URGENT_SECONDS
        if isinstance(step, decide.Wait) and step.seconds > longest and not is_held:
            assert found == longest, (phase, age)
        if isinstance(step, decide.Fence) or (isinstance(step, decide.Wait) and is_held):
            assert found <= decide.OWN_PAUSE or phase is Phase.RESCUING, (phase, step)


# S2
def test_what_could_not_be_asked_changes_nothing():
    for seen in all_seen():
        if seen.judgement.verdict is not Verdict.UNKNOWN or seen.service is not None:
            continue
        if seen.incident is not None and seen.incident.phase in (Phase.RESCUING, Phase.FENCED):
            continue
        assert isinstance(decide.next_step(seen, SETTINGS), decide.Wait), seen


def test_a_host_in_maintenance_is_the_operators():
    seen = model.Observation(
        'c1', None, model.Judgement(Verdict.DOWN, 'said'), mark(disabled=True), NOW
    )
    assert isinstance(decide.next_step(seen, SETTINGS), decide.Wait)


class World:
    """A host that dies, with a Nova and rescues that do what they are told."""

    def __init__(self):
        self.incident = None
        self.mark = mark()
        self.left = None
        self.now = NOW
        self.steps = []

    def step(self):
        seen = model.Observation(
            'c1', self.incident, model.Judgement(Verdict.DOWN, 'services_api: down'),
            self.mark, self.now, rescues_left=self.left,
        )  # fmt: skip
        step = decide.next_step(seen, SETTINGS)
        self.steps.append(type(step).__name__)
        self.now += 6
        if isinstance(step, decide.Enter):
            opened = self.incident.opened if self.incident else self.now
            proof = self.incident and self.incident.proof
            self.incident = model.Incident('c1', step.phase, opened, step.reason, self.now, proof)
        elif isinstance(step, decide.Fence):
            self.incident = dataclasses.replace(
                self.incident, phase=Phase.FENCED, proof=fencing.Proof('redfish', 'off', self.now)
            )
        elif isinstance(step, decide.MarkDown):
            self.mark = mark(forced=True)
        elif isinstance(step, decide.Rescue):
            self.left = 2 if self.left is None else self.left - 1

    def is_done(self):
        return self.incident is not None and self.incident.phase is Phase.DONE


def test_a_dead_host_ends_as_done_by_way_of_a_fence():
    world = World()
    while not world.is_done():
        world.step()
    order = [s for s in world.steps if s in ('Fence', 'MarkDown', 'Rescue')]
    assert order == ['Fence', 'MarkDown', 'Rescue', 'Rescue', 'Rescue']


@pytest.mark.parametrize('cut', range(9))
def test_an_agent_that_died_after_any_step_goes_on_from_the_record(cut):
    world = World()
    for _ in range(cut):
        world.step()
    kept = world.incident and serialization.decode(
        model.Incident, serialization.encode(world.incident), 'it'
    )
    assert kept == world.incident
    world.incident, world.left = kept, None
    for _ in range(20):
        world.step()
    assert world.is_done()


def test_a_person_releases_or_drops_only_what_is_deferred():
    for phase in Phase:
        found = incident(phase)
        is_deferred = phase is Phase.DEFERRED
        assert (decide.released(found, 'ann', NOW) != found) is is_deferred
        assert (decide.dropped(found, 'ann', NOW) != found) is is_deferred
    assert decide.released(incident(Phase.DEFERRED), 'ann', NOW).released_by == 'ann'
