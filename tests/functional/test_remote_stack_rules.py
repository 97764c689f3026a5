# SPDX-License-Identifier: Apache-2.0
"""What a template may ask for while a region is cut off, and what fails there: `make regions`."""

import time

import pytest

from lab.client import regions, stacks, waiting
from lab.client.cut import Mode

pytestmark = pytest.mark.regions


def status(parent):
    return parent.stack.show()['stack_status']


# --- partition.on_unreachable, partition.outputs --------------------------------------------


@pytest.mark.parametrize('partition', [{'on_unreachable': 'wait'}, {'outputs': 'block'}])
def test_what_waits_ends_by_itself_when_the_region_is_back(parent, far, partition):
    far.cut.be(Mode.DROPPED)
    parent.wanted['partition'] = partition
    parent.stack.create(parent.wanted, wait=False)
    parent.wait_state('RegionOne', 'ready')
    waiting.until(lambda: parent.of_far('reachable') is False, 'the region is found silent')
    # Longer than the patience with a silent region (8 s), after which other actions end.
    time.sleep(12)
    assert status(parent) == 'CREATE_IN_PROGRESS' and not far.stacks(parent.prefix)
    far.cut.be(Mode.OPEN)
    parent.stack.wait('CREATE', seconds=60)
    assert [w.split()[0] for w in far.cut.writes] == ['POST']
    assert parent.stack.output('outputs')[far.name]['text'] == 'one'
    parent.assert_settled()


def test_what_is_to_fail_fails_and_the_other_region_has_what_is_wanted(parent, far):
    parent.create(partition={'on_unreachable': 'fail'})
    far.cut.be(Mode.SILENT)
    parent.wanted['text'] = 'two'
    parent.stack.update(parent.wanted, wait=False)
    assert f'{far.name}: unreachable' in parent.stack.wait_failed('UPDATE')
    assert parent.attributes['state'] == {'RegionOne': 'ready', far.name: 'failed'}
    far.cut.be(Mode.OPEN)
    assert far.output(parent.prefix, 'text') == 'one'
    parent.update()
    assert far.output(parent.prefix, 'text') == 'two'
    parent.assert_settled()


def test_an_old_output_is_an_error_where_that_is_wanted(parent, far):
    parent.create(partition={'outputs': 'fail'})
    far.cut.be(Mode.REFUSED)
    parent.update(text='two')
    path = f'/stacks/{parent.stack.name}/{parent.stack.id}/outputs/outputs'
    found = parent.stack.cloud.orchestration.get(path).json()['output']
    assert far.name in found['output_error'] and found['output_value'] is None
    far.cut.be(Mode.OPEN)
    parent.sync()
    assert parent.stack.output('outputs')[far.name]['text'] == 'two'
    parent.assert_settled()


# --- partition.on_delete --------------------------------------------------------------------


def test_a_delete_that_retains_ends_and_leaves_no_tombstone(parent, far):
    parent.create(partition={'on_delete': 'retain'})
    far.cut.be(Mode.DROPPED)
    parent.stack.delete()
    assert not parent.tombstones()
    assert far.show(parent.prefix)['stack_status'] == 'CREATE_COMPLETE'


def test_retain_can_be_chosen_during_the_cut(parent, far):
    parent.create()
    far.cut.be(Mode.REFUSED)
    parent.update(partition={'on_delete': 'retain'})
    parent.stack.delete()
    assert not parent.tombstones() and far.stacks(parent.prefix)


def test_a_delete_that_is_to_fail_fails_and_works_after_the_cut(parent, far):
    parent.create(partition={'on_delete': 'fail'})
    far.cut.be(Mode.REFUSED)
    parent.stack.cloud.orchestration.delete(f'/stacks/{parent.stack.name}/{parent.stack.id}')
    assert f'{far.name}: unreachable' in parent.stack.wait_failed('DELETE')
    assert parent.attributes['tombstones'][0]['region'] == far.name
    far.cut.be(Mode.OPEN)
    parent.stack.delete()
    far.wait_gone(parent.prefix)
    assert not parent.tombstones()


# --- flapping -------------------------------------------------------------------------------


def test_what_is_deleted_while_the_way_flaps_is_gone_in_the_end(parent, far):
    parent.create()
    with far.cut.flapping(5.0):
        parent.stack.delete()
    for tombstone in parent.tombstones():
        tombstone.signal('tombstone')
    far.wait_gone(parent.prefix)


# --- what fails there -----------------------------------------------------------------------

NESTED = """
heat_template_version: 2016-10-14
parameters:
  fails: {type: boolean, default: true}
resources:
  remote:
    type: OS::Heat::RemoteStack
    properties:
      regions: [FAR]
      parameters: {fails: {get_param: fails}}
      template: |
        heat_template_version: 2016-10-14
        parameters:
          fails: {type: boolean}
        resources:
          fine:
            type: OS::Heat::TestResource
            properties: {action_wait_secs: {create: 120}}
          group:
            type: OS::Heat::ResourceGroup
            properties:
              count: 1
              resource_def:
                type: OS::Heat::TestResource
                properties: {fail: {get_param: fails}}
"""


def test_a_failure_there_ends_the_wait_and_names_the_innermost_resource(make_stack, far):
    stack = make_stack(NESTED.replace('FAR', far.name), create=False)
    one = regions.Parent(stack, far)
    stack.create({}, wait=False)
    # Long before the other resource there is done.
    reason = stack.wait_failed('CREATE')
    assert f'{far.name}: remote_failed' in reason and 'group.0: ' in reason
    assert one.of_far('error_class') == 'remote_failed'


def test_a_rollback_there_ends_the_wait(parent, far):
    # Alone: the other region would be waited for.
    parent.create(regions=[far.name])
    parent.wanted |= {'text': 'two', 'delay': 90}
    parent.stack.update(parent.wanted, wait=False)
    there = waiting.until(
        lambda: (now := far.show(parent.prefix))['stack_status'] == 'UPDATE_IN_PROGRESS' and now,
        'the region is at work',
    )
    path = f'/stacks/{there["stack_name"]}/{there["id"]}/actions'
    answer = far.tenant.orchestration.post(path, json={'cancel_update': None})
    assert answer.status_code in (200, 201, 202), answer.text
    reason = parent.stack.wait_failed('UPDATE')
    assert far.name in reason and 'ROLLBACK_' in reason
    waiting.until(
        lambda: 'PROGRESS' not in far.show(parent.prefix)['stack_status'],
        'it is rolled back there',
        seconds=240,
    )
    parent.update(delay=0)
    assert far.output(parent.prefix, 'text') == 'two'
    assert far.show(parent.prefix)['id'] == there['id']
    parent.assert_settled()


def test_a_delete_there_fails_what_waits_for_it_and_the_next_update_makes_it_anew(parent, far):
    # Alone: the other region would be waited for.
    parent.wanted |= {'regions': [far.name], 'delay': 120}
    parent.stack.create(parent.wanted, wait=False)
    (there,) = waiting.until(lambda: far.stacks(parent.prefix), 'the region is at work')
    far.tenant.orchestration.delete(f'/stacks/{there["stack_name"]}/{there["id"]}')
    reason = parent.stack.wait_failed('CREATE', seconds=40)
    assert f'{far.name}: conflict: somebody else' in reason, reason
    assert parent.of_far('state') == 'failed'
    far.wait_gone(parent.prefix, 240)
    parent.update(delay=0)
    assert far.show(parent.prefix)['id'] != there['id']
    parent.assert_settled()


# --- the other actions ----------------------------------------------------------------------


def test_suspend_and_resume_reach_the_regions_and_one_that_is_cut_off_later(parent, far):
    parent.create()
    parent.stack.action('suspend')
    assert parent.attributes['state'] == {'RegionOne': 'suspended', far.name: 'suspended'}
    assert far.show(parent.prefix)['stack_status'] == 'SUSPEND_COMPLETE'
    far.cut.be(Mode.REFUSED)
    parent.stack.action('resume')
    assert parent.attributes['pending'] == [far.name]
    parent.update(text='two')
    far.cut.be(Mode.OPEN)
    parent.sync()
    assert far.output(parent.prefix, 'text') == 'two'
    assert far.show(parent.prefix)['stack_status'] == 'UPDATE_COMPLETE'
    parent.assert_settled()


def test_a_newer_update_ends_one_that_waits_for_a_region(parent, far):
    parent.create(partition={'on_unreachable': 'wait'})
    far.cut.be(Mode.REFUSED)
    parent.wanted['text'] = 'two'
    parent.stack.update(parent.wanted, wait=False)
    waiting.until(lambda: parent.of_far('reachable') is False, 'it waits')
    begin = time.monotonic()
    parent.update(text='three', partition={})
    assert time.monotonic() - begin < 60 * waiting.PATIENCE
    assert parent.attributes['pending'] == [far.name]
    far.cut.be(Mode.OPEN)
    far.cut.forget()
    parent.sync()
    assert far.output(parent.prefix, 'text') == 'three' and len(far.cut.writes) == 1
    parent.assert_settled()


def test_a_cancel_reaches_the_region(parent, far):
    parent.create()
    # Heat lets a resource that is at work go on, so the next update waits for that.
    parent.wanted |= {'text': 'two', 'delay': 40}
    parent.stack.update(parent.wanted, wait=False)
    parent.wait_state(far.name, 'working')
    path = f'/stacks/{parent.stack.name}/{parent.stack.id}/actions'
    answer = parent.stack.cloud.orchestration.post(path, json={'cancel_without_rollback': None})
    assert answer.status_code in (200, 201, 202), answer.text
    waiting.until(
        lambda: far.show(parent.prefix)['stack_status'] == 'UPDATE_FAILED', 'it is cancelled there'
    )
    parent.stack.wait_failed('UPDATE')
    parent.update(delay=0)
    assert far.output(parent.prefix, 'text') == 'two'
    parent.assert_settled()


def test_the_events_of_a_region_are_reported_in_short(parent, far):
    parent.create()
    events = [e for e in parent.stack.events('remote') if far.name in e and 'thing ' in e]
    assert len(events) == 1 and 'random CREATE_COMPLETE' in events[0], parent.stack.events('remote')


# --- adopting -------------------------------------------------------------------------------

ADOPTING = """
heat_template_version: 2016-10-14
parameters:
  text: {type: string}
  name: {type: string}
  conflict: {type: string, default: abort}
resources:
  remote:
    type: OS::Heat::RemoteStack
    properties:
      regions: [FAR]
      parameters: {text: {get_param: text}}
      adopt: {stacks: {FAR: {get_param: name}}, conflict: {get_param: conflict}}
      template: |
        TEMPLATE
"""


def test_an_equal_stack_is_adopted_and_another_only_with_leave(make_stack, far):
    text = ADOPTING.replace('FAR', far.name).replace(
        'TEMPLATE', regions.TEMPLATE.strip().replace('\n', '\n        ')
    )
    theirs = stacks.Stack(far.tenant, f'theirs-{far.name.lower()}', regions.TEMPLATE)
    theirs.create({'text': 'by hand'})
    random = far.output(theirs.name, 'random')
    refused = make_stack(text, create=False)
    refused.create({'text': 'other', 'name': theirs.name}, wait=False)
    assert f'{far.name}: conflict' in refused.wait_failed('CREATE')
    refused.delete()
    assert far.output(theirs.name, 'text') == 'by hand', 'what was never ours is left alone'
    stack = make_stack(text, {'text': 'by hand', 'name': theirs.name})
    assert stack.attribute('remote', 'stack_ids')[far.name] == theirs.id
    assert far.output(theirs.name, 'random') == random, 'nothing in it was made again'
    stack.update({'text': 'ours', 'name': theirs.name})
    assert far.output(theirs.name, 'text') == 'ours'
    stack.delete()
    far.wait_gone(theirs.name)
