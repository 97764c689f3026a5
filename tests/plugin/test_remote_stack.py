# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::RemoteStack in Heat's engine, with regions that are values."""

import dataclasses
import json
import textwrap

import pytest
from heat.engine import resource

from heat_ha.agent.adapters import pending_regions
from heat_ha.plugin import remote_base
from heat_ha.regions import stall_monitor
from heat_ha.regions.adapters import sessions
from heat_ha.regions.rules import decide, steps
from tests.unit.regions.worlds import FakeRegion, Way

# A whole engine of Heat runs in these tests.
pytestmark = pytest.mark.engine

REMOTE = """
heat_template_version: 2016-10-14
parameters:
  text: {type: string, default: one}
resources:
  thing: {type: OS::Heat::RandomString}
"""


@pytest.fixture
def regions(monkeypatch):
    """Regions that are there as soon as they are named."""
    made = {}

    class FakeSessions:
        def __init__(self, resource):
            pass

        def heat(self, target, **more):
            return made.setdefault(target.region, FakeRegion(target.region))

    monkeypatch.setattr(sessions, 'Sessions', FakeSessions)
    monkeypatch.setattr(decide, 'SETTLE', -1.0)
    # A second thread does not fit the harness; each further signal does the next step.
    monkeypatch.setattr(remote_base.RemoteBase, '_start_following', lambda self, only: None)
    return made


def template(where='regions: [A, B]', more='', text='one', remote=REMOTE):
    return f"""
heat_template_version: 2016-10-14
resources:
  remote:
    type: OS::Heat::RemoteStack
    properties:
      {where}
      parameters: {{text: {text}}}
      template: |
{textwrap.indent(remote, '        ')}
{textwrap.indent(textwrap.dedent(more), '      ')}
"""


def attribute(engine, stack, name):
    loaded = engine.stack(stack)
    return loaded['remote'].FnGetAtt(name)


def test_each_region_gets_its_stack_and_gives_it_back(engine, regions):
    stack = engine.create(template())
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    assert [r.texts() for r in regions.values()] == [['one'], ['one']]
    assert attribute(engine, stack, 'state') == {'A': 'ready', 'B': 'ready'}
    engine.update(stack, template(text='two'))
    assert [r.texts() for r in regions.values()] == [['two'], ['two']]
    engine.call('delete_stack', stack)
    engine.run()
    assert engine.is_gone(stack) and not any(r.stacks for r in regions.values())


def test_a_template_of_heats_own_type_works_under_the_new_name(engine, regions):
    stack = engine.create(template('context: {region_name: B}'))
    loaded = engine.stack(stack)
    assert loaded['remote'].FnGetRefId() in regions['B'].stacks
    assert loaded['remote'].FnGetAtt('outputs') == {'text': 'one'}
    assert loaded['remote'].FnGetAtt('stack_name').startswith('stack-remote-')


def test_a_failed_check_replaces_nothing(engine, regions):
    stack = engine.create(template())
    before = set(regions['B'].stacks)
    engine.mark_unhealthy(stack, 'remote')
    engine.update(stack, template(text='two'))
    assert set(regions['B'].stacks) == before and regions['B'].texts() == ['two']


def test_an_update_after_a_failed_create_goes_on_with_the_same_stack(engine, regions):
    regions['A'] = FakeRegion('A')
    regions['A'].fails = True
    stack = engine.create(template())
    state, reason = engine.state(stack)
    assert state == 'CREATE_FAILED' and 'A: remote_failed' in reason and 'boom' in reason
    before = set(regions['A'].stacks)
    regions['A'].fails = False
    engine.update(stack, template())
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE'
    assert set(regions['A'].stacks) == before


def test_a_cut_region_is_pending_and_brought_up_to_date_by_sync(engine, regions):
    regions['B'] = FakeRegion('B')
    regions['B'].way = Way.CUT
    stack = engine.create(template())
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    assert attribute(engine, stack, 'pending') == ['B']
    # The agent finds it, and where to send the signal.
    [found] = pending_regions.pending()
    assert (found.name, found.regions, found.project) == ('remote', ('B',), 'project')
    assert found.stack_id == stack['stack_id'] and found.stack_name == stack['stack_name']
    regions['B'].way = Way.OPEN
    for _ in range(4):
        engine.signal(stack, 'remote', {'action': 'sync'})
    assert attribute(engine, stack, 'pending') == []
    assert regions['B'].writes == [steps.Request.CREATE]
    assert pending_regions.pending() == []


class Dying(FakeRegion):
    """A region whose engine dies with the first request that it takes."""

    def send(self, request, part, body):
        self.dies = not self.writes
        return super().send(request, part, body)


def test_an_action_ends_though_the_engine_of_a_region_has_died_in_it(engine, regions, monkeypatch):
    monkeypatch.setattr(stall_monitor, 'EVERY', 0.0)
    # Not by the time, which an idle machine passes too quickly: by the looks that show no change.
    quick = dataclasses.replace(sessions.limits(), stalled_after=0.0)
    monkeypatch.setattr(sessions, 'limits', lambda: quick)
    regions['B'] = Dying('B')
    stack = engine.create(template())
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    assert regions['B'].writes == [steps.Request.CREATE, steps.Request.REPEAT]
    assert attribute(engine, stack, 'still_since') == {'A': '', 'B': ''}
    assert any('sent the same again' in e[1] for e in engine.events(stack, 'remote'))


def test_a_person_may_have_the_same_sent_again_at_once(engine, regions):
    regions['B'] = Dying('B')
    regions['B'].way = Way.CUT
    stack = engine.create(template())
    regions['B'].way = Way.OPEN
    for _ in range(3):
        engine.signal(stack, 'remote', {'action': 'sync'})
    assert regions['B'].writes == [steps.Request.CREATE]
    assert attribute(engine, stack, 'state')['B'] == 'working'
    force = {'action': 'sync', 'region': 'B', 'force': True}
    engine.signal(stack, 'remote', force)
    assert regions['B'].writes == [steps.Request.CREATE, steps.Request.REPEAT]
    for _ in range(3):
        engine.signal(stack, 'remote', {'action': 'sync'})
    assert attribute(engine, stack, 'pending') == []
    engine.signal(stack, 'remote', force)
    assert len(regions['B'].writes) == 2, 'nothing is in progress there'


def test_a_paused_part_is_not_taken_up(engine, regions):
    regions['B'] = FakeRegion('B')
    regions['B'].way = Way.CUT
    stack = engine.create(template())
    engine.signal(stack, 'remote', {'action': 'pause', 'region': 'B'})
    assert pending_regions.pending() == []


@pytest.mark.skipif(
    not hasattr(resource.Resource, 'check_convergence'),
    reason='the harness has no threads for the checks of older Heats',
)
def test_a_delete_during_a_cut_leaves_a_stack_that_ends_it(engine, regions):
    stack = engine.create(template())
    regions['B'].way = Way.CUT
    engine.call('delete_stack', stack)
    engine.run()
    assert engine.is_gone(stack) and not regions['A'].stacks and regions['B'].stacks
    (left,) = engine.call('list_stacks')
    assert 'tombstone' in left['stack_name']
    regions['B'].way = Way.OPEN
    engine.call('stack_check', left['stack_identity'])
    engine.run()
    assert not regions['B'].stacks
    assert engine.is_gone(left['stack_identity'])


def test_deleting_the_tombstone_gives_the_delete_up(engine, regions):
    stack = engine.create(template())
    regions['B'].way = Way.CUT
    engine.call('delete_stack', stack)
    engine.run()
    (left,) = engine.call('list_stacks')
    engine.call('delete_stack', left['stack_identity'])
    engine.run()
    assert engine.is_gone(left['stack_identity']) and regions['B'].stacks


def test_abandon_lets_a_delete_end_without_the_region(engine, regions):
    stack = engine.create(template())
    regions['B'].way = Way.CUT
    engine.signal(stack, 'remote', {'action': 'abandon', 'region': 'B'})
    assert attribute(engine, stack, 'state')['B'] == 'abandoned'
    engine.call('delete_stack', stack)
    engine.run()
    assert engine.is_gone(stack) and not engine.call('list_stacks')
    assert regions['B'].stacks


@pytest.mark.parametrize(
    ('body', 'reason'),
    [
        ({'action': 'explode'}, 'Known: sync, peer_changed, abandon, pause, resume'),
        ({'action': 'abandon'}, 'abandon needs a region'),
        ({'action': 'sync', 'region': 'C'}, 'There is one in: A, B'),
        ({'action': 'sync', 'revision': 'old'}, 'is wanted now'),
        ({'actoin': 'sync'}, 'unknown key'),
        ({'action': 'sync', 'force': True}, 'force needs a region'),
        ({'action': 'sync', 'region': 'B', 'force': 'yes'}, 'Send true or false'),
        ({'action': 'pause', 'region': 'B', 'force': True}, 'pause does not take force'),
    ],
)
def test_a_signal_that_is_wrong_is_refused_and_sends_nothing(engine, regions, body, reason):
    stack = engine.create(template())
    for region in regions.values():
        region.writes.clear()
    engine.signal(stack, 'remote', body)
    assert reason in engine.events(stack, 'remote')[-1][1]
    assert not any(r.writes for r in regions.values())


@pytest.mark.parametrize(
    ('where', 'more', 'reason'),
    [
        ('regions: []', '', 'regions is empty'),
        ('regions: [A, A]', '', 'regions names A twice'),
        ('regions: [{region: A}]', '', 'unknown key region'),
        ('regions: [A]', 'context: {region_name: B}', 'both context and regions'),
        ('regions: [A, B]', 'rollout: {waves: [[A]]}', 'Name each region once'),
        ('regions: [A, B]', 'rollout: {order: [A, B], waves: [[A], [B]]}', 'Leave one of them out'),
        ('regions: [{region_name: A, peer_inputs: {text: [C, x]}}]', '', 'not among regions'),
        ('regions: [{region_name: A, peer_inputs: {text: C}}]', '', 'Write [region, output]'),
        ('regions: [{region_name: A, parameters: {size: 1}}]', '', 'has no parameter size'),
    ],
)
def test_what_is_wrong_in_itself_is_refused_by_name_without_asking_a_region(
    engine, regions, where, more, reason
):
    assert reason in engine.refusal(template(where, more))
    assert not regions


def test_no_region_is_asked_for_an_attribute(engine, regions):
    stack = engine.create(template())
    for region in regions.values():
        region.way = Way.CUT
        region.look = None
    for name in ('outputs', 'output_details', 'state', 'revision', 'owner', 'tombstones'):
        assert attribute(engine, stack, name) is not None


def test_the_record_fits_for_fifty_regions(engine, regions):
    names = [f'region-{n}' for n in range(50)]
    stack = engine.create(template(f'regions: {json.dumps(names)}'))
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    assert len(regions) == 50 and all(len(r.stacks) == 1 for r in regions.values())
