# SPDX-License-Identifier: Apache-2.0
"""Real Nova and Cinder, through our clients, keep the rules that the fake of them keeps."""

import pathlib

import pytest
from keystoneauth1 import session as keystone_session
from oslo_config import cfg

from heat_ha.cloud import cinder, clients, compute_hosts, nova
from lab.client import access, hosts, stacks, waiting
from tests.contract import nova_and_cinder

REGION = 'RegionOne'

# The servers go before the volume, so that whatever a test has left attached is free by then.
TEMPLATE = f"""
heat_template_version: 2016-10-14
resources:
  volume:
    type: OS::Cinder::Volume
    properties: {{size: 1}}
  servers:
    type: OS::Heat::ResourceGroup
    depends_on: volume
    properties: {{count: 2, resource_def: {stacks.SERVER}}}
"""


class Lab:
    """The lab as the rules want it: see ``nova_and_cinder.Cloud``."""

    pause = 0.25
    looks = round(60 * waiting.PATIENCE / pause)

    def __init__(self, stack, tenant, admin):
        self._admin = admin
        session = keystone_session.Session(auth=tenant.session.auth, timeout=clients.CALL_LIMIT)
        self.nova = nova.Nova(session, REGION, 'public')
        self.cinder = cinder.Cinder(session, REGION, 'public')
        self.hosts = compute_hosts.Hosts(REGION, tenant.current_project_id)
        first, second = stack.servers()
        self.servers = first, second
        [self.volume] = stack.volumes()

    def dead_host(self, server):
        return hosts.confirmed_dead(self._admin, hosts.host_of(self._admin, server))


@pytest.fixture(scope='module', autouse=True)
def options_of_the_engines():
    """The credential with which the engines look at hosts, from their own file."""
    path = pathlib.Path(access.environment()['etc']) / 'one' / 'heat' / 'heat_ha.conf'
    cfg.CONF([], project='heat', default_config_files=[str(path)])
    yield
    cfg.CONF.reset()


@pytest.fixture
def cloud(make_stack, tenant, admin):
    return Lab(make_stack(TEMPLATE), tenant, admin)


class TestVolumes(nova_and_cinder.VolumeRules):
    pass


@pytest.mark.alone
class TestDeadHost(nova_and_cinder.DeadHostRules):
    pass
