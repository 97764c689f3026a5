# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.agent.rules.heartbeats import RETAINED
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing.model import Answer, Look, Power
from heat_ha.fencing.rules import findings
from heat_ha.fencing.rules.findings import (
    CLOSE_SECONDS,
    GRACE_SECONDS,
    Agreement,
    Kind,
    Reporting,
    Weight,
)


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


@pytest.mark.parametrize('is_up', [True, False], ids=['up', 'down'])
@pytest.mark.parametrize(
    ('power', 'is_partial', 'is_shut_out'),
    [(Power.OFF, False, True), (Power.ON, True, True), (Power.ON, False, False)],
    ids=['whole', 'part', 'none'],
)
def test_a_living_host_is_named_that_has_not_all_of_its_storage(
    power, is_partial, is_shut_out, is_up
):
    found = answer(power=power, is_partial=is_partial, cuts_power=False)
    wanted = {('c1', Kind.FENCED_WHILE_UP)} if is_shut_out and is_up else set()
    assert kinds([found], {'c1': service('c1', is_up)}) == wanted


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


def test_only_reports_between_two_close_looks_that_saw_off_contradict_the_power():
    walked = 0
    for powers in itertools.product(Power, repeat=2):
        for gap in (20.0, CLOSE_SECONDS, CLOSE_SECONDS + 1):
            looks = [Look(100.0, powers[0], ''), Look(100.0 + gap, powers[1], '')]
            for at in (99.0, 100.0, 100.0 + GRACE_SECONDS, 106.0, 99.0 + gap, 101.0 + gap):
                is_between = at > 100.0 + GRACE_SECONDS and at + 1 <= 100.0 + gap
                wanted = powers == (Power.OFF,) * 2 and gap <= CLOSE_SECONDS and is_between
                one, another = (at, at + 1), (106.5, 107.5)
                assert findings.reported_while_off(looks, [one, another]) == wanted
                # It may have been under way when the host died.
                assert not findings.reported_while_off(looks, [one])
                # It was seen at the first look after a gap, so it may be of before.
                assert not findings.reported_while_off(looks, [(0.0, at), another])
                walked += 1
            assert not findings.reported_while_off(looks, [])
            assert not findings.reported_while_off(looks[:1], [(110.0, 111.0), (111.0, 112.0)])
    assert walked == 162


@pytest.mark.parametrize('interval', [5, 10, 30, 60])
@pytest.mark.parametrize('late', [0, 10, 59, 100, 200])
def test_a_host_that_died_never_contradicts_its_fence_and_one_that_lives_does(interval, late):
    """A host reports each interval, and its last report is written late. It is off from 100 on."""
    for phase, lives in itertools.product(range(0, interval, 5), (True, False)):
        sent = [at for at in range(phase, 1000, interval) if lives or at < 100]
        written = sent if lives else [*sent[:-1], sent[-1] + late]
        # The agent looks each 3 s.
        reports = [(at - 2.0, at + 1.0) for at in written]
        looks = [Look(float(at), Power.OFF, '') for at in range(100, 420, 20)]
        found = any(
            findings.reported_while_off(
                looks[:number], [r for r in reports if r[1] <= look.at][-RETAINED:]
            )
            for number, look in enumerate(looks, start=1)
        )
        assert found is lives, (phase, lives)


def test_a_contradicted_fence_agrees_again_only_when_both_go_off_and_on_together():
    """All ways that five looks may go."""
    both_on, both_off = (Power.ON, Reporting.REPORTS), (Power.OFF, Reporting.SILENT)
    lie, agreed = (Power.OFF, Reporting.REPORTS), 0
    for seen in itertools.product(itertools.product(Power, Reporting), repeat=5):
        state, since = Agreement.NONE, []
        for one in seen:
            state = findings.next_agreement(state, *one)
            since = [] if one == lie else [*since, one]
            if state is Agreement.FULL:
                break
        if state is Agreement.FULL:
            # Since they last contradicted each other, they went off together, and on again.
            assert since.pop() == both_on, seen
            while since.pop() != both_off:
                pass
            assert both_on in since, seen
            agreed += 1
    assert agreed
    # A host that is cut off, and whose fence is that of a machine which is off.
    state = Agreement.NONE
    for _ in range(100):
        state = findings.next_agreement(state, Power.OFF, Reporting.SILENT)
    assert state is Agreement.NONE


def test_what_a_host_does_is_told_by_its_last_heartbeat_and_by_nova():
    def does(last=990.0, **more):
        shown = ComputeService('c1', 'id', **{**UP, **more})
        return findings.reporting(shown, last, 1000.0)

    assert does() is Reporting.REPORTS
    assert does(last=900.0) is Reporting.UNKNOWN, 'it may have died just now'
    assert does(is_up=False) is Reporting.SILENT
    # Others in its rack are switched off with it.
    assert does(is_up=False, is_disabled=True) is Reporting.UNKNOWN
    assert does(is_up=False, is_disabled=True, is_forced_down=True) is Reporting.SILENT
    assert findings.reporting(None, 990.0, 1000.0) is Reporting.UNKNOWN


UP = {'is_up': True, 'is_forced_down': False, 'is_disabled': False}


def test_only_what_contradicts_an_entry_keeps_it_from_being_used():
    wrong = {kind for kind in Kind if kind.weight is Weight.WRONG}
    assert wrong == {Kind.OFF_WHILE_REPORTING, Kind.NAME_OF_ANOTHER, Kind.NOT_REGISTERED}
    assert len({kind.meaning for kind in Kind}) == len(Kind)
