# SPDX-License-Identifier: Apache-2.0
"""What was attached by plain resources, and becomes a FailoverPolicy's in an update."""

from unittest import mock

import pytest
from heat.common import exception, template_format
from heat.engine.clients.os import nova
from heat.engine.resources.openstack.neutron import floatingip
from heat.objects import resource as resource_object

from heat_ha.plugin import first_active, port_attachment
from tests.plugin import volumes
from tests.plugin.scaling import names, servers

pytestmark = pytest.mark.engine


@pytest.fixture
def cloud(engine):
    with volumes.in_place(engine) as cloud:
        yield cloud
    assert not cloud.violations


HEAD = """
heat_template_version: 2016-10-14
resources:
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 1
      desired_capacity: 2
      max_size: 2
      resource: {type: OS::Nova::Server}
"""


def plain(server, name='attach', volume='v1'):
    return f"""
  {name}:
    type: OS::Cinder::VolumeAttachment
    properties: {{instance_uuid: '{server}', volume_id: {volume}}}
"""


def policy(name='attach', resource='type: OS::Cinder::VolumeAttachment', more=''):
    return f"""
  {name}:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {{get_resource: group}}
      resource:
        {resource}
        properties: {{instance_uuid: '%active%', volume_id: v1}}
{more}
"""


def begun(engine, place):
    """A pair, and ``v1`` attached to one of its members by a plain attachment."""
    stack = engine.create(HEAD)
    name = names(engine, stack)[place]
    (server,) = servers(engine, stack)[name]
    engine.update(stack, HEAD + plain(server))
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    return stack, name, server


def update(engine, stack, text, files=None, rollback=False):
    parsed = template_format.parse(text)
    args = {'disable_rollback': not rollback}
    engine.call('update_stack', stack, parsed, {'parameters': {}}, files or {}, args)
    engine.run()


def is_well(engine, cloud, stack, server, name='attach'):
    """Check that the policy has the volume at this server, and moves it when it is told to."""
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    assert cloud.holder('v1') == server == volumes.active(engine, stack, name).server
    assert ('detach', 'v1', server) not in cloud.requests, 'it was never away'
    engine.signal(stack, name, {'action': 'switchover'})
    now = volumes.active(engine, stack, name)
    assert now.server == cloud.holder('v1') != server
    # A further update changes nothing, and a deletion frees it.
    engine.call('delete_stack', stack)
    engine.run()
    assert engine.is_gone(stack), engine.state(stack)
    assert cloud.holder('v1') is None


@pytest.mark.parametrize('place', [0, 1])
@pytest.mark.parametrize('name', ['attach', 'failover'])
def test_an_attachment_that_becomes_a_policy_stays_where_it_is(engine, cloud, place, name):
    stack, member, server = begun(engine, place)

    update(engine, stack, HEAD + policy(name))

    if name == 'attach':
        assert volumes.active(engine, stack, name).member == member, 'nothing has to move'
    assert cloud.holder('v1') == volumes.active(engine, stack, name).server
    if name == 'attach' or place == 0:
        cloud.requests[:] = [r for r in cloud.requests if name == 'attach']
        is_well(engine, cloud, stack, server, name)


@pytest.mark.parametrize('place', [0, 1])
def test_a_policy_beside_the_attachment_has_the_volume_and_gives_it_back(engine, cloud, place):
    stack, member, server = begun(engine, place)
    update(engine, stack, HEAD + plain(server) + policy('failover'))
    assert volumes.active(engine, stack).member == member and cloud.holder('v1') == server

    update(engine, stack, HEAD + plain(server))

    has_plain_attachment(engine, cloud, stack, server)


@pytest.mark.parametrize('moved', [False, True])
def test_an_attachment_that_goes_after_the_policy_came_leaves_the_volume(engine, cloud, moved):
    stack, _member, server = begun(engine, 1)
    update(engine, stack, HEAD + plain(server) + policy('failover'))
    if moved:
        engine.signal(stack, 'failover', {'action': 'switchover'})
        server = volumes.active(engine, stack).server
        assert cloud.holder('v1') == server
        cloud.requests.clear()

    update(engine, stack, HEAD + policy('failover'))

    is_well(engine, cloud, stack, server, 'failover')


def test_a_plain_attachment_to_another_server_is_not_taken_over(engine, cloud):
    text = (
        HEAD
        + '  alone: {type: OS::Nova::Server}\n'
        + plain('{get_resource: alone}').replace("'", '')
    )
    stack = engine.create(text)
    holder = cloud.holder('v1')
    update(engine, stack, text + policy('failover'))
    assert engine.state(stack)[0] == 'UPDATE_FAILED', 'its template says two things of one volume'
    assert cloud.holder('v1') == holder


def test_attachments_in_a_template_of_the_users_own_are_taken_over(engine, cloud):
    files = {
        'both.yaml': """
heat_template_version: 2016-10-14
parameters: {instance_uuid: {type: string}, volume_id: {type: string}}
resources:
  one:
    type: OS::Cinder::VolumeAttachment
    properties: {instance_uuid: {get_param: instance_uuid}, volume_id: {get_param: volume_id}}
  two:
    type: OS::Cinder::VolumeAttachment
    properties: {instance_uuid: {get_param: instance_uuid}, volume_id: v2}
"""
    }
    stack = engine.create(HEAD)
    server = servers(engine, stack)[names(engine, stack)[1]][0]
    text = plain(server).replace('OS::Cinder::VolumeAttachment', 'both.yaml')
    update(engine, stack, HEAD + text, files)
    assert cloud.holder('v1') == cloud.holder('v2') == server

    update(engine, stack, HEAD + policy(resource='type: both.yaml'), files)

    assert cloud.holder('v2') == server
    is_well(engine, cloud, stack, server)
    assert cloud.holder('v2') is None


BROKEN = """
  broken:
    type: OS::Nova::Server
    depends_on: attach
"""


def has_plain_attachment(engine, cloud, stack, server):
    """Check that the volume has stayed, and that the plain attachment stands for it as before."""
    assert cloud.holder('v1') == server
    assert ('detach', 'v1', server) not in cloud.requests
    rows = resource_object.Resource.get_all_active_by_stack(engine.context(), stack['stack_id'])
    (row,) = [r for r in rows.values() if r.name == 'attach']
    assert row.physical_resource_id == 'v1'
    engine.call('delete_stack', stack)
    engine.run()
    assert engine.is_gone(stack) and cloud.holder('v1') is None


@pytest.fixture
def not_activated(monkeypatch):
    """Let a policy fail when it has everything, as when its config ``activate`` fails."""

    def fail(_policy, _run):
        raise exception.ResourceInError(resource_status='not activated', status_reason='a test')

    with monkeypatch.context() as undone:
        undone.setattr(first_active, 'is_activated', fail)
        yield undone.undo


@pytest.mark.parametrize('rollback', [True, False])
def test_a_policy_that_fails_gives_back_what_it_took_over(engine, cloud, not_activated, rollback):
    stack, _member, server = begun(engine, 1)

    update(engine, stack, HEAD + policy(), rollback=rollback)

    if rollback:
        assert engine.state(stack)[0] == 'ROLLBACK_COMPLETE', engine.state(stack)
    else:
        assert engine.state(stack)[0] == 'UPDATE_FAILED'
        assert cloud.holder('v1') == server
        update(engine, stack, HEAD + plain(server))
        assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    has_plain_attachment(engine, cloud, stack, server)


def test_a_policy_that_failed_is_made_again_and_has_what_it_took_over(engine, cloud, not_activated):
    stack, _member, server = begun(engine, 1)
    update(engine, stack, HEAD + policy())
    assert engine.state(stack)[0] == 'UPDATE_FAILED'
    not_activated()

    update(engine, stack, HEAD + policy())

    is_well(engine, cloud, stack, server)


def test_a_rollback_that_comes_too_late_leaves_the_volume_with_the_policy(engine, cloud):
    stack, _member, server = begun(engine, 1)
    (engine.servers / 'no-valid-host').touch()
    # The old attachment is deleted by then, and Heat cannot attach the volume a second time.
    update(engine, stack, HEAD + policy() + BROKEN, rollback=True)
    assert engine.state(stack)[0] == 'ROLLBACK_FAILED'
    assert cloud.holder('v1') == server
    (engine.servers / 'no-valid-host').unlink()

    update(engine, stack, HEAD + policy())

    is_well(engine, cloud, stack, server)


def test_an_update_that_failed_is_gone_on_with(engine, cloud):
    stack, _member, server = begun(engine, 1)
    (engine.servers / 'no-valid-host').touch()
    update(engine, stack, HEAD + policy() + BROKEN)
    (engine.servers / 'no-valid-host').unlink()

    update(engine, stack, HEAD + policy() + BROKEN)

    is_well(engine, cloud, stack, server)


def test_an_update_brings_back_a_volume_that_is_at_nobody(engine, cloud):
    stack = engine.create(HEAD + policy())
    active = volumes.active(engine, stack, 'attach')
    cloud.detach(active.server, 'v1')
    assert cloud.holder('v1') is None

    update(engine, stack, HEAD + policy())

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    assert volumes.active(engine, stack, 'attach') == active
    assert cloud.holder('v1') == active.server


def test_an_update_after_the_actives_server_was_deleted_brings_the_volume_to_another(engine, cloud):
    stack = engine.create(HEAD + policy())
    active = volumes.active(engine, stack, 'attach')
    (engine.servers / active.server).unlink()

    update(engine, stack, HEAD + policy())

    now = volumes.active(engine, stack, 'attach')
    assert now.member != active.member and cloud.holder('v1') == now.server


def test_the_volume_of_a_server_that_becomes_a_group_is_taken_to_its_first_member(engine, cloud):
    text = """
heat_template_version: 2016-10-14
resources:
  server: {type: OS::Nova::Server}
"""
    stack = engine.create(text + plain('{get_resource: server}').replace("'", ''))
    server = cloud.holder('v1')
    assert server is not None

    update(engine, stack, HEAD + policy('restart'))

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    active = volumes.active(engine, stack, 'restart')
    assert cloud.holder('v1') == active.server != server
    assert not cloud.cut_off, 'it was detached before its server went'


# --- ports and floating addresses ----------------------------------------------------------------


@pytest.fixture
def ports(monkeypatch):
    """Where each port is; ``moves`` has what Nova was asked for."""
    found, moves = {'p1': ''}, []

    def attach(_plugin, server, port):
        moves.append(('+', server))
        found[port] = server

    def detach(_plugin, server, port):
        moves.append(('-', server))
        found[port] = ''

    kind = port_attachment.PortAttachment
    monkeypatch.setattr(kind, '_server_with_port', lambda self: found[self.resource_id])
    for name, new in (
        ('interface_attach', attach),
        ('interface_detach', detach),
        ('check_interface_attach', lambda *_a: True),
    ):
        monkeypatch.setattr(nova.NovaClientPlugin, name, new)
    return found, moves


def test_a_port_that_becomes_a_policys_stays_where_it_is(engine, cloud, ports):
    found, moves = ports
    stack = engine.create(HEAD)
    server = servers(engine, stack)[names(engine, stack)[1]][0]
    kind = 'OS::Heat::PortAttachment'
    update(
        engine,
        stack,
        f"{HEAD}  attach: {{type: {kind}, properties: {{server: '{server}', port: p1}}}}",
    )
    assert found == {'p1': server}

    wanted = policy(resource=f'type: {kind}').replace('instance_uuid:', 'server:')
    update(engine, stack, HEAD + wanted.replace('volume_id: v1', 'port: p1'))

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    assert found == {'p1': server} and moves == [('+', server)]
    engine.call('delete_stack', stack)
    engine.run()
    assert engine.is_gone(stack) and found == {'p1': ''}


def test_a_floating_address_that_becomes_a_policys_stays_where_it_is(engine, cloud, monkeypatch):
    asked = []
    client = mock.Mock(
        update_floatingip=lambda _id, body: asked.append(body['floatingip']['port_id'])
    )
    monkeypatch.setattr(floatingip.FloatingIPAssociation, 'client', lambda *_a: client)
    kind = 'OS::Neutron::FloatingIPAssociation'
    stack = engine.create(HEAD)
    text = f'  attach: {{type: {kind}, properties: {{floatingip_id: f1, port_id: PORT}}}}'
    update(engine, stack, HEAD + text)

    wanted = policy(resource=f'type: {kind}').replace(
        "instance_uuid: '%active%'", "port_id: 'of-%active%'"
    )
    update(engine, stack, HEAD + wanted.replace('volume_id: v1', 'floatingip_id: f1'))

    assert engine.state(stack)[0] == 'UPDATE_COMPLETE', engine.state(stack)
    active = volumes.active(engine, stack, 'attach')
    assert asked == ['PORT', f'of-{active.server}'], 'nothing takes it away'
    engine.call('delete_stack', stack)
    engine.run()
    assert engine.is_gone(stack) and asked[-1] is None
