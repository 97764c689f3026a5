# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha import exceptions
from heat_ha.fencing.rules import entries

A, B, C = {'driver': 'a'}, {'driver': 'b'}, {'driver': 'c'}


@pytest.mark.parametrize(
    ('settings', 'levels'),
    [
        (A, ((A,),)),
        ({'levels': [A]}, ((A,),)),
        ({'levels': [A, B]}, ((A,), (B,))),
        ({'levels': [[A, B], C]}, ((A, B), (C,))),
        ({}, (({},),)),
    ],
    ids=str,
)
def test_levels_are_tried_in_order_and_each_may_require_several(settings, levels):
    assert entries.levels('c1', settings) == levels


@pytest.mark.parametrize(
    'settings',
    [
        {'levels': []},
        {'levels': None},
        {'levels': A},
        {'levels': 'redfish'},
        {'levels': [[]]},
        {'levels': [A, 'b']},
        {'levels': [[A, ['b']]]},
        {'levels': [{'levels': [A]}]},
        {'levels': [A], 'driver': 'b'},
        {'levels': [A], 'timeout': 5},
        {'levels': [A, {'driver': 'none'}]},
        {'levels': [[A, {'driver': 'none'}]]},
    ],
    ids=str,
)
def test_levels_of_another_form_are_refused_by_the_name_of_the_host(settings):
    with pytest.raises(exceptions.Refused, match='host c1'):
        entries.levels('c1', settings)


def test_a_default_may_not_switch_anything_off():
    entries.check_default('nova_forced_down', False)
    with pytest.raises(exceptions.Refused, match=r'default .* redfish'):
        entries.check_default('redfish', True)


def test_two_hosts_may_not_name_the_same_power_control():
    one, two = ('ipmi', 'bmc-1', '623'), ('ipmi', 'bmc-2', '623')
    entries.check_shared({'c1': [one], 'c2': [two], 'c3': []})
    entries.check_shared({'c1': [one, one], 'c2': [two]})
    with pytest.raises(exceptions.Refused, match=r'c1 and c2 .*bmc-1 623'):
        entries.check_shared({'c2': [two, one], 'c1': [one]})
