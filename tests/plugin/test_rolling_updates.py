# SPDX-License-Identifier: Apache-2.0
"""Rolling updates of a group with an active member that meet failed, marked and lost members."""

import pytest
from heat.common import exception, template_format
from heat.engine import check_resource
from heat.objects import resource as resource_object

from heat_ha.plugin import rolling_update
from tests.plugin import scaling, stand_ins, volumes
from tests.plugin.scaling import MEMBER, NESTED, in_order, names, servers
from tests.plugin.test_spared_active import ROLLING, cloud, is_well, pinned

pytestmark = pytest.mark.engine

__all__ = ['cloud']

# A member that is a stack of its own, with the image as its parameter.
WITH_IMAGE = MEMBER.replace(
    'resources:', 'parameters: {image: {type: string}}\nresources:'
).replace(
    '{type: OS::Nova::Server}', '{type: OS::Nova::Server, properties: {image: {get_param: image}}}'
)
FILES = {'member.yaml': WITH_IMAGE}
ANOTHER = WITH_IMAGE.replace('{get_param: image}', 'another').replace(
    'type: string', 'type: string, default: x'
)


def nested_members(image, **changes):
    member = f'member.yaml, properties: {{image: {image}}}'
    return volumes.with_failover(member=member, **changes)


def images(engine, stack):
    """The image of each member, as its own definition has it."""
    loaded = engine.stack(stack)
    found = loaded['group'].definitions().values()
    return [definition.render_hot()['properties']['image'] for definition in found]


def is_complete(engine, stack, cloud, image, size):
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    assert not cloud.cut_off, volumes.texts(engine, stack)
    assert images(engine, stack) == [image] * size
    is_well(engine, cloud, stack)
    in_order(engine, stack, size)


@pytest.mark.parametrize(('size', 'batch'), [(2, 1), (2, 2), (3, 1), (3, 2)])
def test_an_active_that_is_marked_unhealthy_hands_over_before_the_first_batch(
    engine, cloud, size, batch
):
    group = ROLLING.format(0, batch)
    stack = engine.create(pinned('old', group=group, size=size))
    before = volumes.active(engine, stack)
    engine.mark_unhealthy(engine.nested(stack), before.member)

    engine.update(stack, pinned('new', group=group, size=size))

    is_complete(engine, stack, cloud, 'new', size)
    texts = volumes.texts(engine, stack)
    assert not any('no other member stays' in text for text in texts), texts


def test_an_update_that_nobody_can_take_over_in_goes_through_by_the_remedy_that_it_names(
    engine, cloud
):
    stack = engine.create(pinned('old', size=2))
    nested, before = engine.nested(stack), volumes.active(engine, stack)
    for name in names(engine, stack):
        engine.mark_unhealthy(nested, name)
    engine.update(stack, pinned('new', size=2))
    state, reason = engine.state(stack)
    assert state == 'UPDATE_FAILED' and f'take back that {before.member} is marked' in reason
    assert volumes.active(engine, stack) == before and not cloud.cut_off

    engine.call('resource_mark_unhealthy', nested, before.member, False, 'it is well')
    engine.update(stack, pinned('new', size=2))

    is_complete(engine, stack, cloud, 'new', 2)


@pytest.mark.parametrize('size', [2, 3])
def test_an_update_to_one_member_with_a_new_definition_hands_over_on_the_way(engine, cloud, size):
    group = ROLLING.format(0, 1)
    stack = engine.create(pinned('old', group=group, size=size))

    engine.update(stack, pinned('new', group=group, size=1))

    is_complete(engine, stack, cloud, 'new', 1)


def test_a_standby_with_an_unhealthy_part_is_mended_before_the_active_is_changed(engine, cloud):
    changes = {'group': ROLLING.format(0, 1), 'size': 2}
    stack = engine.create(nested_members('old', **changes), files=FILES)
    engine.signal(stack, 'failover', {'action': 'pause'})
    engine.update(stack, nested_members('new', **changes), files=FILES)
    assert engine.state(stack)[0] == 'UPDATE_FAILED', 'nothing is handed over while it is paused'
    active = volumes.active(engine, stack).member
    (standby,) = [name for name in names(engine, stack) if name != active]
    nested = engine.stack({'stack_id': engine.nested(stack)['stack_id']})
    engine.mark_unhealthy(dict(nested[standby].nested_identifier()), 'server')
    engine.signal(stack, 'failover', {'action': 'unpause'})

    engine.update(stack, nested_members('new', **changes), files=FILES)

    is_complete(engine, stack, cloud, 'new', 2)


def test_what_is_marked_between_two_batches_takes_nobody_out_of_the_update(
    engine, cloud, monkeypatch
):
    group = ROLLING.format(0, 1)
    stack = engine.create(pinned('old', group=group, size=3))
    update, batches = rolling_update.RollingUpdate._update, []

    def after_a_mark(self, *args):
        if len(batches) == 1:
            nested = engine.nested(stack)
            rows = resource_object.Resource.get_all_active_by_stack(
                engine.context(), nested['stack_id']
            )
            engine.mark_unhealthy(nested, max(rows.values(), key=lambda row: row.id).name)
        batches.append(args)
        update(self, *args)

    monkeypatch.setattr(rolling_update.RollingUpdate, '_update', after_a_mark)

    engine.update(stack, pinned('new', group=group, size=3))

    assert len(batches) >= 3
    is_complete(engine, stack, cloud, 'new', 3)


def test_an_update_to_another_file_that_failed_goes_through_once_it_can(engine, cloud):
    stack = engine.create(volumes.with_failover(member='member.yaml'), files=NESTED)
    files = {'another.yaml': ANOTHER}
    text = volumes.with_failover(member='another.yaml')
    (engine.servers / 'no-valid-host').touch()
    engine.update(stack, text, files=files)
    assert engine.state(stack)[0] == 'UPDATE_FAILED'
    (engine.servers / 'no-valid-host').unlink()

    engine.update(stack, text, files=files)

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    assert not cloud.cut_off
    is_well(engine, cloud, stack)


def test_a_member_is_replaced_whose_file_is_in_no_template_of_its_stack_any_more(engine, cloud):
    stack = engine.create(
        volumes.with_failover(scaling.REPLACES, member='member.yaml'), files=NESTED
    )
    files = {'another.yaml': ANOTHER}
    (engine.servers / 'no-valid-host').touch()
    engine.update(
        stack, volumes.with_failover(scaling.REPLACES, member='another.yaml'), files=files
    )
    (engine.servers / 'no-valid-host').unlink()
    standby = names(engine, stack)[-1]

    engine.signal(stack, 'policy', {'member': standby})

    assert standby not in names(engine, stack), engine.events(stack, 'policy')


@pytest.fixture
def no_such_image(monkeypatch):
    create = stand_ins.Server.handle_create

    def refusing(self):
        if self.properties['image'] == 'new':
            raise exception.Error('no such image')
        return create(self)

    monkeypatch.setattr(stand_ins.Server, 'handle_create', refusing)


@pytest.mark.parametrize('by_heat', [False, True], ids=['by_the_user', 'by_rollback'])
def test_an_update_that_fails_for_good_is_taken_back(engine, cloud, no_such_image, by_heat):
    stack = engine.create(nested_members('old', size=2), files=FILES)
    before = volumes.active(engine, stack)
    if by_heat:
        parsed = template_format.parse(nested_members('new', size=2))
        options = {'disable_rollback': False}
        engine.call('update_stack', stack, parsed, {'parameters': {}}, FILES, options)
        engine.run()
        assert engine.state(stack)[0] == 'ROLLBACK_COMPLETE', engine.state(stack)
    else:
        engine.update(stack, nested_members('new', size=2), files=FILES)
        assert engine.state(stack)[0] == 'UPDATE_FAILED'
        engine.update(stack, nested_members('old', size=2), files=FILES)
        assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)

    assert images(engine, stack) == ['old', 'old']
    assert volumes.active(engine, stack) == before and not cloud.cut_off
    in_order(engine, stack, 2)


def test_an_update_that_failed_half_way_is_taken_back_in_all_members(engine, cloud, monkeypatch):
    group = ROLLING.format(0, 1)
    stack = engine.create(pinned('old', group=group, size=3))
    update, batches = rolling_update.RollingUpdate._update, []

    def failing(self, *args):
        batches.append(args)
        if len(batches) == 2:
            (engine.servers / 'no-valid-host').touch()
        update(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(rolling_update.RollingUpdate, '_update', failing)
        engine.update(stack, pinned('new', group=group, size=3))
    assert engine.state(stack)[0] == 'UPDATE_FAILED'
    (engine.servers / 'no-valid-host').unlink()

    engine.update(stack, pinned('old', group=group, size=3))

    is_complete(engine, stack, cloud, 'old', 3)


def test_a_standby_that_heat_has_never_begun_with_is_made_before_the_active_is_changed(
    engine, cloud, monkeypatch
):
    check = check_resource.CheckResource.check
    group = ROLLING.format(0, 1)
    stack = engine.create(pinned('old', group=group, size=2))
    nested = engine.nested(stack)['stack_id']

    def lost(self, context, resource_id, *args, **kwargs):
        row = resource_object.Resource.get_obj(context, resource_id)
        if row.stack_id != nested or row.action != 'INIT':
            check(self, context, resource_id, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(check_resource.CheckResource, 'check', lost)
        engine.update(stack, pinned('new', group=group, size=2))

    engine.update(stack, pinned('new', group=group, size=2))

    is_complete(engine, stack, cloud, 'new', 2)


@pytest.mark.parametrize('is_nested', [False, True])
def test_an_update_of_something_else_of_the_group_moves_and_changes_nothing(
    engine, cloud, is_nested
):
    def text(cooldown):
        changes = {'group': f'cooldown: {cooldown}\n'}
        return nested_members('i', **changes) if is_nested else pinned('i', **changes)

    stack = engine.create(text(1), files=FILES)
    before = servers(engine, stack)
    active = volumes.active(engine, stack)

    engine.update(stack, text(2), files=FILES)

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE'
    assert servers(engine, stack) == before and not cloud.requests[1:]
    assert volumes.active(engine, stack) == active
