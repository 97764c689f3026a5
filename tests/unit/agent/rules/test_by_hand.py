# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from heat_ha import exceptions
from heat_ha.agent.model import Incident, Phase
from heat_ha.agent.rules import by_hand, decide
from heat_ha.cloud import model as cloud
from heat_ha.fencing import model as fencing

DOWN = cloud.ComputeService('c1', 'id', False, False, False)
UP = cloud.ComputeService('c1', 'id', True, False, False)


def incident(phase, proof=None):
    return Incident('c1', phase, 1000.0, 'down', 1000.0, proof)


@pytest.mark.parametrize('proof', [None, fencing.Proof('ipmi', 'x', 1.0)], ids=['none', 'old'])
@pytest.mark.parametrize('phase', list(Phase))
def test_a_confirmation_is_a_proof_under_a_name_where_one_is_waited_for(phase, proof):
    old = incident(phase, proof)
    if phase not in by_hand.AFTER_CONFIRMATION:
        with pytest.raises(exceptions.Refused, match=f'it is {phase.value}: '):
            by_hand.confirmed(old, DOWN, 'Ada', 2000.0)
        return
    new = by_hand.confirmed(old, DOWN, ' Ada ', 2000.0)
    assert new.proof == fencing.Proof('Ada by hand', 'confirmed by Ada as switched off', 2000.0)
    after = by_hand.AFTER_CONFIRMATION[phase]
    assert new.phase is after and (after is phase or after in decide.TRANSITIONS[phase])
    # It failed, as a host that a driver has fenced; a word that is given again is no other failure.
    assert new.fences == (2000.0,) and new.fenced_here == 1
    if new.phase in by_hand.AFTER_CONFIRMATION:
        again = by_hand.confirmed(new, DOWN, 'Ada', 3000.0)
        assert again.fences == new.fences and again.proof.at == 3000.0
    assert 'Ada' in new.reason and new.changed == 2000.0 and new.opened == 1000.0


def test_a_host_that_reports_is_not_off_whoever_says_so():
    with pytest.raises(exceptions.Refused, match='still reports'):
        by_hand.confirmed(incident(Phase.CONFIRMED), UP, 'Ada', 2000.0)
    assert by_hand.confirmed(incident(Phase.CONFIRMED), None, 'Ada', 2000.0).proof


@pytest.mark.parametrize('name', ['', '  ', 'a\nb', 'x' * 65, '\x1b[31m'], ids=repr)
def test_a_confirmation_without_a_name_is_refused(name):
    with pytest.raises(exceptions.Refused, match='--by NAME'):
        by_hand.confirmed(incident(Phase.CONFIRMED), DOWN, name, 2000.0)


@pytest.mark.parametrize('fences', [(), (1000.0,), (999.0,)], ids=['none', 'here', 'earlier'])
@pytest.mark.parametrize('proof', [None, fencing.Proof('ceph', 'x', 1.0)], ids=['none', 'fenced'])
@pytest.mark.parametrize('removed', [(), ('r1',)], ids=['known', 'removed'])
@pytest.mark.parametrize('phase', [*Phase, None])
def test_a_host_whose_servers_may_run_elsewhere_is_not_given_its_storage_back(
    phase, removed, proof, fences
):
    found = phase and dataclasses.replace(incident(phase, proof), fences=fences, removed=removed)
    was_fenced = proof is not None or fences == (1000.0,) or removed
    is_stopped = phase is Phase.DEFERRED and was_fenced
    is_kept = is_stopped or phase in {
        Phase.CONFIRMED, Phase.FENCED, Phase.RESCUING, Phase.DONE, Phase.QUARANTINED,
    }  # fmt: skip
    if not is_kept:
        by_hand.check_unfence(found, 'c1', 'Ada')
        return
    with pytest.raises(exceptions.Refused, match='first: heat-ha-agent end c1'):
        by_hand.check_unfence(found, 'c1', 'Ada')
    # The way out that it names works.
    by_hand.check_unfence(decide.ended(found, 'Ada', 2000.0), 'c1', 'Ada')


def test_nobody_gives_a_host_its_storage_back_without_a_name():
    with pytest.raises(exceptions.Refused, match='--by NAME'):
        by_hand.check_unfence(None, 'c1', '')
