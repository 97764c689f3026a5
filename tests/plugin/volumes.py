# SPDX-License-Identifier: Apache-2.0
"""A Cinder in memory for the engine of ``in_process``, and stacks with a FailoverPolicy on it.

The servers are those of the engine's folder. A volume of a server that is deleted is free, as Nova
leaves it.
"""

import contextlib
import textwrap
import time
from unittest import mock

from heat.common import exception
from heat.engine import constraints, resource
from heat.engine.clients.os import cinder as cinder_plugin
from heat.engine.clients.os import nova as nova_plugin

from heat_ha.cloud import clients, compute_hosts, nested_stack
from heat_ha.cloud import model as cloud_model
from heat_ha.cloud.model import HostState, ServerStatus, VolumeStatus
from heat_ha.failover import record
from heat_ha.failover.handoff import release
from heat_ha.plugin import watched_group
from heat_ha.testing import clouds
from tests.plugin import scaling, stand_ins


class Cloud(clouds.FakeCloud):
    """The volumes ``v1`` and ``v2``, and the engine's servers.

    :ivar shut_off: ids of servers that are not ACTIVE.
    :ivar cut_off: pairs of server and volume: servers that were deleted with a volume on them.
    """

    def __init__(self, engine):
        super().__init__(looks=0)
        self._engine = engine
        self.shut_off = set()
        self.cut_off = []
        for volume in ('v1', 'v2'):
            self.add_volume(volume)

    def deleted(self, server):
        """Keep what a server had when it was deleted."""
        self.cut_off += [(server, name) for name, v in self._volumes.items() if v.server == server]

    def _see_servers(self):
        there = self._engine.servers_there()
        self._servers = {
            s: ServerStatus.SHUTOFF if s in self.shut_off else ServerStatus.ACTIVE for s in there
        }
        for found in self._volumes.values():
            if found.server is not None and found.server not in there:
                found.status, found.server = VolumeStatus.AVAILABLE, None

    def server(self, server_id):
        self._see_servers()
        return super().server(server_id)

    def volume(self, volume_id):
        self._see_servers()
        return super().volume(volume_id)

    def all(self):
        return compute_hosts.HostTable({}, cloud_model.Host(HostState.UP, 'its host is up'))

    def named(self, name):
        return frozenset(s.name for s in self._engine.servers.iterdir() if s.read_text() == name)

    def addressed(self, address):
        return frozenset(
            s.name for s in self._engine.servers.iterdir() if clouds.address_of(s.name) == address
        )

    def name_of(self, server):
        return (self._engine.servers / server).read_text()

    def holder(self, volume):
        """The server that has the volume, once what was asked for has its effect."""
        for _ in range(3):
            self.volume(volume)
        return super().holder(volume)

    # --- as Heat's own client plugins ask ------------------------------------------------------

    def heat_attaches(self, server, volume):
        found = self.volume(volume)
        if found.status is not VolumeStatus.AVAILABLE:
            raise exception.Error(f'volume {volume} is {found.status.value} (HTTP 400)')
        self.attach(server, volume, None)
        return volume

    def heat_detaches(self, server, volume):
        if server in self.volume(volume).servers:
            self.detach(server, volume)
        return True


@contextlib.contextmanager
def in_place(engine):
    """Put a cloud with two volumes where our code and Heat's own look for one."""
    cloud = Cloud(engine)
    own_clock = mock.Mock(wraps=time, sleep=engine.sleep, monotonic=engine.monotonic)
    nova, cinder = nova_plugin.NovaClientPlugin, cinder_plugin.CinderClientPlugin
    with contextlib.ExitStack() as patches:
        for target, name, new in (
            (clients, 'StackClients', lambda _resource: cloud),
            (stand_ins.Server, 'deleted', staticmethod(cloud.deleted)),
            (watched_group, 'time', own_clock),
            (nested_stack, 'time', own_clock),
            (release, 'time', own_clock),
            (resource.Resource, 'is_service_available', lambda *_a: (True, None)),
            (constraints.CustomConstraint, 'validate', lambda *_a, **_kw: None),
            (
                nova,
                'attach_volume',
                lambda _s, server, volume, _d: cloud.heat_attaches(server, volume),
            ),
            (nova, 'detach_volume', lambda _s, server, volume: cloud.heat_detaches(server, volume)),
            (nova, 'check_detach_volume_complete', lambda *_a: True),
            (
                cinder,
                'check_attach_volume_complete',
                lambda _s, volume: cloud.volume(volume).status is VolumeStatus.IN_USE,
            ),
            (
                cinder,
                'check_detach_volume_complete',
                lambda _s, volume, server=None: server not in cloud.volume(volume).servers,
            ),
        ):
            patches.enter_context(mock.patch.object(target, name, new))
        yield cloud


ATTACHES = """
type: OS::Cinder::VolumeAttachment
properties: {instance_uuid: '%active%', volume_id: v1}
"""


def with_failover(
    scaling_policy=scaling.ADDS, handed_over=ATTACHES, properties='', more='', **changes
):
    """A group, a load policy on it, and a FailoverPolicy ``failover`` that hands over ``v1``.

    :param properties: more of the FailoverPolicy, as lines.
    """
    policy = f"""
failover:
  type: OS::Heat::FailoverPolicy
  properties:
    auto_scaling_group_id: {{get_resource: group}}
{textwrap.indent(textwrap.dedent(properties), '    ')}
    resource:
{textwrap.indent(textwrap.dedent(handed_over), '      ')}
"""
    return scaling.template(scaling_policy, more=policy + textwrap.dedent(more), **changes)


def known(engine, stack, policy='failover'):
    """The record of the policy."""
    return record.read(engine.stack(stack)[policy])


def active(engine, stack, policy='failover'):
    """The active member that is on record."""
    return known(engine, stack, policy).active


def texts(engine, stack, resource='failover'):
    """The reasons of a resource's events."""
    return [str(reason) for _status, reason in engine.events(stack, resource)]
