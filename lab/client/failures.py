# SPDX-License-Identifier: Apache-2.0
"""What happens to a guest that writes, on the lab with real guests."""

import contextlib
from collections.abc import Iterator

from lab.client import real_hosts


class Failure:
    """What happens to a guest, or to the host that it is on.

    ``is_of_host``: its host does not answer any more.
    """

    name: str
    is_of_host = True

    def strike(self, server: str, host: str) -> contextlib.AbstractContextManager[None]:
        """Let it happen; all is mended after the body."""
        raise NotImplementedError


class Crash(Failure):
    """The guest's QEMU is killed."""

    name = 'crash'
    is_of_host = False

    @contextlib.contextmanager
    def strike(self, server: str, host: str) -> Iterator[None]:
        real_hosts.crash(server)
        yield


class PowerCut(Failure):
    """All that runs on the host is killed."""

    name = 'power'

    def strike(self, server: str, host: str) -> contextlib.AbstractContextManager[None]:
        return real_hosts.powerless(host)


class ManagementCut(Failure):
    """Nova does not reach the host any more; the guest runs on and writes on."""

    name = 'cut'

    def strike(self, server: str, host: str) -> contextlib.AbstractContextManager[None]:
        return real_hosts.cut(host, 'management')


class Isolation(Failure):
    """The host loses all links, that to the storage too; the guest runs on and cannot write."""

    name = 'isolated'

    def strike(self, server: str, host: str) -> contextlib.AbstractContextManager[None]:
        return real_hosts.cut(host)


class Freeze(Failure):
    """All of the host halts, and goes on later in the middle of what it did."""

    name = 'frozen'

    def strike(self, server: str, host: str) -> contextlib.AbstractContextManager[None]:
        return real_hosts.frozen(host)


ALL = {one.name: one for one in (Crash(), PowerCut(), ManagementCut(), Isolation(), Freeze())}
