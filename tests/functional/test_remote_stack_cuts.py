# SPDX-License-Identifier: Apache-2.0
"""RemoteStack under every kind of cut: the long campaign, `make regions`."""

import time

import pytest

from lab.client import regions, waiting
from lab.client.cut import Mode

pytestmark = pytest.mark.regions

LOCAL_ONLY = """
heat_template_version: 2016-10-14
resources:
  thing: {type: OS::Heat::RandomString}
"""


@pytest.mark.parametrize('mode', [Mode.DROPPED, Mode.SILENT])
def test_down_at_create_then_healed(parent, far, mode):
    far.cut.be(mode)
    begin = time.monotonic()
    parent.create()
    assert time.monotonic() - begin < 40 * waiting.PATIENCE
    assert parent.of_far('state') == 'pending' and not far.stacks(parent.prefix)
    far.cut.be(Mode.OPEN)
    parent.update()
    assert [w.split()[0] for w in far.cut.writes] == ['POST']
    parent.assert_settled()


def test_a_reply_that_never_comes_leads_to_one_stack(parent, far):
    far.cut.be(Mode.EATEN_HELD)
    parent.create()
    far.cut.be(Mode.OPEN)
    parent.sync()
    assert parent.of_far('state') == 'ready'
    parent.assert_settled()


def test_a_slow_way_is_no_cut(parent, far):
    far.cut.be(Mode.DELAYED, 2.0)
    parent.create()
    assert parent.of_far('state') == 'ready'
    far.cut.be(Mode.OPEN)
    parent.assert_settled()


def test_a_way_that_flaps_leads_to_one_stack_with_the_newest(parent, far):
    with far.cut.flapping(5.0):
        parent.create()
        parent.update(text='two')
        parent.update(text='three')
    far.cut.be(Mode.OPEN)
    parent.sync()
    assert far.output(parent.prefix, 'text') == 'three'
    parent.assert_settled()


def test_a_cut_in_the_middle_of_the_remote_create(parent, far):
    parent.wanted['delay'] = 12
    parent.stack.create(parent.wanted, wait=False)
    waiting.until(lambda: far.stacks(parent.prefix), 'the region has begun', seconds=60)
    far.cut.be(Mode.REFUSED)
    parent.stack.wait('CREATE')
    assert parent.of_far('state') == 'pending'
    far.cut.be(Mode.OPEN)
    far.cut.forget()
    parent.sync()
    assert not far.cut.writes, 'it was sent before the cut'
    parent.assert_settled()


def test_a_delete_with_retain_ends_and_leaves_the_stack(parent, far):
    parent.create(partition={})
    far.cut.be(Mode.REFUSED)
    parent.stack.signal('remote', {'action': 'abandon', 'region': far.name})
    waiting.until(lambda: parent.of_far('state') == 'abandoned', 'it is given up')
    parent.stack.delete()
    assert not parent.tombstones() and far.stacks(parent.prefix)


def test_a_tombstone_whose_region_never_returns_can_be_given_up(parent, far):
    parent.create()
    far.cut.be(Mode.DROPPED)
    parent.stack.delete()
    (tombstone,) = parent.tombstones()
    tombstone.delete()
    assert not parent.tombstones() and far.stacks(parent.prefix)


def test_what_both_sides_changed_is_a_conflict_and_nothing_is_lost(parent, far):
    parent.create()
    there = far.show(parent.prefix)
    path = f'/stacks/{there["stack_name"]}/{there["id"]}'
    template = far.tenant.orchestration.get(f'{path}/template').json()
    answer = far.tenant.orchestration.put(
        path, json={'template': template, 'parameters': {'text': 'by hand'}}
    )
    assert answer.status_code == 202, answer.text
    waiting.until(lambda: far.show(parent.prefix)['stack_status'] == 'UPDATE_COMPLETE', 'by hand')
    parent.wanted['text'] = 'two'
    parent.stack.update(parent.wanted, wait=False)
    parent.stack.wait_failed('UPDATE')
    assert parent.of_far('error_class') == 'conflict'
    assert far.output(parent.prefix, 'text') == 'by hand'


def test_a_silent_peer_holds_up_no_other_stack(far, make_stack):
    def seconds():
        begin = time.monotonic()
        stack = make_stack(LOCAL_ONLY)
        took = time.monotonic() - begin
        stack.delete()
        return took

    without = seconds()
    far.cut.be(Mode.SILENT)
    parents = [regions.Parent(make_stack(regions.PARENT, create=False), far) for _ in range(6)]
    for one in parents:
        one.stack.create(one.wanted, wait=False)
    beside = seconds()
    for one in parents:
        one.stack.wait('CREATE')
        assert one.of_far('state') == 'pending'
    assert beside < without + 20 * waiting.PATIENCE
    for one in parents:
        one.clean()


def test_outputs_travel_to_the_other_region_without_a_second_action(far, make_stack):
    name = 'remote_database_and_readers.yaml'
    stack = make_stack(name, create=False)
    stack.create({'reader_one': 'RegionTwo', 'reader_two': far.name})
    outputs = stack.output('outputs')
    address = outputs['RegionOne']['address']
    assert address and outputs['RegionTwo']['database'] == outputs[far.name]['database'] == address


def test_the_example_of_two_regions(make_stack):
    stack = make_stack('remote_two_regions.yaml')
    assert stack.output('state') == {'RegionOne': 'ready', 'RegionTwo': 'ready'}
    assert stack.output('pending') == []
