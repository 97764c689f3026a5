# SPDX-License-Identifier: Apache-2.0
"""Who brings a writer back in the benchmark ``downtime``, and what happens to it before."""

import contextlib
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

from bench import masakari
from lab.client import (
    agents,
    failures,
    hosts,
    real_data,
    real_hosts,
    rescue_templates,
    stacks,
    waiting,
)

# Seconds between two looks of the script.
PERIOD = 0.2

# The same two guests and volume without heat-ha: what the script, Masakari and stock Heat get.
PLAIN = """
heat_template_version: 2016-10-14
parameters:
  image: {type: string}
  flavor: {type: string}
  network: {type: string}
resources:
  apart:
    type: OS::Nova::ServerGroup
    properties: {policies: [anti-affinity]}
  volume:
    type: OS::Cinder::Volume
    properties: {size: 1}
  active:
    type: OS::Nova::Server
    properties: &server
      image: {get_param: image}
      flavor: {get_param: flavor}
      networks: [{network: {get_param: network}}]
      scheduler_hints: {group: {get_resource: apart}}
      # Without it Masakari leaves an instance alone whose guest has crashed.
      metadata: {HA_Enabled: 'True'}
  standby:
    type: OS::Nova::Server
    properties: *server
  attachment:
    type: OS::Cinder::VolumeAttachment
    properties:
      instance_uuid: {get_resource: active}
      volume_id: {get_resource: volume}
outputs:
  volume: {value: {get_resource: volume}}
  active: {value: {get_resource: active}}
  standby: {value: {get_resource: standby}}
"""


# Those that each way is measured with.
FAILURES = {name: failures.ALL[name] for name in ('crash', 'power', 'cut')}


class Way:
    """One way of bringing the writer back, with a stack of its own.

    :ivar active: the server that writes before the failure, and ``host`` where it is.
    """

    name: str
    template = PLAIN
    # Seconds that it waits by itself, for which nobody gives it up.
    waits = 0.0

    def __init__(
        self, admin: Any, cloud: Any, failure: failures.Failure, consoles: real_data.Consoles
    ):
        self.admin, self.failure = admin, failure
        self.stack = stacks.Stack(cloud, f'bench-{self.name}-{failure.name}', self.template)
        self._consoles = consoles
        self.active = self.host = ''

    def make(self) -> None:
        """Make the stack, and wait until the active one writes."""
        self.stack.create(real_hosts.parameters())
        self.written = real_data.Written(self.stack.output('volume'), self._consoles)
        self.active = self.find_active()
        self.host = hosts.host_of(self.admin, self.active)
        self.written.until_by(self.active)

    def offsets(self) -> dict[str, int]:
        """Milliseconds by which the clocks of the guests that run are ahead."""
        return self._consoles.clock_offsets()

    def find_active(self) -> str:
        """The server that the volume is given to first."""
        return str(self.stack.output('active'))

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Everything of it runs, and waits for the failure."""
        yield

    def act(self) -> None:
        """Do what there is to do once the failure has happened, or say it to whom it concerns."""

    def ends(self) -> None:
        """Wait for what it does beside, when somebody writes again."""


class Script(Way):
    """Bare calls by a script that knows all in advance: which guest, which host, at once."""

    name = 'bare'

    def act(self) -> None:
        nova, cinder = self.admin.compute, self.admin.block_storage
        volume, standby = self.written.volume, str(self.stack.output('standby'))
        if self.failure.is_of_host:
            _shut_out(f'{real_hosts.storage_address(self.host)}:0/0')
            hosts.confirm_down(self.admin, self.host, True, settles=False)
            nova.delete_server(self.active)
        else:
            # Else the first write waits for half a minute, until the dead QEMU's watch has ended.
            for client in real_hosts.clients('volumes', f'volume-{volume}'):
                _shut_out(client)
            nova.delete(f'/servers/{self.active}/os-volume_attachments/{volume}')
        waiting.until(
            lambda: cinder.get_volume(volume).status == 'available',
            f'{volume} is free', seconds=60, every=PERIOD,
        )  # fmt: skip
        nova.create_volume_attachment(standby, volume_id=volume)


def _shut_out(client: str) -> None:
    command = ['ceph', '-c', real_hosts.facts()['ceph']['conf'], '--id', 'heat-ha']
    subprocess.run(
        [*command, 'osd', 'blocklist', 'add', client, '3600'],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


class Ours(Way):
    """A FailoverPolicy: by Aodh's alarm about a guest, by the agent about a host.

    Of a host the agent hears when it happens, by a sender who is certain, and fences it in the
    storage.
    """

    name = 'ours'
    options = agents.BY_A_SENDER

    def __init__(
        self, admin: Any, cloud: Any, failure: failures.Failure, consoles: real_data.Consoles
    ):
        super().__init__(admin, cloud, failure, consoles)
        is_host = failure.is_of_host
        self.stack.template = (
            rescue_templates.PAIR if is_host else stacks.EXAMPLES / 'failover_pair.yaml'
        )
        self._policy = 'failover' if is_host else 'server_failover_policy'
        self._agent: agents.Agent | None = None

    def find_active(self) -> str:
        return str(self.stack.attribute(self._policy, 'active_server'))

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        if not self.failure.is_of_host:
            yield
            return
        agents.clear()
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            options = {'fencing_file': real_hosts.fencing_file(folder), **self.options}
            with agents.running(folder, options) as self._agent:
                yield

    def act(self) -> None:
        if self._agent is not None:
            assert self._agent.report({'host': self.host, 'state': 'down'}) == 202

    def ends(self) -> None:
        waiting.until(
            lambda: self.stack.attribute(self._policy, 'state') == 'ready',
            'the policy is ready', seconds=300, every=1,
        )  # fmt: skip


class OursOneGuest(Ours):
    """A FailoverPolicy with ``fencing: storage``, told by what monitors the service in the guest.

    Of a host that does not answer only that guest is shut out. It begins when Nova shows the host
    as down, as nothing else says that it is silent.
    """

    name = 'ours_one_guest'
    options = agents.FENCES_NO_HOST

    def __init__(
        self, admin: Any, cloud: Any, failure: failures.Failure, consoles: real_data.Consoles
    ):
        super().__init__(admin, cloud, failure, consoles)
        self.stack.template = stacks.EXAMPLES / 'failover_storage_fence.yaml'
        self._policy = 'failover'

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        agents.clear()
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            options = {'fencing_file': real_hosts.fencing_file(folder), **self.options}
            with agents.running(folder, options):
                yield

    def act(self) -> None:
        if self.failure.is_of_host:
            waiting.until(
                lambda: hosts.service_of(self.admin, self.host)['state'] == 'down',
                f'{self.host} is down', every=PERIOD,
            )  # fmt: skip
        self.stack.signal('replace', {'member': self.active})


class Masakari(Way):
    """Masakari with the smallest waits that it allows, told by what its monitors send."""

    name = 'peer'
    own: dict[str, Any] = masakari.NO_WAITS

    def __init__(
        self, admin: Any, cloud: Any, failure: failures.Failure, consoles: real_data.Consoles
    ):
        super().__init__(admin, cloud, failure, consoles)
        self._masakari: masakari.Masakari | None = None
        self._report = ''

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        with masakari.running(self.admin, self.own) as self._masakari:
            self._masakari.know(list(real_hosts.names()))
            yield

    def act(self) -> None:
        assert self._masakari is not None
        if not self.failure.is_of_host:
            self._report = self._masakari.report_guest(self.host, self.active)
            return
        # Before that Nova takes no evacuation of a host that nobody marked.
        waiting.until(
            lambda: hosts.service_of(self.admin, self.host)['state'] == 'down',
            f'{self.host} is down', every=PERIOD,
        )  # fmt: skip
        self._report = self._masakari.report(self.host)

    def ends(self) -> None:
        made = self._masakari
        assert made is not None
        waiting.until(
            lambda: made.is_over(self._report), 'Masakari is done', seconds=180, every=0.5
        )
        if self.failure.is_of_host:
            made.take_back(self.host)


class MasakariDefaults(Masakari):
    """Masakari as it comes: it waits for three minutes before it evacuates."""

    name = 'peer_defaults'
    own: dict[str, Any] = {}
    waits = 180.0


class StockHeat(Way):
    """A person marks the server as unhealthy and updates the stack."""

    name = 'stock'

    def act(self) -> None:
        (found,) = [r for r in self.stack.resources() if r['resource_name'] == 'active']
        self.stack.mark_unhealthy(found, 'the benchmark says so')
        self.stack.update(real_hosts.parameters(), wait=False)


WAYS: tuple[type[Way], ...] = (Script, Ours, OursOneGuest, Masakari, MasakariDefaults, StockHeat)
