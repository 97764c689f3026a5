# SPDX-License-Identifier: Apache-2.0
"""RemoteStack on two real regions with a cut between them; what is true is read from there."""

import time

from lab.client import regions, waiting
from lab.client.cut import Mode


def test_a_region_that_is_down_at_create_gets_one_request_when_it_is_back(parent, far):
    far.cut.be(Mode.REFUSED)
    parent.create()
    assert parent.attributes['state'] == {'RegionOne': 'ready', far.name: 'pending'}
    assert parent.of_far('error_class') == 'unreachable' and parent.of_far('reachable') is False
    assert not far.stacks(parent.prefix)
    far.cut.be(Mode.OPEN)
    parent.sync()
    assert far.output(parent.prefix, 'text') == 'one'
    assert len(far.cut.writes) == 1
    parent.assert_settled()


def test_a_lost_reply_to_a_create_leads_to_one_stack(parent, far):
    far.cut.be(Mode.EATEN)
    parent.create()
    assert parent.of_far('state') == 'ready'
    assert [w.split()[0] for w in far.cut.writes] == ['POST']
    far.cut.be(Mode.OPEN)
    parent.assert_settled()


def test_of_what_was_changed_during_a_cut_the_newest_is_sent_once_and_nothing_is_replaced(
    parent, far
):
    parent.create()
    before = far.show(parent.prefix)
    far.cut.be(Mode.REFUSED)
    far.cut.forget()
    parent.update(local='here')
    assert parent.stack.output('local') == 'here'
    assert parent.of_far('state') == 'ready', 'there was nothing to send'
    for text in ('two', 'three', 'four'):
        parent.update(text=text)
        assert parent.stack.output('outputs')['RegionOne']['text'] == text
    parent.stack.action('check')
    assert parent.attributes['pending'] == [far.name]
    details = parent.of_far('output_details')
    assert details['stale'] and parent.stack.output('outputs')[far.name]['text'] == 'one'
    far.cut.be(Mode.OPEN)
    parent.update()
    after = far.show(parent.prefix)
    assert after['id'] == before['id'] and far.output(parent.prefix, 'text') == 'four'
    assert [w.split()[0] for w in far.cut.writes] == ['PUT']
    assert not parent.of_far('output_details')['stale']
    parent.assert_settled()


def test_what_was_deleted_during_a_cut_is_deleted_later_and_its_successor_is_not(
    parent, far, make_stack
):
    parent.create()
    old = far.show(parent.prefix)['id']
    far.cut.be(Mode.REFUSED)
    begin = time.monotonic()
    parent.stack.delete()
    assert time.monotonic() - begin < 60
    (tombstone,) = parent.tombstones()
    assert tombstone.attribute('tombstone', 'pending') == [far.name]
    successor = regions.Parent(make_stack(regions.PARENT, create=False), far)
    successor.stack.name = parent.stack.name
    successor.create()
    far.cut.be(Mode.OPEN)
    successor.sync()
    tombstone.signal('tombstone')
    waiting.until(lambda: len(far.stacks(parent.prefix)) == 1, 'the old one is deleted')
    assert far.show(parent.prefix)['id'] != old
    successor.assert_settled()
    tombstone.cloud.orchestration.post(
        f'/stacks/{tombstone.name}/{tombstone.id}/actions', json={'check': None}
    )
    waiting.until(lambda: not parent.tombstones(), 'the tombstone went by itself')
    successor.clean()
