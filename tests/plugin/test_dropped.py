# SPDX-License-Identifier: Apache-2.0
"""What a dropped plan has left is named, and a switchover to the active brings it there."""

import dataclasses

import pytest

from heat_ha import exceptions
from heat_ha.cloud.model import VolumeStatus
from heat_ha.failover import heat_steps, work_loop
from heat_ha.failover.adapters import handoff_template
from tests.plugin import volumes

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine

ADDRESS = """
  address:
    type: OS::Heat::Value
    properties: {value: {get_param: server}}
"""
VOLUME = """
  volume:
    type: OS::Cinder::VolumeAttachment
    properties: {instance_uuid: {get_param: server}, volume_id: v1}
"""
HEAD = """
heat_template_version: 2021-04-16
parameters: {server: {type: string}}
resources:
"""
HANDED_OVER = {
    'address only': HEAD + ADDRESS,
    'volume and address': HEAD + VOLUME + ADDRESS,
    # Its order is Heat's to keep, so Heat moves the volume as well.
    'volume after address': HEAD + ADDRESS + VOLUME + '    depends_on: address\n',
}
USES = "{type: all.yaml, properties: {server: '%active%'}}"


@pytest.fixture
def cloud(engine):
    with volumes.in_place(engine) as found:
        yield found


def stopped(engine, monkeypatch, text, body=None):
    """A failover that stops where Heat hands over: its stack and the members."""
    stack = engine.create(volumes.with_failover(size=2, handed_over=USES), files={'all.yaml': text})

    def fail(_steps):
        raise exceptions.Stopped('Heat did not hand over', 'Send resume')

    with monkeypatch.context() as patch:
        patch.setattr(heat_steps.HeatSteps, 'hand_over', fail)
        patch.setattr(work_loop.WorkLoop, 'go_on', lambda *_args, **_kw: None)
        engine.signal(stack, 'failover', body)
    return stack, engine.members(stack).members


def places(engine, stack):
    """The server that each resource below the policy was given to."""
    policy = engine.stack(stack)['failover']
    found = {m.servers[0]: m.servers[0] for m in engine.members(stack).members}
    return handoff_template.others(policy.nested(), found, frozenset())


@pytest.mark.parametrize('kind', HANDED_OVER)
def test_a_switchover_to_the_active_brings_there_what_a_drop_has_left(
    engine, cloud, monkeypatch, kind
):
    stack, (old, new) = stopped(engine, monkeypatch, HANDED_OVER[kind])
    engine.signal(stack, 'failover', {'action': 'drop'})
    assert volumes.active(engine, stack).member == new.name
    dropped = ' '.join(t for t in volumes.texts(engine, stack) if 'is at member' in t)
    assert f'OS::Heat::Value handoff.address is at member {old.name}' in dropped

    engine.signal(stack, 'failover', {'action': 'switchover', 'member': new.name})

    texts = volumes.texts(engine, stack)
    assert set(places(engine, stack).values()) == {frozenset(new.servers)}, texts
    assert 'volume' not in kind or cloud.holder('v1') == new.servers[0]
    engine.signal(stack, 'failover', {'action': 'switchover', 'member': new.name})
    assert 'it is the active' in volumes.texts(engine, stack)[-1], 'there is nothing left to bring'


@pytest.mark.parametrize('kind', HANDED_OVER)
def test_after_a_drop_the_next_failover_brings_everything_along(engine, cloud, monkeypatch, kind):
    stack, (old, _new) = stopped(engine, monkeypatch, HANDED_OVER[kind], {'action': 'switchover'})
    engine.signal(stack, 'failover', {'action': 'drop'})
    engine.signal(stack, 'failover', {'action': 'switchover', 'member': old.name})
    assert volumes.active(engine, stack).member == old.name, volumes.texts(engine, stack)
    assert set(places(engine, stack).values()) == {frozenset(old.servers)}
    assert 'volume' not in kind or cloud.holder('v1') == old.servers[0]


def update(engine, stack, text, _new):
    changed = volumes.with_failover(size=2, handed_over=USES, properties='cooldown: 7')
    engine.update(stack, changed, files={'all.yaml': text})


def by_the_servers_name(engine, stack, _text, new):
    name = (engine.servers / new.servers[0]).read_text()
    engine.signal(stack, 'failover', {'action': 'switchover', 'member': name})


def by_the_servers_id(engine, stack, _text, new):
    engine.signal(stack, 'failover', {'action': 'switchover', 'member': new.servers[0]})


@pytest.mark.parametrize('kind', HANDED_OVER)
@pytest.mark.parametrize('way', [update, by_the_servers_name, by_the_servers_id])
def test_what_a_drop_has_left_comes_to_the_active_in_these_ways_too(
    engine, cloud, monkeypatch, kind, way
):
    text = HANDED_OVER[kind]
    stack, (_old, new) = stopped(engine, monkeypatch, text)
    engine.signal(stack, 'failover', {'action': 'drop'})
    way(engine, stack, text, new)
    assert volumes.active(engine, stack).member == new.name, volumes.texts(engine, stack)
    assert set(places(engine, stack).values()) == {frozenset(new.servers)}


@pytest.mark.parametrize('kind', HANDED_OVER)
def test_a_stack_goes_after_a_drop(engine, cloud, monkeypatch, kind):
    stack, _members = stopped(engine, monkeypatch, HANDED_OVER[kind])
    engine.signal(stack, 'failover', {'action': 'drop'})
    engine.call('delete_stack', stack)
    engine.run()
    assert engine.is_gone(stack), engine.state(stack)
    assert cloud.holder('v1') is None


@pytest.mark.parametrize('kind', HANDED_OVER)
def test_what_a_drop_has_left_is_shown_until_an_update_has_brought_it(
    engine, cloud, monkeypatch, kind
):
    text = HANDED_OVER[kind]
    stack, (old, new) = stopped(engine, monkeypatch, text)
    engine.signal(stack, 'failover', {'action': 'drop'})
    policy = engine.stack(stack)['failover']
    assert policy._resolve_attribute('state') == 'incomplete'
    shown = policy._resolve_attribute('pending')['left_over']
    assert any(f'is at member {old.name}' in one for one in shown), shown
    assert f'switchover with member {new.name}' in policy._resolve_attribute('reason')
    update(engine, stack, text, new)
    policy = engine.stack(stack)['failover']
    assert policy._resolve_attribute('state') == 'ready'
    assert policy._resolve_attribute('pending')['left_over'] == []


def test_what_a_drop_has_a_request_under_way_for_is_named_until_that_is_over(
    engine, cloud, monkeypatch
):
    stack, (_old, new) = stopped(engine, monkeypatch, HANDED_OVER['volume and address'])
    seen = cloud.volume

    def detaching(volume):
        return dataclasses.replace(seen(volume), status=VolumeStatus.DETACHING)

    with monkeypatch.context() as patch:
        # Nova has accepted a request, and its host has not carried it out.
        patch.setattr(cloud, 'volume', detaching)
        engine.signal(stack, 'failover', {'action': 'drop'})
    assert volumes.active(engine, stack).member == new.name
    shown = engine.stack(stack)['failover']._resolve_attribute('pending')['left_over']
    assert any('v1 is at' in text and 'a request for it is under way' in text for text in shown)
    engine.signal(stack, 'failover', {'action': 'switchover', 'member': new.name})
    assert engine.stack(stack)['failover']._resolve_attribute('pending')['left_over'] == []
    assert cloud.holder('v1') == new.servers[0]
