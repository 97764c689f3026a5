# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.cloud.model import ComputeService
from heat_ha.fencing.model import Answer, Look, Power
from heat_ha.fencing.rules import findings
from heat_ha.fencing.rules.findings import CLOSE_SECONDS, GRACE_SECONDS, Kind, Weight


def service(host, is_up=True):
    return ComputeService(host, f'id-{host}', is_up, False, False)


def answer(host='c1', power=Power.ON, **more):
    return Answer(host, 1, 'redfish', power, 'PowerState', 1000.0, **more)


def kinds(answers, services):
    return {(one.host, one.kind) for one in findings.of_answers(answers, services)}


@pytest.mark.parametrize('is_up', [True, False, None], ids=['up', 'down', 'unknown to Nova'])
@pytest.mark.parametrize('power', list(Power))
def test_what_a_fence_answers_beside_what_nova_shows(power, is_up):
    services = {} if is_up is None else {'c1': service('c1', is_up)}
    wanted = set()
    if power is Power.UNKNOWN:
        wanted.add(('c1', Kind.NO_ANSWER))
    if power is Power.OFF and is_up:
        wanted.add(('c1', Kind.OFF_WHILE_UP))
    assert kinds([answer(power=power)], services) == wanted
    assert kinds([answer(power=power, is_power_control=False)], services) == set()
    assert kinds([answer(power=power)], None) == wanted - {('c1', Kind.OFF_WHILE_UP)}


@pytest.mark.parametrize(
    ('given', 'host', 'others', 'is_wrong'),
    [
        ('c2', 'c1', ['c2'], True),
        ('C2.example', 'c1', ['c2'], True),
        ('c2', 'c1.example', ['c2.example'], True),
        ('c1.b', 'c1.a', ['c1.b'], True),
        ('10.0.0.2', '10.0.0.1', ['10.0.0.2'], True),
        ('c1', 'c1', ['c2'], False),
        ('c1.example', 'c1', ['c2'], False),
        ('c1', 'c1.example', ['c2.example'], False),
        ('C1', 'c1', ['c2'], False),
        ('c1.b', 'c1.a', ['c2.b'], False),
        ('c22', 'c1', ['c2'], False),
        ('localhost', 'c1', ['c2'], False),
        ('10.0.0.3', '10.0.0.1', ['10.0.0.2'], False),
        ('', 'c1', ['c2'], False),
        ('  ', 'c1', ['c2'], False),
    ],
)
def test_a_bmc_that_gives_the_name_of_another_host_is_wrong(given, host, others, is_wrong):
    services = {name: service(name) for name in (host, *others)}
    found = kinds([answer(host, host_name=given)], services)
    assert found == ({(host, Kind.NAME_OF_ANOTHER)} if is_wrong else set())


@pytest.mark.parametrize(
    ('one', 'other', 'is_same'),
    [
        ('4c4c4544-0043', '4C4C4544-0043', True),
        ('4c4c4544-0043', '4c4c4544-0044', False),
        ('', '', False),
        ('00000000-0000', '00000000-0000', False),
        ('FFFFFFFF-FFFF', 'FFFFFFFF-FFFF', False),
        ('03000200-0400-0500-0006-000700080009', '03000200-0400-0500-0006-000700080009', False),
        ('00020003-0004-0005-0006-000700080009', '00020003-0004-0005-0006-000700080009', False),
        ('FEFEFEFE-FEFE-FEFE-FEFE-FEFEFEFEFEFE', 'fefefefe-fefe-fefe-fefe-fefefefefefe', False),
        ('12345678-1234-5678-90ab-cddeefaabbcc', '12345678-1234-5678-90ab-cddeefaabbcc', False),
    ],
)
def test_two_hosts_whose_bmcs_show_one_system_are_named(one, other, is_same):
    answers = [answer('c1', uuid=one), answer('c1', uuid=one), answer('c2', uuid=other)]
    wanted = {('c1', Kind.SAME_SYSTEM), ('c2', Kind.SAME_SYSTEM)} if is_same else set()
    assert kinds(answers, {}) == wanted


def test_an_address_that_two_hosts_share_is_only_noticed():
    assert kinds([answer('c1', address='bmc'), answer('c2', address='bmc')], {}) == {
        ('c1', Kind.SAME_ADDRESS), ('c2', Kind.SAME_ADDRESS),
    }  # fmt: skip
    assert kinds([answer('c1', address='bmc'), answer('c1', address='bmc')], {}) == set()


def test_entries_are_compared_with_the_hosts_of_nova():
    services = {name: service(name) for name in ('c1', 'c2.example', 'c3')}
    listed = {'c1': True, 'c2': True, 'x': False}
    found = findings.of_names(listed, True, services)
    assert [(one.host, one.kind) for one in found] == [
        ('x', Kind.UNFENCED),
        ('c2', Kind.UNKNOWN_TO_NOVA),
        ('x', Kind.UNKNOWN_TO_NOVA),
        ('c2.example', Kind.WITHOUT_ENTRY),
        ('c3', Kind.WITHOUT_ENTRY),
    ]
    assert 'c2.example' in found[1].detail
    assert findings.of_names({}, False, {'c1': service('c1')})[0].kind is Kind.UNFENCED
    assert [one.kind for one in findings.of_names(listed, True, None)] == [
        Kind.UNFENCED, Kind.NOVA_NOT_ASKED,
    ]  # fmt: skip


def test_only_a_report_between_two_close_looks_that_saw_off_contradicts_the_power():
    walked = 0
    for powers in itertools.product(Power, repeat=2):
        for gap in (20.0, CLOSE_SECONDS, CLOSE_SECONDS + 1):
            looks = [Look(100.0, powers[0], ''), Look(100.0 + gap, powers[1], '')]
            for at in (99.0, 100.0, 100.0 + GRACE_SECONDS, 106.0, 100.0 + gap, 101.0 + gap):
                is_between = 100.0 + GRACE_SECONDS < at <= 100.0 + gap
                wanted = powers == (Power.OFF,) * 2 and gap <= CLOSE_SECONDS and is_between
                assert findings.reported_while_off(looks, [at]) == wanted
                walked += 1
            assert not findings.reported_while_off(looks, [])
            assert not findings.reported_while_off(looks[:1], [110.0])
    assert walked == 162


def test_only_what_contradicts_an_entry_keeps_it_from_being_used():
    wrong = {kind for kind in Kind if kind.weight is Weight.WRONG}
    assert wrong == {Kind.OFF_WHILE_REPORTING, Kind.NAME_OF_ANOTHER}
    assert len({kind.meaning for kind in Kind}) == len(Kind)
