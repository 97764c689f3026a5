# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha import exceptions
from heat_ha.agent.rules import names
from heat_ha.fencing import inventory


# S1
@pytest.mark.parametrize(
    'name',
    ['hand', 'Hand', 'x by hand', 'by hand', 'a b', '', 'x' * 65, 'a\nb', 'nova_forced_down',
     'a-NOVA_FORCED_DOWN'],
)  # fmt: skip
def test_an_agent_whose_proofs_would_be_taken_for_something_else_is_refused(name):
    with pytest.raises(exceptions.Refused, match=r'an agent cannot be named .*Set name in \['):
        names.check_agent(name)


@pytest.mark.parametrize('name', ['net-1', 'hand-1', 'lefthand', 'a.example', 'x' * 64, 'none'])
def test_the_proof_of_any_other_agent_is_that_of_its_driver(name):
    names.check_agent(name)
    who = f'redfish by {name}'
    assert not who.endswith(names.BY_HAND)
    fences = inventory.parse('hosts: {c1: {driver: nova_forced_down}}')
    assert not fences.takes_word('c1', who)
    assert fences.takes_word('c1', f'nova_forced_down by {name}')


@pytest.mark.parametrize('name', ['nova_forced_down', 'x Nova_Forced_Down'])
def test_no_person_has_the_name_of_a_mark(name):
    with pytest.raises(exceptions.Refused, match='--by NAME'):
        names.of_person(name)
    assert names.of_person(' Ada ') == 'Ada' and names.of_person('hand') == 'hand'
