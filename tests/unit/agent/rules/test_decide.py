# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest

from heat_ha import serialization
from heat_ha.agent import model
from heat_ha.agent.model import Phase, Verdict
from heat_ha.agent.rules import by_hand, decide
from heat_ha.cloud import model as cloud
from heat_ha.fencing import model as fencing

NOW = 10_000.0
SETTINGS = model.Settings(settle=5, proof_valid=300)
PROOFS = (
    None,
    fencing.Proof('redfish', 'power is off', NOW - 1),
    fencing.Proof('redfish', 'power is off', NOW - 301),
    fencing.Proof('Ada by hand', 'confirmed', NOW - 301),
)


def incident(phase, *, opened=NOW - 60, proof=PROOFS[1], released_by=''):
    return model.Incident('c1', phase, opened, 'services_api: down', opened, proof, released_by)


def mark(*, forced=False, up=False, disabled=False, reason='', written=NOW - 30):
    return cloud.ComputeService('c1', 'id', up, forced, disabled, reason, heartbeat_at=written)


OURS = (cloud.reason_of_mark('redfish', NOW - 1000), cloud.reason_of_mark('redfish', NOW))
REASONS = (None, '', 'a fan is replaced', 'AUTO: Connection to libvirt lost', *OURS)

# All that Nova may show of a host; a reason is there only while it is disabled.
MARKS = (
    None,
    *(
        mark(forced=forced, up=up, disabled=reason is not None, reason=reason or '')
        for forced, up, reason in itertools.product((True, False), (True, False), REASONS)
    ),
)

# The phases in which the other hosts and the agent's own state matter.
HELD = (Phase.SUSPECT, Phase.CONFIRMED)

# Those in which a proof allows something.
PROVED = (Phase.FENCED, Phase.RESCUING)

BEATS = (0, decide.HEARTBEATS_TO_RETURN - 1, decide.HEARTBEATS_TO_RETURN)

# What matters in each phase, with the values that it may have. All else is as it is by default.
MATTERS = {
    None: {'written': (NOW - 30, NOW - SETTINGS.old_silence - 1, None)},
    Phase.CLOSED: {'written': (NOW - 30, NOW - SETTINGS.old_silence - 1, None)},
    Phase.SUSPECT: {
        'isolation': ('', 'cut off'), 'storm': ('', 'storm'), 'doubt': ('', 'unheard'),
        'changed': (NOW - 60, NOW - 1), 'trusted_since': (NOW - 60, NOW - 1),
        'outlived_since': (NOW - 20, NOW - 3, float('inf')), 'is_certain': (False, True),
        'heartbeats': BEATS[1:], 'agreed': ((), ('webhook',)), 'is_denied': (False, True),
    },
    Phase.CONFIRMED: {
        'isolation': ('', 'cut off'), 'storm': ('', 'storm'), 'doubt': ('', 'unheard'),
        'turn': ('', 'others'), 'trusted_since': (NOW - 60, NOW - 1), 'by': ('', 'ann'),
    },
    Phase.FENCED: {
        'proof': PROOFS, 'life': ('', 'it beats'), 'unclear': ('', 'written'), 'fences': (0, 1, 3),
        'isolation': ('', 'cut off'), 'can_fence': (True, False), 'is_word': (True, False),
    },
    Phase.RESCUING: {
        'proof': PROOFS, 'life': ('', 'it beats'), 'unclear': ('', 'written'), 'fences': (0, 1, 3),
        'isolation': ('', 'cut off'), 'can_fence': (True, False), 'is_word': (True, False),
        'rescues_left': (None, 0, 2), 'looked_at': (NOW - 61, NOW),
    },
    Phase.DONE: {'heartbeats': BEATS, 'looked_at': (NOW - 61, NOW)},
    Phase.QUARANTINED: {'leftovers': (None, (), ('guest',)), 'looked_at': (NOW - 61, NOW),
                        'is_audited': (True, False)},
    Phase.DEFERRED: {
        'proof': PROOFS, 'heartbeats': BEATS,
        'changed': (NOW - 60, NOW - SETTINGS.deferred_valid - 1),
    },
    Phase.DROPPED: {
        'proof': PROOFS, 'heartbeats': BEATS,
        'changed': (NOW - 60, NOW - SETTINGS.deferred_valid - 1),
    },
}  # fmt: skip


def all_seen(*phases):
    """Every combination of what matters in these phases, or in all."""
    for phase in phases or MATTERS:
        names = list(MATTERS[phase])
        for verdict, shown, *values in itertools.product(
            Verdict, MARKS, *(MATTERS[phase][name] for name in names)
        ):
            yield seen_as(phase, verdict, shown, dict(zip(names, values, strict=True)))


def seen_as(phase, verdict, shown, given):
    changed = given.pop('changed', NOW - 60)
    if 'written' in given:
        written = given.pop('written')
        shown = shown and dataclasses.replace(shown, heartbeat_at=written)
    agreed = given.pop('agreed', ())
    known = phase and model.Incident(
        'c1', phase, changed, 'services_api: down', changed, given.pop('proof', None),
        given.pop('by', ''), (changed,) * given.pop('fences', 0), agreed,
    )  # fmt: skip
    judgement = model.Judgement(
        verdict, 'said', frozenset({'webhook'} if verdict is Verdict.DOWN else ()),
        given.pop('is_certain', False), given.pop('is_denied', False),
    )  # fmt: skip
    return model.Observation('c1', known, judgement, shown, NOW, **given)


def test_all_that_may_be_seen_is_walked():
    counts = {phase: sum(1 for _ in all_seen(phase)) for phase in MATTERS}
    assert set(counts) == {None, *Phase}
    assert counts[Phase.FENCED] == 28800 and counts[Phase.RESCUING] == 172800
    assert sum(counts.values()) == 327000


# S1, S6
@pytest.mark.parametrize('phase', MATTERS)
def test_the_rules_hold_in_every_state(phase):
    for seen in all_seen(phase):
        step = decide.next_step(seen, SETTINGS)
        assert step.reason, seen
        if isinstance(step, decide.Fence):
            assert phase in (Phase.CONFIRMED, *PROVED), seen
            assert seen.judgement.verdict is Verdict.DOWN and not seen.isolation, seen
            # Only a sign of life makes another failure of it.
            is_another = bool(seen.life) or seen.judgement.verdict is Verdict.UP
            is_first = not seen.incident.fenced_here
            assert step.is_renewal is not (is_another or (phase is Phase.CONFIRMED and is_first))
            if phase is Phase.CONFIRMED:
                assert not seen.storm or seen.incident.released_by, seen
                assert not seen.doubt or seen.incident.released_by, seen
                assert not seen.turn, seen
                assert NOW - seen.trusted_since >= SETTINGS.settle, seen
                assert seen.service is not None and not seen.service.is_in_maintenance, seen
        if isinstance(step, (decide.MarkDown, decide.Rescue)):
            assert phase is (
                Phase.FENCED if isinstance(step, decide.MarkDown) else Phase.RESCUING
            ), seen
            assert_proved(seen)
        if isinstance(step, decide.Enter):
            assert step.phase in decide.TRANSITIONS[phase], (phase, step)
            assert_may_enter(seen, step.phase)
        if isinstance(step, decide.Reopen):
            is_clean = phase is Phase.QUARANTINED and seen.leftovers == () and seen.is_audited
            assert is_clean or is_let_in_by_others(seen), seen
            # What keeps it from its storage is taken back only then.
            assert step.is_clean is (is_clean and seen.service.is_forced_down), seen


def is_let_in_by_others(seen):
    """Whether Nova uses the host again, and only heat-ha's disabling is left."""
    ours = seen.service.disabled_reason.startswith(cloud.OUR_REASON)
    return not seen.service.is_forced_down and ours


def assert_proved(seen):
    """A young proof is on record, and nothing was seen of the host since (S1)."""
    assert seen.incident.proof is not None, seen
    is_young = NOW - seen.incident.proof.at <= SETTINGS.proof_valid
    is_word = seen.incident.proof.who.endswith(' by hand') or seen.is_word or not seen.can_fence
    assert is_young or (is_word and seen.service.is_forced_down), seen
    assert not seen.life and not seen.unclear, seen
    assert seen.judgement.verdict is not Verdict.UP, seen
    assert not seen.isolation and seen.service is not None, seen


def assert_may_enter(seen, phase):
    is_marked = seen.service is not None and seen.service.is_forced_down
    if phase is Phase.CONFIRMED and seen.incident.phase is Phase.SUSPECT:
        assert not seen.isolation and not seen.storm and not seen.doubt, seen
        assert seen.service is not None, seen
        assert seen.incident.agreed, seen
        down_since = min(seen.incident.changed, seen.outlived_since)
        is_sure = is_marked or seen.judgement.is_certain
        assert is_sure or NOW - down_since >= SETTINGS.settle, seen
        assert NOW - seen.trusted_since >= SETTINGS.settle, seen
    if phase is Phase.SUSPECT and seen.incident is not None and seen.incident.is_open:
        # A break begins, or is over.
        is_down = seen.judgement.verdict is Verdict.DOWN
        assert is_down is not bool(seen.incident.agreed), seen
        assert is_down or seen.judgement.is_denied, seen
    if phase is Phase.RESCUING:
        assert is_marked, seen
        assert_proved(seen)
    if phase is Phase.QUARANTINED:
        assert seen.heartbeats >= decide.HEARTBEATS_TO_RETURN, seen
    if phase is Phase.CLOSED and seen.incident.phase in (*PROVED, Phase.DONE):
        # Somebody has unset the mark since it was set.
        assert not is_marked and seen.looked_at > seen.incident.changed, seen


def test_each_kind_of_step_is_chosen_somewhere():
    found = {type(decide.next_step(seen, SETTINGS)) for seen in all_seen()}
    assert found == {
        decide.Wait, decide.Enter, decide.Fence, decide.MarkDown, decide.Rescue, decide.Reopen,
    }  # fmt: skip


# S1
def test_a_sign_of_life_after_the_fence_leads_to_another_fence_or_to_a_person():
    for seen in all_seen(*PROVED):
        if not (seen.life or seen.judgement.verdict is Verdict.UP):
            continue
        step = decide.next_step(seen, SETTINGS)
        assert not isinstance(step, (decide.MarkDown, decide.Rescue)), seen
        if isinstance(step, decide.Enter):
            # Or it is over: nothing is left to do, or somebody lets Nova use the host again.
            assert step.phase in (Phase.DEFERRED, Phase.DONE, Phase.CLOSED), (seen, step)
        if isinstance(step, decide.Fence):
            assert seen.can_fence and seen.incident.fenced_here < SETTINGS.fences, seen
        if isinstance(step, decide.Wait):
            could_not_see = seen.service is None or seen.isolation or seen.looked_at < NOW
            assert could_not_see or seen.judgement.verdict is Verdict.UNKNOWN, (seen, step)


def test_the_agent_leaves_each_phase_by_itself_or_a_person_ends_it():
    for phase, follow in decide.TRANSITIONS.items():
        left = {
            'fenced' if isinstance(step, decide.Fence) else step.phase.value
            for seen in all_seen(phase)
            if isinstance(step := decide.next_step(seen, SETTINGS), (decide.Enter, decide.Fence))
        }
        if phase is not Phase.QUARANTINED:
            # A person alone releases what is held back.
            by_person = {Phase.CONFIRMED.value} if phase is Phase.DEFERRED else set()
            by_agent = {p.value for p in follow} - by_person
            assert left == by_agent, (phase, left)
        if phase not in (None, Phase.CLOSED, Phase.DROPPED):
            ended = decide.ended(incident(phase), 'ann', NOW)
            assert ended.phase is Phase.DROPPED and ended.reason == 'ended by ann'
    # From where a person has ended it, it is closed when the host is back.
    back = seen_as(
        Phase.DROPPED, Verdict.UP, mark(up=True), {'heartbeats': decide.HEARTBEATS_TO_RETURN}
    )
    assert decide.next_step(back, SETTINGS).phase is Phase.CLOSED


def test_whoever_waits_for_long_is_told_of_again_with_the_way_out():
    for seen in all_seen():
        if seen.incident is None or seen.incident.phase in decide._AT_REST:
            continue
        known = dataclasses.replace(seen.incident, changed=NOW - 7300)
        step = decide.next_step(dataclasses.replace(seen, incident=known), SETTINGS)
        if isinstance(step, decide.Wait):
            assert 'for 2 h' in step.reason and 'heat-ha-agent' in step.reason, step


def test_a_host_that_dies_again_while_it_is_rescued_is_a_new_failure():
    let_in = seen_as(Phase.RESCUING, Verdict.DOWN, mark(), {'proof': PROOFS[1], 'rescues_left': 2})
    assert decide.next_step(let_in, SETTINGS).phase is Phase.CLOSED
    # What another agent has seen before the mark was set says nothing.
    early = dataclasses.replace(let_in, looked_at=let_in.incident.changed)
    assert isinstance(decide.next_step(early, SETTINGS), decide.Wait)
    closed = seen_as(Phase.CLOSED, Verdict.DOWN, mark(), {})
    assert decide.next_step(closed, SETTINGS).phase is Phase.SUSPECT


@pytest.mark.parametrize(
    ('reason', 'is_operators'),
    [
        ('', True),
        ('a fan is replaced', True),
        ('AUTO: Connection to libvirt lost: -1', False),
        ('Auto-disabled due to 10 build failures', False),
        ('set by vmwareapi host_state', False),
        ('heat-ha: redfish by a: switched off at 2026-11-27T10:00:00Z', False),
        # Not in service yet (enable_new_services), or in the hands of another program.
        ('New compute service disabled due to config option.', True),
        ('Masakari detected host failed.', True),
        ('instanceha evacuation: 2026-11-27T10:00:00', True),
        ('auto', True),
        (' AUTO: Connection to libvirt lost: -1', True),
        ('back soon, AUTO: no', True),
    ],
)
@pytest.mark.parametrize('phase', [None, *HELD])
def test_only_what_an_operator_has_disabled_is_not_fenced(reason, is_operators, phase):
    shown = mark(disabled=True, reason=reason)
    step = decide.next_step(seen_as(phase, Verdict.DOWN, shown, {}), SETTINGS)
    if is_operators:
        if phase is None:
            assert isinstance(step, decide.Wait)
        else:
            assert step.phase is Phase.CLOSED
    else:
        assert not isinstance(step, decide.Wait), step


def test_what_was_silent_before_anybody_watched_has_not_failed_just_now():
    for written in (NOW - 400 * 86400, None):
        long_ago = mark(written=written)
        step = decide.next_step(seen_as(None, Verdict.DOWN, long_ago, {}), SETTINGS)
        assert isinstance(step, decide.Wait) and 'forced_down' in step.reason
    anew = mark(forced=True, written=NOW - 1)
    assert decide.next_step(seen_as(None, Verdict.DOWN, anew, {}), SETTINGS).phase is Phase.SUSPECT


# S1
@pytest.mark.parametrize(
    ('who', 'step'),
    [
        ('nova_forced_down by agent-1', decide.Fence),
        ('redfish and nova_forced_down by agent-1', decide.Fence),
        ('redfish by agent-1', decide.MarkDown),
        ('none by agent-1', decide.MarkDown),
        ('anna by hand', decide.MarkDown),
    ],
)
def test_a_mark_that_is_gone_is_not_set_again_on_the_word_of_it(who, step):
    proof = fencing.Proof(who, 'seen', NOW)
    judgement = model.Judgement(Verdict.DOWN, 'said')
    for shown in (mark(), mark(disabled=True, reason=OURS[1])):
        seen = model.Observation(
            'c1', incident(Phase.FENCED, proof=proof), judgement, shown, NOW, is_word=True
        )
        assert isinstance(decide.next_step(seen, SETTINGS), step)


def test_what_a_person_releases_is_fenced_anew():
    for before in (decide.released(incident(Phase.DEFERRED), 'ann', NOW - 60),
                   decide.with_more_rescues(incident(Phase.DONE), 'ann', NOW - 60)):  # fmt: skip
        assert before.phase is Phase.CONFIRMED and before.proof is None
        seen = model.Observation(
            'c1', before, model.Judgement(Verdict.DOWN, 'x'), mark(forced=True), NOW, storm='storm'
        )
        assert isinstance(decide.next_step(seen, SETTINGS), decide.Fence)


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
        if seen.rescues_left == 0:
            # That was asked, and nothing is left to do.
            continue
        if seen.incident is not None and NOW - seen.incident.changed > SETTINGS.deferred_valid:
            # A person was asked, and has not answered.
            continue
        step = decide.next_step(seen, SETTINGS)
        is_taken_back = seen.judgement.is_denied and step == decide.Enter('said', Phase.SUSPECT)
        assert isinstance(step, decide.Wait) or is_taken_back, seen


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
            self.mark = mark(forced=True, disabled=True, reason=cloud.reason_of_mark('x', self.now))
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


@pytest.mark.parametrize('phase', [Phase.DEFERRED, Phase.DROPPED])
@pytest.mark.parametrize('count', [0, decide.HEARTBEATS_TO_RETURN])
def test_a_host_that_is_back_while_it_rests_and_is_marked_says_how_it_is_let_in(phase, count):
    seen = model.Observation(
        'c1', incident(phase), model.Judgement(Verdict.DOWN, 'said'),
        mark(forced=True, disabled=True, reason=OURS[0]), NOW, heartbeats=count,
    )  # fmt: skip
    assert ('unset forced_down' in decide.next_step(seen, SETTINGS).reason) is bool(count)


def test_where_others_fence_a_host_that_lived_the_ways_out_lead_on():
    """The mark is the agent's by then, so a release alone would wait for another one for ever."""
    seen = model.Observation(
        'c1', incident(Phase.RESCUING), model.Judgement(Verdict.DOWN, 'said'),
        mark(forced=True, disabled=True, reason=OURS[1]), NOW, life='it beats', can_fence=False,
    )  # fmt: skip
    step = decide.next_step(seen, SETTINGS)
    assert step.phase is Phase.DEFERRED and 'release it and confirm' in step.reason
    held = dataclasses.replace(seen.incident, phase=Phase.DEFERRED)
    known = by_hand.confirmed(decide.released(held, 'ann', NOW), seen.service, 'ann', NOW)
    again = dataclasses.replace(seen, incident=known, life='')
    assert decide.next_step(again, SETTINGS) == decide.Enter(
        'Nova shows it as forced down', Phase.RESCUING
    )


@pytest.mark.parametrize('phase', [Phase.FENCED, Phase.RESCUING])
@pytest.mark.parametrize(('ahead', 'is_proof'), [(0, True), (25, True), (3600, False)])
def test_a_proof_of_a_time_to_come_proves_nothing(phase, ahead, is_proof):
    """A clock was set back: neither its age is known, nor what came after it."""
    shown = mark(up=False, forced=phase is Phase.RESCUING, disabled=phase is Phase.RESCUING)
    proof = fencing.Proof('redfish', 'switched off', NOW + ahead)
    seen = seen_as(phase, Verdict.DOWN, shown, {'proof': proof, 'rescues_left': 2})
    step = decide.next_step(seen, SETTINGS)
    if is_proof:
        assert isinstance(step, (decide.MarkDown, decide.Rescue)), step
    else:
        assert isinstance(step, decide.Fence) and 'clock' in step.reason


@pytest.mark.parametrize('ahead', [0, 25 * 3600])
def test_a_silence_is_as_old_as_by_the_clock_that_wrote_it(ahead):
    """The agent's own clock may be a day ahead."""
    shown = mark(up=False, written=NOW - 70)
    seen = dataclasses.replace(
        seen_as(None, Verdict.DOWN, shown, {}), now=NOW + ahead, newest=NOW - 1
    )
    assert isinstance(decide.next_step(seen, SETTINGS), decide.Enter)
    old = dataclasses.replace(seen, service=mark(up=False, written=NOW - 2 * 86400))
    assert isinstance(decide.next_step(old, SETTINGS), decide.Wait)
