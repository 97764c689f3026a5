# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a stack with parts in two regions, one of which is cut off: `make regions`."""

import pytest

from lab.client import stack_snapshots, waiting
from lab.client.cut import Mode

pytestmark = pytest.mark.regions


def in_both(parent):
    """The same of RegionOne and of the far region."""
    here, far_api = parent.stack.cloud.orchestration, parent.far.tenant.orchestration
    return [stack_snapshots.in_region(api, parent.prefix) for api in (here, far_api)]


def texts(parent):
    """The output text of each part as it is on record."""
    return {r: o['text'] for r, o in parent.attributes['outputs'].items()}


def test_both_regions_take_restore_and_delete_a_snapshot(parent, far):
    parent.create()
    snapshots = stack_snapshots.Snapshots(parent)
    random = far.output(parent.prefix, 'random')
    taken, _ = snapshots.take()
    assert in_both(parent) == [['COMPLETE'], ['COMPLETE']]
    parent.update(text='two')
    assert far.output(parent.prefix, 'text') == 'two'
    far.cut.forget()
    snapshots.restore(taken)
    assert texts(parent) == {'RegionOne': 'one', far.name: 'one'}
    assert far.output(parent.prefix, 'text') == 'one'
    assert far.output(parent.prefix, 'random') == random, 'nothing was made again'
    assert [w.split()[0] for w in far.cut.writes] == ['POST', 'PATCH'], far.cut.writes
    parent.wanted['text'] = 'one'
    far.cut.forget()
    parent.update()
    assert not far.cut.writes, 'the next update has nothing to send'
    parent.assert_settled()
    snapshots.delete(taken)
    waiting.until(lambda: in_both(parent) == [[], []], 'both regions have deleted it')
    assert not parent.attributes['tombstones']


def test_a_region_that_is_cut_off_is_named_and_the_other_keeps_no_snapshot(parent, far):
    parent.create()
    snapshots = stack_snapshots.Snapshots(parent)
    far.cut.be(Mode.REFUSED)
    failed, reason = snapshots.take(status='FAILED')
    assert f'{far.name}: unreachable' in reason and 'abandon' in reason
    waiting.until(lambda: in_both(parent) == [[], []], 'no snapshot is left')
    snapshots.delete(failed)
    far.cut.be(Mode.OPEN)
    parent.assert_settled()


def test_a_lost_reply_takes_no_second_snapshot(parent, far):
    parent.create()
    far.cut.be(Mode.EATEN)
    far.cut.forget()
    stack_snapshots.Snapshots(parent).take()
    assert [w.split()[0] for w in far.cut.writes] == ['POST'], far.cut.writes
    assert in_both(parent) == [['COMPLETE'], ['COMPLETE']]


def test_a_restore_and_a_delete_reach_a_region_after_the_cut(parent, far):
    parent.create()
    snapshots = stack_snapshots.Snapshots(parent)
    taken, _ = snapshots.take()
    parent.update(text='two')
    far.cut.be(Mode.DROPPED)
    snapshots.restore(taken)
    assert parent.attributes['pending'] == [far.name]
    assert far.output(parent.prefix, 'text') == 'two'
    far.cut.be(Mode.OPEN)
    far.cut.forget()
    parent.sync(60)
    assert far.output(parent.prefix, 'text') == 'one'
    assert [w.split()[0] for w in far.cut.writes] == ['POST', 'PATCH'], far.cut.writes
    far.cut.be(Mode.REFUSED)
    snapshots.delete(taken)
    assert [t['region'] for t in parent.attributes['tombstones']] == [far.name]
    far.cut.be(Mode.OPEN)
    parent.sync(60)
    waiting.until(lambda: in_both(parent) == [[], []], 'both regions have deleted it')
    parent.assert_settled()
