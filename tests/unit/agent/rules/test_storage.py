# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from heat_ha.agent.model import Incident, Judgement, Observation, Phase, Settings, Verdict
from heat_ha.agent.rules import by_hand, decide, storage
from heat_ha.cloud import model as cloud
from heat_ha.fencing import model as fencing

NOW = 10_000.0


def incident(phase, who, in_storage=()):
    proof = who and fencing.Proof(who, 'x', NOW - 60, in_storage=in_storage)
    return Incident('c1', phase, NOW - 90, 'down', NOW - 30, proof, '', (NOW - 60,))


def step_for(known, forced=True, verdict=Verdict.DOWN, **more):
    service = cloud.ComputeService('c1', 'id', False, forced, False, heartbeat_at=NOW - 10)
    seen = Observation('c1', known, Judgement(verdict, 'said'), service, NOW, **more)
    return decide.next_step(seen, Settings())


@pytest.mark.parametrize(
    ('who', 'in_storage', 'is_kept'),
    [
        ('ceph by a1', (), True),
        ('ceph', (), True),
        ('redfish and ceph by a1', (), False),
        ('ceph and nova_forced_down by a1', (), False),
        ('redfish by a1', (), False),
        ('command by a1', (), False),
        ('command by a1', ('command',), True),
        ('theirs by a1', ('theirs',), True),
        ('ceph and command by a1', ('command',), True),
        ('ceph and command by a1', (), False),
        ('command and command by a1', ('command',), False),
        ('redfish and command by a1', ('command',), False),
        ('Ada by hand', (), False),
        (None, (), False),
    ],
)
def test_only_a_person_gives_a_host_its_storage_back_that_was_never_switched_off(
    who, in_storage, is_kept
):
    why = storage.why_not_let_in(incident(Phase.QUARANTINED, who, in_storage))
    assert bool(why) is is_kept
    # The way out, in the order in which it works.
    order = [why.find(word) for word in ('end c1', 'unfence c1 --by NAME', 'unset forced_down')]
    assert not is_kept or -1 < order[0] < order[1] < order[2]


@pytest.mark.parametrize('is_audited', [True, False])
@pytest.mark.parametrize('leftovers', [(), None, ('guest',)], ids=repr)
def test_a_host_that_is_back_waits_for_a_person_where_its_guests_may_run_on(leftovers, is_audited):
    seen = {'leftovers': leftovers, 'is_audited': is_audited}
    step = step_for(incident(Phase.QUARANTINED, 'ceph by a1'), **seen)
    assert isinstance(step, decide.Wait) and 'unfence c1' in step.reason
    step = step_for(incident(Phase.QUARANTINED, 'redfish and ceph by a1'), **seen)
    assert isinstance(step, decide.Reopen) is (leftovers == () and is_audited)
    step = step_for(incident(Phase.QUARANTINED, 'ceph by a1'), forced=False, **seen)
    assert isinstance(step, decide.Enter) and step.phase is Phase.CLOSED


@pytest.mark.parametrize(
    ('phase', 'more'),
    [
        (Phase.QUARANTINED, {'is_audited': False}),
        (Phase.DEFERRED, {'heartbeats': decide.HEARTBEATS_TO_RETURN}),
        (Phase.DROPPED, {'heartbeats': decide.HEARTBEATS_TO_RETURN}),
    ],
)
@pytest.mark.parametrize(
    ('who', 'in_storage', 'is_fenced'),
    [
        ('redfish and ceph by a1', (), True),
        ('ipmi and command by a1', ('command',), True),
        ('redfish by a1', (), False),
        ('command by a1', (), False),
    ],
)
def test_the_way_in_that_is_named_is_one_that_is_not_refused(
    phase, more, who, in_storage, is_fenced
):
    known = incident(phase, who, in_storage)
    reason = step_for(known, **more).reason
    assert 'unset forced_down' in reason
    assert ('unfence c1' in reason) is is_fenced
    if 'end c1' in reason:
        known = decide.ended(known, 'Ada', NOW)
    if is_fenced:
        by_hand.check_unfence(known, 'c1', 'Ada')


@pytest.mark.parametrize(
    ('who', 'words'),
    [('ceph by a1', 'stop its nova-compute'), ('ceph and ipmi by a1', 'that of another host')],
)
def test_a_host_that_lives_after_each_fence_waits_for_a_person_who_is_told_what_to_see(who, words):
    fences = (NOW - 80, NOW - 70, NOW - 60)
    known = dataclasses.replace(incident(Phase.RESCUING, who), fences=fences)
    step = step_for(known, life='it beats')
    assert isinstance(step, decide.Enter) and step.phase is Phase.DEFERRED
    assert words in step.reason
    # The way leads on: once it sends nothing more, the host is fenced again.
    deferred = dataclasses.replace(known, phase=Phase.DEFERRED)
    step = step_for(decide.released(deferred, 'Ada', NOW))
    assert isinstance(step, decide.Fence) and step.is_renewal
