# SPDX-License-Identifier: Apache-2.0
"""The fake of Nova and Cinder keeps the rules that the real ones keep.

``tests/functional/test_cloud_contract.py`` has the real ones.
"""

import contextlib

import pytest

from heat_ha.testing import clouds
from tests.contract import nova_and_cinder


class Fake:
    """The fake as the rules want it: see ``nova_and_cinder.Cloud``."""

    servers = ('a', 'b')
    volume = 'v'
    looks = 4
    pause = 0.0

    def __init__(self):
        self._cloud = self.nova = self.cinder = self.hosts = clouds.FakeCloud(looks=2)
        self._cloud.add_volume(self.volume)
        for server in self.servers:
            self._cloud.add_server(server)

    @contextlib.contextmanager
    def dead_host(self, server):
        self._cloud.let_die(server)
        self._cloud.confirm()
        yield


@pytest.fixture
def cloud():
    return Fake()


class TestVolumes(nova_and_cinder.VolumeRules):
    pass


class TestDeadHost(nova_and_cinder.DeadHostRules):
    pass
