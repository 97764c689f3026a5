# SPDX-License-Identifier: Apache-2.0
"""The campaign's own checks: each can fail, and none does where all is right."""

import dataclasses
import json

import pytest

from chaos import check
from heat_ha.failover import model

OLD, HEIR = model.MemberServer('a', 'server-a'), model.MemberServer('b', 'server-b')


def plan(plan_id, state=model.StepState.DONE):
    step = model.Step('hand_over', model.StepKind.HAND_OVER, '', state=state)
    return model.Plan(
        plan_id, model.Cause.FAILOVER, '', 'policy', '2026-01-01', 2, '', OLD, HEIR, (step,)
    )


def picture(active, members, **changes):
    servers = {f'server-{m}': m for m in members}
    first = check.Picture(
        record=model.Record(epoch=1, active=active),
        history=(),
        size=2,
        members=dict.fromkeys(members, 'CREATE_COMPLETE'),
        servers=servers,
        ports=frozenset(f'port-{m}' for m in members),
        server_states=dict.fromkeys(servers, 'active'),
        volumes=('v',),
        holders={'v': (active.server, active.server)},
        nested_status='UPDATE_COMPLETE',
        nested_template=json.dumps({'instance_uuid': active.server}),
    )
    return dataclasses.replace(first, **changes)


BEFORE = picture(OLD, 'ab')
AFTER = picture(
    HEIR,
    'bc',
    record=model.Record(epoch=2, active=HEIR, plan=plan('p1')),
    history=({'plan_id': 'p1', 'outcome': 'done'},),
)


def record(**changes):
    return {'record': dataclasses.replace(AFTER.record, **changes)}


BROKEN = {
    'a plan that is not done': (record(plan=plan('p1', model.StepState.FAILED)), 'not done'),
    'a state that is not ready': (record(state=model.State.STOPPED), 'not done'),
    'two failovers in one burst': (record(epoch=3), 'S3'),
    'an active that did not change': (record(active=OLD), 'is the old one'),
    'an active on record that holds nothing': (
        record(active=model.MemberServer('c', 'server-c')),
        'on record is',
    ),
    'no line in the history': ({'history': ()}, 'left 0 failovers'),
    'two lines in the history': (
        {'history': tuple({'plan_id': p, 'outcome': 'done'} for p in ('p1', 'p2'))},
        'left 2 failovers',
    ),
    'a history that says stopped': (
        {'history': ({'plan_id': 'p1', 'outcome': 'stopped'},)},
        'history says',
    ),
    "Heat's record of the old active": (
        {'nested_template': json.dumps({'instance_uuid': 'server-a'})},
        'does not name the active',
    ),
    'a nested stack that failed': ({'nested_status': 'UPDATE_FAILED'}, 'nested stack'),
    'a member too many': (
        {'members': dict.fromkeys('bcd', 'CREATE_COMPLETE')},
        'has 3 members',
    ),
    'a member too few': ({'members': {'b': 'CREATE_COMPLETE'}}, 'has 1 members'),
    'a member that failed': (
        {'members': {'b': 'CREATE_COMPLETE', 'c': 'CREATE_FAILED'}},
        'not complete',
    ),
    'a server that is gone': ({'server_states': {'server-b': 'active'}}, 'not active'),
    'a healthy member that went': (
        {'members': dict.fromkeys('cd', 'CREATE_COMPLETE')},
        'S8: b went',
    ),
    'an old active that stayed': (
        {'members': dict.fromkeys('ab', 'CREATE_COMPLETE')},
        'was not replaced',
    ),
    'a volume that nobody holds': ({'holders': {'v': ()}}, 'volume v is held by'),
    'a volume that two hold': (
        {'holders': {'v': ('server-a', 'server-b', 'server-b')}},
        'volume v is held by',
    ),
    'a volume that Nova alone knows': ({'holders': {'v': ('server-b',)}}, 'volume v is held by'),
}


def test_where_all_is_right_nothing_is_told():
    assert check.of_run(BEFORE, AFTER) == []


@pytest.mark.parametrize('case', BROKEN)
def test_what_is_broken_is_told(case):
    changes, text = BROKEN[case]
    told = check.of_run(BEFORE, dataclasses.replace(AFTER, **changes))
    assert any(text in line for line in told), told


# --- what else may be, by what was done -----------------------------------------------------

STAYED = picture(
    OLD,
    'ab',
    record=model.Record(epoch=2, active=OLD, plan=plan('p2')),
    history=({'plan_id': 'p1', 'outcome': 'stopped'}, {'plan_id': 'p2', 'outcome': 'done'}),
)
DROPPED = picture(
    OLD,
    'ab',
    record=model.Record(epoch=1, active=OLD),
    history=({'plan_id': 'p1', 'outcome': 'stopped'},),
)
ANOTHER_WENT = dataclasses.replace(
    AFTER,
    members=dict.fromkeys('cd', 'CREATE_COMPLETE'),
    servers={'server-c': 'c', 'server-d': 'd'},
    server_states=dict.fromkeys(('server-c', 'server-d'), 'active'),
    holders={'v': ('server-c', 'server-c')},
    nested_template=json.dumps({'instance_uuid': 'server-c'}),
    record=dataclasses.replace(AFTER.record, active=model.MemberServer('c', 'server-c')),
)
TWO_MOVES = dataclasses.replace(AFTER, record=dataclasses.replace(AFTER.record, epoch=3))

STORIES = {
    'back at the old active': (STAYED, check.Story(moves=2, may_stay=True)),
    'dropped': (DROPPED, check.Story(moves=3, may_stay=True, is_dropped=True)),
    'a second member went': (ANOTHER_WENT, check.Story(moves=2, others_may_go=1)),
    'two moves': (TWO_MOVES, check.Story(moves=2)),
}


@pytest.mark.parametrize('case', STORIES)
def test_what_the_story_allows_is_right_and_wrong_without_it(case):
    after, story = STORIES[case]
    assert check.of_run(BEFORE, after, story) == []
    assert check.of_run(BEFORE, after) != []


@pytest.mark.parametrize('case', BROKEN)
def test_a_story_excuses_nothing_but_what_it_tells(case):
    changes, _text = BROKEN[case]
    story = check.Story(moves=2, may_stay=True)
    excused = {
        'two failovers in one burst',
        'an active that did not change',
        'an old active that stayed',
        'two lines in the history',
    }
    told = check.of_run(BEFORE, dataclasses.replace(AFTER, **changes), story)
    assert case in excused or told, case


@pytest.mark.parametrize(
    'story',
    [check.Story(moves=2), check.Story(moves=2, may_stay=True), check.Story(others_may_go=1)],
)
def test_only_a_drop_may_leave_no_plan_and_no_end(story):
    assert any('not done' in text for text in check.of_run(BEFORE, DROPPED, story))
    assert any(
        'history says' in text or 'S3' in text
        for text in check.of_run(BEFORE, dataclasses.replace(AFTER, history=DROPPED.history), story)
    )


# --- within a minute of the last cause going away -------------------------------------------


def looks(*pairs):
    """What the observer writes: at each of these times somebody else has the volume."""
    return [
        {'time': float(at), 'holders': {'v': {'cinder': list(has), 'nova': list(has)}}}
        for at, has in pairs
    ]


HALF = [{'time': 5.0, 'holders': {'v': {'cinder': ['b'], 'nova': []}}}]


@pytest.mark.parametrize(
    ('seen', 'unwell', 'is_right'),
    [
        # It was at a well one all the time.
        (looks((0, 'a')), '', True),
        # The one that has it was shut off.
        (looks((0, 'a')), 'a', False),
        (looks((0, 'a'), (110, ''), (150, 'b')), 'a', True),
        (looks((0, 'a'), (110, ''), (161, 'b')), 'a', False),
        (looks((0, 'a'), (50, '')), '', False),
        (looks((0, ''), (159, 'b'), (159.5, '')), '', True),
        # It had left before the cause went away.
        (looks((0, 'a'), (99, '')), '', False),
        (looks((0, 'ab')), '', False),
        (HALF, '', False),
        ([], '', False),
    ],
)
def test_a_volume_is_at_a_living_member_within_a_minute_of_the_last_cause(seen, unwell, is_right):
    told = check.of_arrivals(seen, ['v'], frozenset(unwell), gone_at=100.0)
    assert (told == []) is is_right, told


# --- handovers ------------------------------------------------------------------------------


def lines(*holders):
    """What the observer writes: one look each ten seconds."""
    return [
        {'time': 10.0 * n, 'holders': {'v': {'cinder': list(h), 'nova': list(h)}}}
        for n, h in enumerate(holders)
    ] + [{'samples': len(holders), 'violations': []}]


HANDOVER = lines(['s1'], ['s1'], [], ['s2'])
HOSTS = {'s1': 'c1', 's2': 'c2'}


@pytest.mark.parametrize(
    ('deaths', 'is_right'),
    [
        ((), True),
        ((check.Death('c1', 5.0),), False),
        ((check.Death('c1', 5.0, fenced=15.0),), True),
        ((check.Death('c1', 5.0, fenced=25.0),), False),
        ((check.Death('c1', 5.0, fenced=None, end=15.0),), True),
        ((check.Death('c1', 5.0, fenced=None, end=25.0),), False),
        # It has carried the request out, and died then.
        ((check.Death('c1', 19.5),), True),
        ((check.Death('c2', 5.0),), True),
        ((check.Death('c1', 1.0, 2.0, 4.0), check.Death('c1', 5.0)), False),
    ],
)
def test_a_volume_leaves_a_dead_host_only_after_the_fence(deaths, is_right):
    assert (check.of_handovers(HANDOVER, HOSTS, deaths) == []) is is_right


# --- what is left over ----------------------------------------------------------------------

OWN = check.Inventory(
    servers=frozenset({'server-b', 'server-c', 'of-another'}),
    volumes=frozenset({'v', 'other-volume'}),
    ports={'port-b': 'server-b', 'port-c': 'server-c', 'port-x': 'of-another'},
    attachments={'1': ('v', 'server-b'), '2': ('other-volume', 'of-another')},
)
OTHERS = check.Inventory(
    frozenset({'of-another'}),
    frozenset({'other-volume'}),
    {'port-x': 'of-another'},
    {'2': ('other-volume', 'of-another')},
)

LEFT_OVER = {
    'server server-a': {'servers': OWN.servers | {'server-a'}},
    'volume w': {'volumes': OWN.volumes | {'w'}},
    'port port-a of server-a': {'ports': {**OWN.ports, 'port-a': 'server-a'}},
    'port lost of nothing': {'ports': {**OWN.ports, 'lost': ''}},
    'attachment 3 of volume v to nothing': {'attachments': {**OWN.attachments, '3': ('v', '')}},
    'attachment 3 of volume v to server-c': {
        'attachments': {**OWN.attachments, '3': ('v', 'server-c')}
    },
}


def test_what_belongs_to_a_stack_or_was_there_before_is_no_leak():
    assert check.leaks(OTHERS, OWN, [AFTER]) == []


def test_a_port_that_nova_made_for_a_server_is_no_leak():
    ports = {**OWN.ports, 'of-nova': 'server-c'}
    assert check.leaks(OTHERS, dataclasses.replace(OWN, ports=ports), [AFTER]) == []


@pytest.mark.parametrize('text', LEFT_OVER)
def test_what_is_left_over_is_told(text):
    assert text in check.leaks(OTHERS, dataclasses.replace(OWN, **LEFT_OVER[text]), [AFTER])
