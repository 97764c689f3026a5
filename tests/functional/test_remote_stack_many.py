# SPDX-License-Identifier: Apache-2.0
"""Three regions, outputs that travel between them, credentials that end: `make regions`."""

import contextlib

import pytest

from lab.client import access, regions, waiting
from lab.client.cut import Mode

pytestmark = pytest.mark.regions

CHAIN = """
heat_template_version: 2016-10-14
parameters:
  seed: {type: string, default: one}
resources:
  remote:
    type: OS::Heat::RemoteStack
    properties:
      regions:
        - region_name: RegionOne
          parameters: {own: {get_param: seed}}
          peer_inputs: {told: [FAR, answer]}
        - region_name: FAR
          peer_inputs: {told: [RegionOne, question]}
      template: |
        heat_template_version: 2016-10-14
        parameters:
          own: {type: string, default: ''}
          told: {type: string, default: ''}
        resources:
          thing: {type: OS::Heat::Value, properties: {value: {get_param: told}}}
        outputs:
          question: {value: {get_param: own}}
          answer:
            value: {list_join: ['-', ['answer to', {get_attr: [thing, value]}]]}
          told: {value: {get_attr: [thing, value]}}
outputs:
  outputs: {value: {get_attr: [remote, outputs]}}
"""


def chain(stack, far):
    found = stack.output('outputs')
    return found['RegionOne'].get('told'), found[far.name].get('told')


@pytest.fixture
def chained(make_stack, far):
    made = regions.Parent(make_stack(CHAIN.replace('FAR', far.name), create=False), far)
    yield made
    made.clean()


def test_a_chain_of_outputs_there_and_back_with_a_cut_between(chained, far):
    one, stack = chained, chained.stack
    stack.create({})
    assert chain(stack, far) == ('answer to-one', 'one')
    far.cut.be(Mode.REFUSED)
    stack.update({'seed': 'two'})
    assert chain(stack, far) == ('answer to-one', 'one'), 'what was not sent has not changed'
    assert one.attributes['pending'] == [far.name]
    assert one.of_far('output_details')['stale'] is True
    far.cut.be(Mode.OPEN)
    far.cut.forget()
    stack.signal('remote', {'action': 'sync'})
    waiting.until(
        lambda: chain(stack, far) == ('answer to-two', 'two'), 'it went there and back', seconds=30
    )
    assert [w.split()[0] for w in far.cut.writes] == ['PUT']
    one.assert_settled()


def test_a_chain_that_begins_cut_is_closed_when_the_region_is_back(chained, far):
    one, stack = chained, chained.stack
    far.cut.be(Mode.SILENT)
    stack.create({})
    assert one.attributes['state'] == {'RegionOne': 'ready', far.name: 'pending'}
    far.cut.be(Mode.OPEN)
    stack.signal('remote', {'action': 'sync'})
    waiting.until(
        lambda: chain(stack, far) == ('answer to-one', 'one'), 'it went there and back', seconds=60
    )
    one.assert_settled()


# --- three regions --------------------------------------------------------------------------


@pytest.fixture
def third(admin, far):
    with regions.far(admin) as made:
        yield made


@pytest.fixture
def three(far, third, make_stack):
    made = regions.Parent(make_stack(regions.PARENT, create=False), far)
    made.wanted['regions'] = ['RegionOne', far.name, third.name]
    # A catalogue is as old as its token.
    made.stack.cloud = access.connect('demo')
    yield made
    third.cut.be(Mode.OPEN)
    made.clean()


def test_of_three_regions_two_go_on_and_the_third_gets_the_newest_once(three, far, third):
    third.cut.be(Mode.DROPPED)
    three.create()
    for text in ('two', 'three'):
        three.update(text=text)
        found = three.stack.output('outputs')
        assert found['RegionOne']['text'] == found[far.name]['text'] == text
    assert three.attributes['pending'] == [third.name]
    # Now the other one is cut, too, and back before the first.
    far.cut.be(Mode.REFUSED)
    three.update(text='four')
    assert three.attributes['pending'] == sorted([far.name, third.name])
    far.cut.be(Mode.OPEN)
    far.cut.forget()
    three.stack.signal('remote', {'action': 'sync', 'region': far.name})
    waiting.until(
        lambda: three.attributes['pending'] == [third.name], 'the one is up to date', seconds=30
    )
    third.cut.be(Mode.OPEN)
    three.sync()
    assert [w.split()[0] for w in far.cut.writes] == ['PUT']
    assert [w.split()[0] for w in third.cut.writes] == ['POST']
    names = three.attributes['stack_name']
    for one in (far, third):
        assert one.output(names[one.name], 'text') == 'four'


def test_a_region_that_leaves_the_template_during_its_cut_is_emptied_later(three, far, third):
    three.create()
    names = three.attributes['stack_name']
    third.cut.be(Mode.REFUSED)
    three.update(regions=['RegionOne', far.name])
    assert [t['region'] for t in three.attributes['tombstones']] == [third.name]
    assert third.stacks(names[third.name])
    third.cut.be(Mode.OPEN)
    three.sync()
    third.wait_gone(names[third.name])
    assert far.stacks(names[far.name]) and not three.attributes['tombstones']


# --- credentials that end -------------------------------------------------------------------


@contextlib.contextmanager
def own_login(stack):
    """A login for one stack, whose token no service has seen; yields how to end it."""
    old, stack.cloud = stack.cloud, access.connect('demo')

    def end():
        token = stack.cloud.session.get_token()
        answer = stack.cloud.identity.delete('/auth/tokens', headers={'X-Subject-Token': token})
        assert answer.status_code == 204, answer.text
        stack.cloud.session.invalidate()

    try:
        yield end
    finally:
        stack.cloud = old


def test_a_token_that_ends_during_the_cut_is_replaced(parent, far):
    far.cut.be(Mode.REFUSED)
    parent.wanted['partition'] = {'on_unreachable': 'wait'}
    with own_login(parent.stack) as end:
        parent.stack.create(parent.wanted, wait=False)
        parent.wait_state('RegionOne', 'ready')
        end()
    far.cut.be(Mode.OPEN)
    parent.stack.wait('CREATE', seconds=90)
    assert parent.of_far('state') == 'ready'
    parent.assert_settled()


def test_what_is_pending_is_told_long_after_its_token_has_ended(parent, far):
    far.cut.be(Mode.REFUSED)
    with own_login(parent.stack) as end:
        parent.create()
        end()
    far.cut.be(Mode.OPEN)
    parent.sync()
    assert far.output(parent.prefix, 'text') == 'one'
    parent.assert_settled()
