# SPDX-License-Identifier: Apache-2.0
"""A stack update that comes to the group while a failover has to add a member to it."""

import datetime
import time
from unittest import mock

import pytest
from heat.engine import resource as heat_resource
from heat.objects import resource as resource_object

from heat_ha import exceptions, serialization, signals
from heat_ha.cloud import clock, lease, nested_stack, resource_data
from heat_ha.cloud import model as cloud_model
from heat_ha.failover import remembered, work_loop
from heat_ha.failover.rules import retry
from heat_ha.groups import model, replacing
from heat_ha.groups.adapters import store
from heat_ha.plugin import volume_attachment, watched_group
from heat_ha.testing import clouds
from tests.plugin import scaling, stand_ins, test_rolling_updates, volumes
from tests.plugin.scaling import names, servers
from tests.plugin.test_spared_active import ROLLING, cloud, is_well, pinned

pytestmark = pytest.mark.engine

__all__ = ['cloud']


def loaded_group(engine, stack):
    """The group as an engine has it, with the stack, which is to be kept."""
    loaded = engine.stack(stack)
    return loaded['group'], loaded


def have_row(engine, group, **values):
    """Change the row of the group, as another engine does."""
    row = resource_object.Resource.get_obj(engine.context(), group.id)
    row.update_and_save(values)


def add(group):
    return replacing.add_member(group, requested_by='failover', name='added')


@pytest.fixture
def updated(engine, cloud):
    """A group that an engine updates, and what a policy has loaded of it at that moment."""
    stack = engine.create(pinned('old', size=1, most=3))
    group, loaded = loaded_group(engine, stack)
    have_row(engine, group, action='UPDATE', status='IN_PROGRESS', engine_id='one')
    group, again = loaded_group(engine, stack)
    yield engine, stack, group
    have_row(engine, group, action='UPDATE', status='COMPLETE', engine_id=None)
    del loaded, again


def test_a_failover_waits_for_an_update_of_the_group_and_sees_its_end(updated):
    engine, stack, group = updated
    with pytest.raises(exceptions.TryAgain, match='UPDATE_IN_PROGRESS'):
        add(group)

    have_row(engine, group, status='COMPLETE', engine_id=None)

    assert add(group) == 'added'
    assert 'added' in names(engine, stack)


@pytest.mark.parametrize(('waiting', 'goes_on'), [('one', True), ('another', False)])
def test_a_failover_does_not_wait_for_an_update_that_waits_for_it(updated, waiting, goes_on):
    engine, stack, group = updated
    with store.waiting_for_failover(group, waiting):
        if goes_on:
            assert add(group) == 'added'
        else:
            with pytest.raises(exceptions.TryAgain):
                add(group)
    assert ('added' in names(engine, stack)) == goes_on


def test_a_replacement_waits_for_such_an_update(updated):
    _engine, _stack, group = updated
    with store.waiting_for_failover(group, 'one'), pytest.raises(exceptions.TryAgain):
        replacing.replace(group, requested_by='policy', order=None, count=1)


def test_an_update_is_made_anew_for_the_member_that_a_failover_has_added(
    engine, cloud, monkeypatch
):
    changes = {'group': ROLLING.format(0, 1), 'size': 1, 'most': 3}
    stack = engine.create(pinned('old', **changes))
    (first,) = servers(engine, stack)
    (server,) = servers(engine, stack)[first]
    cloud.shut_off.add(server)
    wait, failed_over = watched_group._Handover._active_when_idle, []

    def after_a_failover(self):
        if not failed_over:
            failed_over.append(True)
            loaded = engine.stack(stack)
            loaded['failover'].fail_over(signals.Signal(), None, goes_on=False)
        return wait(self)

    monkeypatch.setattr(watched_group._Handover, '_active_when_idle', after_a_failover)

    engine.update(stack, pinned('new', **changes))

    texts = volumes.texts(engine, stack)
    assert failed_over and any('add_member: ' in text for text in texts), '\n'.join(texts)
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    is_well(engine, cloud, stack)
    ((last,),) = servers(engine, stack).values()
    assert last != server


def test_nothing_is_written_to_a_group_while_heat_updates_it(updated):
    """Heat could not end the update then."""
    engine, _stack, group = updated
    before = resource_object.Resource.get_obj(engine.context(), group.id)
    with pytest.raises(heat_resource.NoActionRequired, match='Heat is at work on group'):
        group.metadata_set({'scaling_in_progress': True})
    group.metadata_set({'scaling_in_progress': False})
    row = resource_object.Resource.get_obj(engine.context(), group.id)
    assert (row.atomic_key, row.rsrc_metadata) == (before.atomic_key, before.rsrc_metadata)

    have_row(engine, group, status='COMPLETE', engine_id=None)

    group.metadata_set({'scaling_in_progress': True})
    assert resource_data.metadata(group) == {'scaling_in_progress': True}


def test_a_mark_that_nobody_stands_behind_does_not_stop_such_a_failover(updated):
    engine, stack, group = updated
    stale = model.Mark(lease.own_engine_id(), '2026-01-01T00:00:00+00:00', 'policy', 'gone')
    have_row(engine, group, rsrc_metadata={'scaling_in_progress': serialization.encode(stale)})
    with store.waiting_for_failover(group, 'one'):
        assert add(group) == 'added'
    assert 'added' in names(engine, stack)


def test_a_group_that_was_marked_unhealthy_is_marked_healthy_again(engine, cloud):
    stack = engine.create(pinned('old', size=2))
    before = servers(engine, stack)
    engine.mark_unhealthy(stack, 'group')

    engine.call('resource_mark_unhealthy', stack, 'group', False, 'it is well')

    assert engine.stack(stack)['group'].state == ('CHECK', 'COMPLETE')
    engine.update(stack, pinned('old', group='cooldown: 3\n', size=2))
    assert servers(engine, stack) == before and not cloud.cut_off


def test_a_failover_leaves_the_failed_update_of_the_active_alone(engine, cloud):
    files = {'member.yaml': test_rolling_updates.WITH_IMAGE}
    changes = {'size': 1, 'most': 3}
    stack = engine.create(test_rolling_updates.nested_members('old', **changes), files=files)
    before = servers(engine, stack)
    (engine.servers / 'no-valid-host').touch()
    engine.update(stack, test_rolling_updates.nested_members('new', **changes), files=files)
    assert engine.state(stack)[0] == 'UPDATE_FAILED'
    (engine.servers / 'no-valid-host').unlink()
    active = volumes.active(engine, stack)
    group, loaded = loaded_group(engine, stack)

    replacing.add_member(group, requested_by='failover', name='added', keep=(active.member,))
    assert servers(engine, stack)['added'] and cloud.holder('v1') == active.server
    assert servers(engine, stack)[active.member] == before[active.member]
    del loaded


@pytest.mark.usefixtures('impatient')
def test_a_signal_that_names_a_member_to_which_an_update_has_given_another_server_is_not_lost(
    engine, cloud
):
    chained = """
adjustment_type: replace_oldest
auto_scaling_policy_id: {get_resource: failover}
scaling_adjustment: 1
"""
    old, new = (
        volumes.with_failover(
            chained,
            member=f'OS::Nova::Server, properties: {{image: {image}}}',
            group=ROLLING.format(0, 1),
        )
        for image in ('old', 'new')
    )
    stack = engine.create(old)
    first = names(engine, stack)[0]
    sent = []

    def before_sleep():
        loaded = engine.stack(stack)
        policy = loaded['failover']
        if sent or not lease.is_held_by_living(loaded.context, policy.resource_id):
            return
        on_record = {one.member: one.server for one in volumes.known(engine, stack).seen}
        now = servers(engine, stack).get(first)
        if now and on_record.get(first) not in now:
            sent.append(now)
            engine.call('resource_signal', stack, 'policy', {'member': first})

    engine.before_sleep = before_sleep
    engine.update(stack, new)
    engine.before_sleep = None
    engine.run()
    assert sent and first not in names(engine, stack)
    is_well(engine, cloud, stack)


def test_a_shutdown_that_nova_refuses_is_taken_out_by_an_update_of_the_template(
    engine, cloud, monkeypatch
):
    text = volumes.with_failover(properties='quiesce: {server_action: stop}')
    stack = engine.create(text)
    old = volumes.active(engine, stack)
    answer = cloud_model.Reply.REFUSED, 'the server is paused'
    monkeypatch.setattr(cloud, 'stop', lambda _server: answer)
    monkeypatch.setattr(retry, 'REFUSED_FOR', 0.2)
    monkeypatch.setattr(work_loop.WorkLoop, 'go_on', lambda *_args, **_kw: None)
    engine.signal(stack, 'failover')
    known = volumes.known(engine, stack)
    assert known.state.value == 'stopped' and 'paused' in known.reason
    engine.signal(stack, 'failover', {'action': 'resume'})
    assert cloud.holder('v1') == old.server

    engine.update(stack, text.replace('quiesce: {server_action: stop}', ''))
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE'
    engine.signal(stack, 'failover', {'action': 'resume'})

    assert is_well(engine, cloud, stack) != old


def test_pauses_count_only_where_there_is_something_to_change(engine, cloud):
    group = 'rolling_updates: {max_batch_size: 1, pause_time: 1200}\n'
    stack = engine.create(pinned('old', group=group, size=4))

    engine.update(stack, pinned('old', group=f'{group}cooldown: 3\n', size=4))
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)

    engine.update(stack, pinned('new', group=group, size=4))
    state, reason = engine.state(stack)
    assert state == 'UPDATE_FAILED' and 'timeout' in reason


def test_a_group_is_loaded_with_the_definition_that_an_update_has_given_it(engine, cloud):
    stack = engine.create(pinned('old', size=1))
    group, loaded = loaded_group(engine, stack)
    engine.update(stack, pinned('new', size=1))

    now = nested_stack.as_it_is_now(group)

    images = [one._get_resource_definition().render_hot() for one in (group, now)]
    assert [image['properties']['image'] for image in images] == ['old', 'new']
    del loaded


ONE_SERVER = scaling.MEMBER.partition('outputs:')[0]
TWO_SERVERS = ONE_SERVER + '  sidecar: {type: OS::Nova::Server}\n'


@pytest.mark.parametrize('size', [1, 3])
def test_an_active_whose_member_gets_a_second_server_keeps_the_volume(engine, cloud, size):
    """Which of the two may be the active is not known; that is no reason to take it away."""
    text = volumes.with_failover(member='member.yaml', size=size)
    stack = engine.create(text, files={'member.yaml': ONE_SERVER})
    before = volumes.active(engine, stack)

    engine.update(stack, text, files={'member.yaml': TWO_SERVERS})

    assert len(servers(engine, stack)[before.member]) == 2
    assert volumes.active(engine, stack) == before
    assert cloud.holder('v1') == before.server and not cloud.requests[1:]
    assert not any('is the active now' in text for text in volumes.texts(engine, stack))


# --- a group that is parked, and what was left to do --------------------------------------------

CHAINED = """
adjustment_type: replace_oldest
auto_scaling_policy_id: {get_resource: failover}
scaling_adjustment: 1
"""


def parked(text):
    """The template with the group's sizes at 0."""
    for name, size in (('min_size', 1), ('desired_capacity', 3), ('max_size', 4)):
        assert f'{name}: {size}' in text
        text = text.replace(f'{name}: {size}', f'{name}: 0')
    return text


@pytest.fixture
def impatient(engine, monkeypatch):
    """Let a thread that has nothing to do end soon, on the engine's clock."""
    own_clock = mock.Mock(wraps=time, sleep=engine.sleep, monotonic=engine.monotonic)
    monkeypatch.setattr(work_loop, 'time', own_clock)
    monkeypatch.setattr(work_loop.work, 'PATIENCE', 1.0)


@pytest.mark.usefixtures('impatient')
def test_what_a_failover_has_left_builds_no_server_in_a_group_that_is_parked(engine, cloud):
    text = volumes.with_failover(CHAINED + 'replacement_order: delete_first\n')
    stack = engine.create(text)
    (engine.servers / 'no-valid-host').touch()
    engine.signal(stack, 'policy')
    (engine.servers / 'no-valid-host').unlink()
    assert volumes.known(engine, stack).follow_ups, 'its new member had no host'
    engine.update(stack, parked(text))
    assert names(engine, stack) == []

    engine.signal(stack, 'failover', {'action': 'resume'})

    assert names(engine, stack) == [] and not engine.servers_there()


# --- a host that dies while the template changes the group ---------------------------------------


@pytest.fixture
def dying(cloud, monkeypatch):
    """Let the host of a server fall silent; its guest goes on, though Nova forgets the server."""

    def fall_silent(server):
        cloud.all = lambda: clouds._Hosts(cloud)
        cloud.let_die(server)
        was = cloud.deleted

        def deleted(gone):
            was(gone)
            if cloud._is_dead(gone) and cloud.host.state is cloud_model.HostState.DOWN:
                held = [name for name, v in cloud._volumes.items() if v.server == gone]
                cloud._written.update(dict.fromkeys(held, gone))

        monkeypatch.setattr(stand_ins.Server, 'deleted', staticmethod(deleted))

    return fall_silent


def test_an_alarm_brings_the_volume_from_a_dead_host_that_a_rolling_update_has_met(
    engine, cloud, dying
):
    """The update asks for a switchover, which may not delete the server: the alarm may."""

    def text(image):
        member = f'OS::Nova::Server, properties: {{image: {image}}}'
        wanted = {'properties': 'fencing_timeout: 0', 'group': ROLLING.format(0, 1)}
        return volumes.with_failover(CHAINED, member=member, **wanted)

    stack = engine.create(text('old'))
    active = volumes.active(engine, stack)
    dying(active.server)
    cloud.confirm()
    engine.update(stack, text('new'))
    assert volumes.known(engine, stack).state.value == 'waiting_for_fence'
    assert cloud.holder('v1') == active.server

    engine.signal(stack, 'policy', {'member': active.server})

    assert cloud.holder('v1') == volumes.active(engine, stack).server != active.server
    assert active.server not in engine.servers_there()


GROWS = """
grow:
  type: OS::Heat::ScalingPolicy
  properties:
    adjustment_type: change_in_capacity
    auto_scaling_group_id: {get_resource: group}
    scaling_adjustment: 2
"""


# S1
@pytest.mark.parametrize('comes_back', ['by an update', 'by a signal'])
@pytest.mark.usefixtures('impatient')
def test_a_parked_group_gives_no_volume_out_before_the_silent_host_is_known_to_be_dead(
    engine, cloud, dying, monkeypatch, comes_back
):
    monkeypatch.setattr(volume_attachment, 'LIMIT', 0.3)
    text = volumes.with_failover(more=GROWS, properties='fencing_timeout: 0')
    stack = engine.create(text)
    active = volumes.active(engine, stack)
    dying(active.server)
    engine.update(stack, parked(text))
    assert names(engine, stack) == [] and volumes.active(engine, stack) is None
    assert volumes.known(engine, stack).left_with == (active,)

    def come_back():
        if comes_back == 'by an update':
            engine.update(stack, text)
        else:
            engine.signal(stack, 'failover', {'action': 'failover'})

    if comes_back == 'by a signal':
        engine.update(stack, parked(text).replace('max_size: 0', 'max_size: 4'))
        engine.signal(stack, 'grow')
    come_back()
    assert cloud.holder('v1') is None and not cloud.violations

    cloud.confirm()
    come_back()

    assert is_well(engine, cloud, stack) != active
    assert volumes.known(engine, stack).left_with == (), 'that host is asked for no more'


GROUP_2 = """
group2:
  type: OS::Heat::AutoScalingGroup
  properties: {min_size: 1, desired_capacity: 2, max_size: 4, resource: {type: OS::Nova::Server}}
"""


@pytest.mark.usefixtures('impatient')
def test_a_failover_that_stopped_goes_on_in_the_group_that_the_template_names_now(
    engine, cloud, monkeypatch
):
    for name in ('REFUSED_FOR', 'CONFLICT_FOR'):
        monkeypatch.setattr(retry, name, 0.2)
    text = volumes.with_failover(more=GROUP_2)
    stack = engine.create(text)
    active = volumes.active(engine, stack)
    standbys = {s for (s,) in servers(engine, stack).values()} - {active.server}
    cloud.refused |= standbys
    cloud.shut_off.add(active.server)
    engine.signal(stack, 'failover')
    assert volumes.known(engine, stack).state.value == 'stopped'
    cloud.refused.clear()
    before, policy, after = text.partition('FailoverPolicy')
    after = after.replace('get_resource: group}', 'get_resource: group2}', 1)
    engine.update(stack, before + policy + after)

    engine.signal(stack, 'failover', {'action': 'resume'})

    known = volumes.known(engine, stack)
    there = {m.name: m.servers for m in engine.members(stack, 'group2').members}
    assert known.state.value == 'ready' and there[known.active.member] == (known.active.server,)
    assert cloud.holder('v1') == known.active.server


# --- a stack that is suspended in the middle ------------------------------------------------------


@pytest.mark.usefixtures('impatient')
def test_a_signal_that_was_kept_when_the_stack_was_suspended_is_decided_after_it_is_resumed(
    engine, cloud, monkeypatch
):
    stack = engine.create(volumes.with_failover())
    cloud.shut_off = {server for (server,) in servers(engine, stack).values()}
    engine.signal(stack, 'failover')
    engine.run()
    assert remembered.among(engine.stack(stack)['failover'].data())
    try:
        engine.call('stack_suspend', stack)
    except NotImplementedError as exc:
        pytest.skip(f'this Heat does not suspend by convergence: {exc}')
    engine.run()
    assert engine.state(stack)[0] == 'SUSPEND_COMPLETE'
    active = volumes.active(engine, stack)
    cloud.shut_off = {active.server}
    a_minute_later = clock.now() + datetime.timedelta(minutes=1)
    monkeypatch.setattr(work_loop, 'clock', mock.Mock(wraps=clock, now=lambda: a_minute_later))

    engine.call('stack_resume', stack)
    engine.run()

    assert is_well(engine, cloud, stack) != active


# --- a member that was made for a failover and gets nothing ---------------------------------------


@pytest.mark.usefixtures('impatient')
def test_a_group_of_one_has_one_member_again_where_the_new_one_is_refused_the_volume(
    engine, cloud, monkeypatch
):
    for name in ('REFUSED_FOR', 'CONFLICT_FOR'):
        monkeypatch.setattr(retry, name, 0.2)
    stack = engine.create(volumes.with_failover(CHAINED, size=1, most=1))
    active = volumes.active(engine, stack)
    attach = cloud.attach

    def refuse_others(server, volume, device):
        if server != active.server:
            cloud.refused.add(server)
        return attach(server, volume, device)

    monkeypatch.setattr(cloud, 'attach', refuse_others)

    engine.signal(stack, 'policy')

    assert is_well(engine, cloud, stack) == active
    assert names(engine, stack) == [active.member]
    assert engine.servers_there() == {active.server}
    assert any('cannot take over' in text for text in volumes.texts(engine, stack))
