# SPDX-License-Identifier: Apache-2.0
"""What stands in for things outside of Heat's engine: servers, and a policy to be chained to."""

import contextlib
import uuid
from typing import ClassVar

from heat.common import exception
from heat.engine import properties, resource

from heat_ha.cloud import compute_hosts, heat_orphans
from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import ServerStatus
from heat_ha.testing import clouds


class Server(resource.Resource):
    """A server of which only its being there matters. ``folder`` is where Nova would be.

    The file ``no-valid-host`` in the folder makes each create fail, ``stuck-<id>`` a delete; each
    file ``busy-<n>`` lets one create fail as Nova does that is overloaded.
    """

    folder = None
    properties_schema = {
        'name': properties.Schema(properties.Schema.STRING, update_allowed=True),
        'metadata': properties.Schema(properties.Schema.MAP, update_allowed=True),
        'flavor': properties.Schema(properties.Schema.STRING, update_allowed=True),
        # Another one takes another server.
        'image': properties.Schema(properties.Schema.STRING),
    }

    @staticmethod
    def deleted(server):
        """Called before a server goes, with its id."""

    def handle_create(self):
        for busy in sorted(self.folder.glob('busy-*'))[:1]:
            busy.unlink()
            raise exception.Error('Nova is busy (HTTP 503)')
        made = str(uuid.uuid4())
        (self.folder / made).write_text(self.properties['name'] or self.physical_resource_name())
        self._log('+')
        self.resource_id_set(made)
        if (self.folder / 'no-valid-host').exists():
            raise exception.Error('No valid host was found')

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        pass

    def needs_replace_failed(self):
        return True

    def handle_delete(self):
        if self.resource_id is None:
            return
        if (self.folder / f'stuck-{self.resource_id}').exists():
            raise exception.Error('the server cannot be deleted')
        self.deleted(self.resource_id)
        with contextlib.suppress(FileNotFoundError):
            (self.folder / self.resource_id).unlink()
            self._log('-')

    def _log(self, sign):
        with (self.folder.parent / 'servers.log').open('a') as log:
            log.write(sign)


class FailOver(resource.Resource):
    """Something that a policy may be chained to."""

    asked: ClassVar[list] = []
    properties_schema: ClassVar[dict] = {}

    def fail_over(self, signal, chained):
        self.asked.append((signal, chained))
        return 'failed over'


class Clouds(clouds.FakeCloud):
    """Nova, Cinder and the hosts for a policy: a server runs while it has its file.

    The file ``off-<id>`` shows a server as shut off.
    """

    def __init__(self, folder):
        super().__init__(looks=0)
        self._folder = folder

    def server(self, server_id):
        status = ServerStatus.GONE
        if (self._folder / server_id).exists():
            is_off = (self._folder / f'off-{server_id}').exists()
            status = ServerStatus.SHUTOFF if is_off else ServerStatus.ACTIVE
        return cloud.Server(server_id, status, detail=status.value)

    def named(self, name):
        return frozenset(s.name for s in self._folder.iterdir() if s.read_text() == name)

    def addressed(self, address):
        return frozenset(
            s.name for s in self._folder.iterdir() if clouds.address_of(s.name) == address
        )

    def all(self):
        return compute_hosts.HostTable({}, cloud.Host(cloud.HostState.UP, 'its host is up'))


class ServerFolder:
    """The folder that is Nova: which servers exist, and how many there have been at once.

    :ivar servers: the folder, with a file for each server.
    """

    def __init__(self, folder):
        self.folder = folder
        self.servers = folder / 'servers'

    def servers_there(self):
        """The ids of the servers that exist."""
        return {
            f.name
            for f in self.servers.iterdir()
            if not f.name.startswith(('no-valid-host', 'stuck-', 'busy-', 'off-'))
        }

    def _counts(self):
        count = 0
        for sign in (self.folder / 'servers.log').read_text():
            count += 1 if sign == '+' else -1
            yield count

    @property
    def most_servers(self):
        """The most servers that there were at once."""
        return max(self._counts())

    def fewest_servers(self, after):
        """The fewest servers that there were at once since there were so many."""
        counts = list(self._counts())
        return min(counts[counts.index(after) :])

    def named(self, _clients, name):
        """The servers of this name, as a finder of ``heat_orphans``."""
        found = [s.name for s in self.servers.iterdir() if s.read_text() == name]
        return [heat_orphans.Made(one, '2026-01-01T00:00:00Z') for one in found]
