# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import json

import pytest

from heat_ha import exceptions, signals
from heat_ha.failover import model as failover
from heat_ha.groups import model as groups
from heat_ha.regions.rules import command
from heat_ha.rescue import model as rescue
from heat_ha.signals import AlarmState

SERVER = 'e5d6f7a8-0000-4000-8000-000000000001'


class Action(signals.Action):
    REPLACE = 'replace'
    PLAN = 'plan'


def parse(details):
    return signals.parse(details, Action)


def aodh(**changes):
    """What Aodh 23 posts to an alarm action."""
    return {
        'severity': 'low',
        'alarm_name': 'sick',
        'alarm_id': 'b2c3d4e5-0000-4000-8000-000000000002',
        'current': 'alarm',
        'previous': 'ok',
        'reason': 'Event <id=1,event_type=compute.instance.update> hits the query',
        'reason_data': {'type': 'event', 'event': {}},
    } | changes


def event(*traits):
    return {
        'type': 'event',
        'event': {
            'event_type': 'compute.instance.update',
            'traits': [list(trait) for trait in traits],
            'message_id': 'm',
        },
    }


def test_nothing_at_all_means_that_there_is_an_alarm():
    for details in (None, {}):
        assert parse(details) == signals.Signal(alarm_state=AlarmState.ALARM), details


def test_an_action_and_a_member_are_taken_as_they_are():
    for action, member in itertools.product((None, *Action), (None, 'abc', SERVER)):
        details = {'action': action and action.value, 'member': member}
        assert parse(details) == signals.Signal(action=action, member=member), details


def test_the_reference_of_a_nested_member_may_be_longer_than_a_name():
    name = f'arn:openstack:heat::{"p" * 32}:stacks/{"s" * 255}/{"i" * 36}'
    assert parse({'member': name}).member == name


def test_a_servers_id_is_the_same_in_each_of_its_forms():
    for named in (SERVER, SERVER.upper(), SERVER.replace('-', '')):
        for details in (
            {'member': named},
            {'server_id': named, 'state': 'alarm'},
            aodh(reason_data=event(('instance_id', 1, named))),
        ):
            assert parse(details).member == SERVER
    # A name that only looks like one.
    for named in (SERVER[:-1], f'{SERVER}0', f'x{SERVER}', SERVER.replace('-', '_')):
        assert parse({'member': named}).member == named


def test_the_state_of_an_alarm_is_read_in_every_spelling():
    spellings = {
        'alarm': AlarmState.ALARM,
        'ALARM': AlarmState.ALARM,
        'ok': AlarmState.OK,
        'OK': AlarmState.OK,
        'NORMAL': AlarmState.OK,
        'insufficient data': AlarmState.INSUFFICIENT_DATA,
        'Insufficient Data': AlarmState.INSUFFICIENT_DATA,
        'NODATA': AlarmState.INSUFFICIENT_DATA,
    }
    for key, (spelling, state) in itertools.product(('current', 'state'), spellings.items()):
        assert parse({key: spelling}).alarm_state is state, spelling


def test_an_alarm_without_data_may_be_made_one_and_nothing_else_lacks_data():
    for state in signals.AlarmState:
        signal = signals.Signal(alarm_state=state, member='a')
        assert signal.lacks_data is (state is signals.AlarmState.INSUFFICIENT_DATA)
        asked = dataclasses.replace(signal, action=Action.REPLACE)
        assert not asked.lacks_data, 'a person asks for it'
    counted = signals.as_alarm(signals.Signal(alarm_state=signals.AlarmState.INSUFFICIENT_DATA))
    assert not counted.is_all_clear and 'insufficient data' in counted.reason
    assert signals.as_alarm(dataclasses.replace(counted, reason='why')).reason == 'why'
    assert 'alarm cpu has' in signals.ignored(signals.Signal(alarm='cpu'))


def test_a_body_that_only_names_things_counts_as_an_alarm():
    assert parse({'alarm_id': 'x'}).alarm_state is AlarmState.ALARM


def test_an_event_alarm_names_the_server_of_its_traits():
    for name in ('instance_id', 'resource_id'):
        details = aodh(reason_data=event(('state', 1, 'error'), (name, 1, SERVER)))
        assert parse(details).member == SERVER, name


def test_the_instance_is_surer_than_the_resource():
    traits = [('resource_id', 1, 'volume'), ('instance_id', 1, SERVER)]
    for order in itertools.permutations(traits):
        assert parse(aodh(reason_data=event(*order))).member == SERVER


@pytest.mark.parametrize(
    'reason_data',
    [
        None,
        'text',
        [],
        {},
        {'type': 'threshold', 'disposition': 'outside', 'count': 1, 'most_recent': 97.5},
        {'event': 'text'},
        {'event': {'traits': 'instance_id'}},
        {'event': {'traits': [['instance_id'], 7, None, ['instance_id', 1, 7], ['x', 1, '']]}},
    ],
)
def test_other_reason_data_name_no_member(reason_data):
    assert parse(aodh(reason_data=reason_data)).member is None


def test_alarms_may_carry_keys_that_a_later_aodh_adds():
    assert parse(aodh(some_key_of_later=1)).alarm == 'sick'


def test_a_signal_in_the_style_of_wait_conditions_is_an_alarm_when_something_failed():
    details = {'Status': 'SUCCESS', 'Reason': 'r', 'Data': 'd', 'UniqueId': 'u'}
    assert parse(details).is_all_clear
    assert parse({**details, 'Status': 'FAILURE'}).alarm_state is AlarmState.ALARM


# S7
@pytest.mark.parametrize(
    ('details', 'what'),
    [
        ('text', 'text'),
        (7, 'number'),
        ([{'action': 'replace'}], 'list'),
        (True, 'boolean'),
        ({'action': 'explode'}, "'explode'"),
        ({'action': ''}, "''"),
        ({'action': 7}, 'action is a number'),
        ({'action': ['replace']}, 'action is a list'),
        ({'member': {'name': 'abc'}}, 'member is a dict'),
        ({'member': ''}, 'member is empty'),
        ({'member': 'x' * 256}, '256'),
        ({'member': 'arn:openstack:heat:' + 'x' * 400}, '419'),
        ({'action': 'replace', 'membr': 'abc'}, "'membr'"),
        ({'member': 'abc', 'force': True}, "'force'"),
        ({'action': 'replace', 'reason': 1}, 'reason is a number'),
        ({'current': 'burning'}, "'burning'"),
        ({'state': 3}, 'state is 3'),
        # A template whose variable was empty says nothing; Aodh always says something.
        ({'current': None}, 'current is None'),
        (aodh(current=None), 'current is None'),
        (aodh(reason_data=event(('instance_id', 1, 'x' * 300))), 'instance_id'),
        ({'alarm_id': object()}, 'not JSON'),
        ({'alarm_id': 'x' * signals.MAX_BODY_BYTES}, 'bytes'),
        ({'member': 'x' * 1_000_000}, 'bytes'),
    ],
)
def test_what_is_wrong_is_refused_by_name(details, what):
    with pytest.raises(exceptions.Refused) as refused:
        parse(details)
    assert what in refused.value.reason
    assert refused.value.remedy


def test_a_body_that_contains_itself_is_refused():
    details = {}
    details['reason_data'] = details
    with pytest.raises(exceptions.Refused):
        parse(details)


def test_a_body_that_is_too_large_is_answered_with_what_a_monitoring_system_can_do():
    alerts = [{'status': 'firing', 'labels': {'server_id': SERVER, 'x': 'y' * 200}}] * 300
    with pytest.raises(exceptions.Refused) as refused:
        parse({'alerts': alerts})
    assert 'bytes' in refused.value.reason and 'group them by server' in refused.value.remedy


def test_a_body_that_is_too_deep_for_what_is_done_with_it_is_refused(monkeypatch):
    def too_deep(body):
        raise RecursionError

    monkeypatch.setattr(signals.senders, 'read', too_deep)
    with pytest.raises(exceptions.Refused, match='nested too deeply'):
        parse({'state': 'alarm'})


def test_a_body_of_the_allowed_size_is_read():
    filler = signals.MAX_BODY_BYTES - len(json.dumps({'alarm_id': ''}))
    assert parse({'alarm_id': 'x' * filler}) == signals.Signal()


def test_a_refusal_is_one_short_line_whatever_was_sent():
    for value in ('x' * 10_000, 'a\nb\r\x1b[31mc', '\u202e'):
        for details in ({'action': value}, {'action': 'plan', value: 1}, {'current': value}):
            with pytest.raises(exceptions.Refused) as refused:
                parse(details)
            assert len(refused.value.reason) < 200
            assert refused.value.reason.isprintable()


def test_what_is_shown_to_people_is_made_safe_to_show():
    signal = parse(aodh(reason='a\nb' + 'x' * 10_000, alarm_name='\x1b[31m'))
    for text in (signal.reason, signal.alarm):
        assert len(text) <= 250 and text.isprintable()


# --- all policies, all actions, all bodies --------------------------------------------------

# What reads the signals of each policy, its actions, and whether alarms reach it.
POLICIES = {
    'FailoverPolicy': (lambda body: signals.parse(body, failover.Action), failover.Action, True),
    'ScalingPolicy': (lambda body: signals.parse(body, groups.Action), groups.Action, True),
    'RescuePolicy': (lambda body: signals.parse(body, rescue.Action), rescue.Action, True),
    'RemoteStack': (lambda body: command.parse(body, {'A', 'B'}), command.Action, False),
}
WORDS = (*sorted({a.value for _, known, _ in POLICIES.values() for a in known}), 'explode', '')

# Bodies beside ``action``: whether a policy that alarms reach takes them, and whether a RemoteStack
# does, with any action at all.
BODIES = (
    ({}, True, True),
    ({'reason': 'r'}, True, False),
    ({'member': 'a'}, True, False),
    ({'member': 'a', 'reason': 'r'}, True, False),
    ({'member': None, 'reason': None}, True, False),
    ({'member': 7}, False, False),
    ({'region': 'A'}, False, True),
    ({'region': 'C'}, False, False),
    ({'region': None}, False, False),
    ({'region': 'A', 'revision': 'x'}, False, True),
    ({'revision': 7}, False, False),
    ({'region': 'A', 'force': False}, False, True),
    ({'region': 'A', 'force': 'yes'}, False, False),
    ({'region': 'A', 'force': None}, False, False),
    ({'current': 'alarm', 'alarm_name': 'sick'}, False, False),
    ({'x': 1}, False, False),
    ({'revision': 'x' * signals.MAX_BODY_BYTES}, False, False),
)


@pytest.mark.parametrize('policy', POLICIES)
def test_each_policy_takes_its_own_actions_with_its_own_keys_and_nothing_else(policy):
    read, actions, takes_alarms = POLICIES[policy]
    for word, (body, beside_member, beside_region) in itertools.product(WORDS, BODIES):
        details = {'action': word, **body}
        is_taken = word in {a.value for a in actions} and (
            beside_member if takes_alarms else beside_region
        )
        if actions is command.Action and word == 'abandon' and 'region' not in body:
            is_taken = False
        if is_taken:
            found = read(details)
            assert found.action is actions(word), details
            assert getattr(found, 'member', None) == body.get('member'), details
            assert getattr(found, 'region', None) == body.get('region'), details
            continue
        with pytest.raises(exceptions.Refused) as refused:
            read(details)
        assert len(refused.value.reason) < 200 and refused.value.remedy, details


@pytest.mark.parametrize('policy', POLICIES)
def test_an_unknown_action_is_answered_with_the_known_ones(policy):
    read, actions, _ = POLICIES[policy]
    with pytest.raises(exceptions.Refused) as refused:
        read({'action': 'explode'})
    assert all(a.value in refused.value.remedy for a in actions)


@pytest.mark.parametrize('policy', POLICIES)
def test_alarms_reach_the_policies_that_take_them_and_no_other(policy):
    read, _, takes_alarms = POLICIES[policy]
    for state, body in itertools.product(AlarmState, (aodh(), {'x': 1})):
        details = {**body, 'current': state.value}
        if takes_alarms:
            found = read(details)
            assert found.action is None and found.alarm_state is state
            assert found.is_all_clear is (state is not AlarmState.ALARM)
            continue
        with pytest.raises(exceptions.Refused):
            read(details)


def test_force_is_for_sync_of_one_region():
    for action, region in itertools.product((*command.Action, None), ('A', None)):
        details = {'force': True}
        details |= {'action': action.value} if action else {}
        details |= {'region': region} if region else {}
        if action in (command.Action.SYNC, None) and region:
            found = command.parse(details, {'A'})
            assert found == command.Command(command.Action.SYNC, 'A', is_forced=True)
            continue
        with pytest.raises(exceptions.Refused):
            command.parse(details, {'A'})


def test_a_signal_that_only_looks_is_one_whose_action_says_so():
    looking = {
        a for _, actions, _ in POLICIES.values() for a in actions if signals.Signal(a).only_looks
    }
    assert looking == {failover.Action.PLAN, rescue.Action.PLAN, rescue.Action.PREPARE}
    assert not signals.Signal().only_looks


def test_a_reason_of_any_length_fits_the_record():
    found = signals.parse({'action': 'switchover', 'reason': 'x' * 58_925}, failover.Action)
    assert found.reason.startswith('xxx') and len(found.reason) <= 250


def test_the_cause_of_an_alarm_begins_with_its_name_and_no_other_does():
    why = 'Event <id=1,event_type=compute.instance.update> hits the query'
    assert parse(aodh()).cause == f'alarm sick: {why}'
    assert parse(aodh(reason='')).cause == 'alarm sick'
    assert signals.as_alarm(parse(aodh(reason=''))).cause.startswith('alarm sick: the alarm has')
    assert parse({'member': 'a', 'reason': 'r'}).cause == 'r' and parse(None).cause == ''
    assert len(parse(aodh(reason='x' * 9_000, alarm_name='y' * 9_000)).cause) <= 250


def test_an_alarm_is_known_again_by_its_name_and_by_the_host_it_is_of():
    assert parse(aodh()).sources == ('sick',) and parse(None).sources == ()
    labels = {'alertname': 'Down', 'host': '10.0.0.6'}
    assert parse({'status': 'firing', 'labels': labels}).sources == ('Down of 10.0.0.6',)
    nameless = {**labels, 'alertname': ''}
    assert parse({'status': 'firing', 'labels': nameless}).sources == (), 'anybody may say that'


@pytest.mark.parametrize(
    ('previous', 'expected'), [('ok', True), ('OK', True), ('alarm', False), (None, False)]
)
def test_aodh_says_whether_all_was_well_until_now(previous, expected):
    assert parse(aodh(previous=previous)).was_ok is expected
