# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a stack with an OS::Heat::RemoteStack in Heat's engine."""

import pytest
from heat.engine import resource

from heat_ha.cloud import lease
from heat_ha.regions import model
from heat_ha.regions.rules import answers, steps
from tests.plugin.test_remote_stack import attribute, regions, template
from tests.unit.regions.worlds import FakeRegion, Way

__all__ = ['regions']

pytestmark = pytest.mark.engine


def snapshot(engine, stack):
    """Take a snapshot of the parent. :returns: its id."""
    found = engine.call('stack_snapshot', stack, 'before')
    engine.run()
    return found['id']


def listed(engine, stack):
    return {
        s['id']: (s['status'], s['status_reason'])
        for s in engine.call('stack_list_snapshots', stack)
    }


def held(regions):
    return {
        name: sum(len(s.snapshots) for s in region.stacks.values())
        for name, region in regions.items()
    }


def delete(engine, stack, found):
    engine.call('delete_snapshot', stack, found)
    engine.run()


def forget_writes(regions):
    for region in regions.values():
        region.writes.clear()


def test_a_snapshot_is_taken_restored_and_deleted_in_each_region(engine, regions):
    stack = engine.create(template())
    first = snapshot(engine, stack)
    assert listed(engine, stack)[first][0] == 'COMPLETE'
    assert held(regions) == {'A': 1, 'B': 1}
    engine.update(stack, template(text='two'))
    second = snapshot(engine, stack)
    forget_writes(regions)
    engine.call('stack_restore', stack, first)
    engine.run()
    assert engine.state(stack)[0] == 'RESTORE_COMPLETE'
    assert [r.texts() for r in regions.values()] == [['one'], ['one']]
    restored = [steps.Request.RESTORE, steps.Request.TAG]
    assert [r.writes for r in regions.values()] == [restored, restored]
    assert attribute(engine, stack, 'pending') == []
    assert attribute(engine, stack, 'outputs') == {'A': {'text': 'one'}, 'B': {'text': 'one'}}
    engine.update(stack, template())
    engine.signal(stack, 'remote')
    assert [r.writes for r in regions.values()] == [restored, restored], 'nothing is left to send'
    delete(engine, stack, first)
    assert held(regions) == {'A': 1, 'B': 1} and list(listed(engine, stack)) == [second]
    engine.call('delete_stack', stack)
    engine.run()
    assert engine.is_gone(stack) and not any(r.stacks for r in regions.values())
    assert not engine.call('list_stacks')


def test_the_same_snapshot_can_be_restored_again_and_an_update_between_restores_nothing(
    engine, regions
):
    stack = engine.create(template())
    first = snapshot(engine, stack)
    for _ in range(2):
        engine.update(stack, template(text='two'))
        assert [r.texts() for r in regions.values()] == [['two'], ['two']]
        engine.call('stack_restore', stack, first)
        engine.run()
        assert [r.texts() for r in regions.values()] == [['one'], ['one']]
    assert regions['A'].writes.count(steps.Request.RESTORE) == 2


def test_a_template_that_was_written_down_after_a_restore_restores_nothing(engine, regions):
    stack = engine.create(template())
    first = snapshot(engine, stack)
    engine.call('stack_restore', stack, first)
    engine.run()
    shown = engine.call('get_template', stack)
    assert 'heat_ha_restore' in shown['resources']['remote']['metadata']
    other = snapshot(engine, stack)
    engine.call('stack_restore', stack, other)
    engine.run()
    forget_writes(regions)
    engine.call('update_stack', stack, shown, {'parameters': {}}, {}, {})
    engine.run()
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE'
    assert not any(r.writes for r in regions.values())


@pytest.mark.parametrize('way', [Way.CUT, Way.BAD_TOKEN])
def test_a_region_that_cannot_be_asked_fails_the_snapshot_by_its_name(engine, regions, way):
    stack = engine.create(template())
    regions['B'].way = way
    found = snapshot(engine, stack)
    status, reason = listed(engine, stack)[found]
    assert status == 'FAILED' and 'B: ' in reason
    assert engine.state(stack)[0] == 'SNAPSHOT_FAILED'
    assert held(regions) == {'A': 0, 'B': 0}, 'none is left'
    regions['B'].way = Way.OPEN
    delete(engine, stack, found)
    assert listed(engine, stack) == {}
    forget_writes(regions)
    engine.update(stack, template())
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE'
    assert not any(r.writes for r in regions.values())
    found = snapshot(engine, stack)
    assert listed(engine, stack)[found][0] == 'COMPLETE'
    assert held(regions) == {'A': 1, 'B': 1}


@pytest.mark.parametrize('cause', ['cut', 'pending', 'long reasons'])
def test_the_reason_of_a_failed_snapshot_fits_into_what_heat_keeps_of_it(
    engine, regions, monkeypatch, cause
):
    names = [f'region-{n}-with-a-long-name' for n in range(12)]
    for name in names:
        regions[name] = FakeRegion(name)
        regions[name].way = Way.CUT if cause == 'pending' else Way.OPEN
    stack = engine.create(template(f'regions: {names}'))
    silent = answers.Silent(model.ErrorClass.UNREACHABLE, 'no ' * 100, is_known=True)
    for region in regions.values():
        region.way = Way.CUT
        if cause == 'long reasons':
            monkeypatch.setattr(region, '_silent', lambda: silent)
    found = snapshot(engine, stack)
    status, reason = listed(engine, stack)[found]
    assert status == 'FAILED' and names[0] in reason and len(reason) <= 255, len(reason)
    reasons = ' '.join(reason for _, reason in engine.events(stack, 'remote'))
    assert cause == 'pending' or all(f'{name}: ' in reasons for name in names)


def test_a_pending_region_refuses_the_snapshot_and_shows_the_way_out(engine, regions):
    regions['B'] = FakeRegion('B')
    regions['B'].way = Way.CUT
    stack = engine.create(template())
    found = snapshot(engine, stack)
    reason = listed(engine, stack)[found][1]
    assert 'B does not hold what is wanted (pending' in reason and 'signal sync' in reason
    engine.signal(stack, 'remote', {'action': 'abandon', 'region': 'B'})
    found = snapshot(engine, stack)
    assert listed(engine, stack)[found][0] == 'COMPLETE'
    assert held(regions) == {'A': 1, 'B': 0}


def test_a_snapshot_is_deleted_during_a_cut_and_in_the_region_after_it(engine, regions):
    stack = engine.create(template())
    found = snapshot(engine, stack)
    regions['B'].way = Way.CUT
    delete(engine, stack, found)
    assert listed(engine, stack) == {} and held(regions) == {'A': 0, 'B': 1}
    (left,) = attribute(engine, stack, 'tombstones')
    assert left['region'] == 'B' and left['stack'] in regions['B'].stacks
    assert any('is left as a tombstone' in reason for _, reason in engine.events(stack, 'remote'))
    regions['B'].way = Way.OPEN
    for _ in range(3):
        engine.signal(stack, 'remote', {'action': 'sync'})
    assert held(regions) == {'A': 0, 'B': 0} and attribute(engine, stack, 'pending') == []


def test_on_delete_fail_fails_the_delete_of_a_snapshot_until_the_region_is_back(engine, regions):
    stack = engine.create(template(more='partition: {on_delete: fail}'))
    found = snapshot(engine, stack)
    regions['B'].way = Way.CUT
    delete(engine, stack, found)
    status, reason = listed(engine, stack)[found]
    if hasattr(resource.Resource, 'snapshot_convergence'):
        assert status == 'FAILED'
    else:
        # Older releases of Heat write the reason into the engine's log.
        reason = str(engine.errors[-1])
    assert 'B: unreachable' in reason
    regions['B'].way = Way.OPEN
    delete(engine, stack, found)
    assert listed(engine, stack) == {} and held(regions) == {'A': 0, 'B': 0}


def test_a_restore_reaches_a_region_that_is_cut_off_when_it_is_back(engine, regions):
    stack = engine.create(template())
    found = snapshot(engine, stack)
    engine.update(stack, template(text='two'))
    regions['B'].way = Way.CUT
    engine.call('stack_restore', stack, found)
    engine.run()
    assert engine.state(stack)[0] == 'RESTORE_COMPLETE'
    assert attribute(engine, stack, 'pending') == ['B']
    regions['B'].way = Way.OPEN
    forget_writes(regions)
    for _ in range(6):
        engine.signal(stack, 'remote', {'action': 'sync'})
    assert regions['B'].texts() == ['one'] and attribute(engine, stack, 'pending') == []
    assert regions['B'].writes == [steps.Request.RESTORE, steps.Request.TAG]
    assert not regions['A'].writes


def test_a_snapshot_of_stacks_that_are_no_longer_the_same_gives_back_the_template(engine, regions):
    stack = engine.create(template())
    found = snapshot(engine, stack)
    engine.update(stack, template('regions: [A]', text='two'))
    engine.call('stack_restore', stack, found)
    engine.run()
    assert engine.state(stack)[0] == 'RESTORE_COMPLETE'
    assert [r.texts() for r in regions.values()] == [['one'], ['one']]
    assert steps.Request.RESTORE not in regions['B'].writes
    delete(engine, stack, found)
    assert listed(engine, stack) == {} and held(regions) == {'A': 0, 'B': 0}


def test_a_resource_that_is_gone_keeps_no_snapshot_from_being_deleted(engine, regions):
    stack = engine.create(template())
    found = snapshot(engine, stack)
    engine.update(stack, 'heat_template_version: 2016-10-14\nresources: {}')
    delete(engine, stack, found)
    assert listed(engine, stack) == {} and not any(r.stacks for r in regions.values())


def test_a_snapshot_that_is_deleted_while_a_signal_is_at_work_waits_for_its_end(engine, regions):
    stack = engine.create(template())
    found = snapshot(engine, stack)
    lock = lease.Lock(engine.context(), stack['stack_id'])
    lock.acquire()
    slept = engine.slept
    engine.before_sleep = lambda: engine.slept > slept + 5 and lock.release()
    try:
        delete(engine, stack, found)
    finally:
        engine.before_sleep = None
    assert engine.slept > slept + 5
    assert listed(engine, stack) == {} and held(regions) == {'A': 0, 'B': 0}
