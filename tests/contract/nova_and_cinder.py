# SPDX-License-Identifier: Apache-2.0
"""What a failover relies on when it asks Nova and Cinder for something, and looks at them.

``cloud`` is a fixture of the class that inherits the rules; ``Cloud`` says what it gives.
"""

import contextlib
import datetime
import time
import uuid
from typing import Any, Protocol

from heat_ha.cloud import clock
from heat_ha.cloud.model import HostState, Reply, ServerStatus, VolumeStatus


class Cloud(Protocol):
    """Two servers, a free volume, and the adapters that are tested.

    ``looks`` is after how many looks, ``pause`` seconds apart, an accepted request has its effect.
    """

    nova: Any
    cinder: Any
    hosts: Any
    servers: tuple[str, str]
    volume: str
    looks: int
    pause: float

    def dead_host(self, server: str) -> contextlib.AbstractContextManager[None]:
        """Let the host of a server be dead, and confirmed down, during the body."""


def looks_until(cloud, look, is_end):
    """Look until ``is_end`` of what was seen. :returns: all looks; the last one is the end."""
    found = []
    for _ in range(cloud.looks):
        found.append(look())
        if is_end(found[-1]):
            return found
        time.sleep(cloud.pause)
    raise AssertionError(f'not seen in {cloud.looks} looks, the last was {found[-1]}')


def volume_looks(cloud, status):
    """Look at the volume until it has this status. :returns: all looks."""
    return looks_until(
        cloud, lambda: cloud.cinder.volume(cloud.volume), lambda seen: seen.status is status
    )


def give_to_first(cloud):
    """Let the first server have the volume. :returns: the server."""
    server, _ = cloud.servers
    assert cloud.nova.attach(server, cloud.volume, None)[0] is Reply.ACCEPTED
    assert volume_looks(cloud, VolumeStatus.IN_USE)[-1].servers == {server}
    return server


class VolumeRules:
    """Volumes on servers whose hosts work."""

    def test_what_is_not_there_is_gone(self, cloud):
        unknown = str(uuid.uuid4())
        assert cloud.cinder.volume(unknown).status is VolumeStatus.GONE
        assert cloud.nova.server(unknown).status is ServerStatus.GONE

    def test_a_server_is_found_by_its_fixed_address_and_no_other_one_is(self, cloud):
        server, another = cloud.servers
        address = cloud.nova.server(server).addresses[0]
        found = cloud.nova.addressed(address)
        assert server in found and another not in found
        for other in ('192.0.2.1', '2001:db8::1'):
            assert cloud.nova.addressed(other) == frozenset()

    def test_a_free_volume_is_available_and_on_no_server(self, cloud):
        seen = cloud.cinder.volume(cloud.volume)
        assert (seen.status, seen.servers) == (VolumeStatus.AVAILABLE, frozenset())
        assert cloud.cinder.attached(cloud.servers) == frozenset()

    def test_after_an_accepted_attach_the_volume_is_never_seen_free_and_ends_in_use(self, cloud):
        server, _ = cloud.servers
        assert cloud.nova.attach(server, cloud.volume, None)[0] is Reply.ACCEPTED
        seen = volume_looks(cloud, VolumeStatus.IN_USE)
        assert VolumeStatus.AVAILABLE not in {look.status for look in seen}
        assert seen[-1].servers == {server}
        assert cloud.cinder.attached(cloud.servers) == {(cloud.volume, server)}

    def test_a_volume_in_use_is_refused_to_a_second_server(self, cloud):
        server = give_to_first(cloud)
        _, second = cloud.servers
        assert cloud.nova.attach(second, cloud.volume, None)[0] is Reply.REFUSED
        seen = cloud.cinder.volume(cloud.volume)
        assert (seen.status, seen.servers) == (VolumeStatus.IN_USE, {server})

    def test_after_an_accepted_detach_the_volume_ends_free_and_on_no_server(self, cloud):
        server = give_to_first(cloud)
        assert cloud.nova.detach(server, cloud.volume)[0] is Reply.ACCEPTED
        seen = volume_looks(cloud, VolumeStatus.AVAILABLE)
        # Who sees it free may give it away: then nobody may have it any more (S1).
        assert seen[-1].servers == frozenset()
        assert all(look.servers <= {server} for look in seen)

    def test_a_detach_from_a_server_that_does_not_have_the_volume_is_not_found(self, cloud):
        give_to_first(cloud)
        _, second = cloud.servers
        assert cloud.nova.detach(second, cloud.volume)[0] is Reply.NOT_FOUND

    def test_a_server_that_is_shut_off_keeps_its_volume(self, cloud):
        server = give_to_first(cloud)
        assert cloud.nova.stop(server)[0] is Reply.ACCEPTED
        looks_until(
            cloud,
            lambda: cloud.nova.server(server),
            lambda seen: seen.status is ServerStatus.SHUTOFF,
        )
        seen = cloud.cinder.volume(cloud.volume)
        assert (seen.status, seen.servers) == (VolumeStatus.IN_USE, {server})

    def test_what_was_done_to_a_server_is_listed_with_its_time(self, cloud):
        server, _ = cloud.servers
        began = clock.now() - datetime.timedelta(seconds=5)
        assert cloud.nova.stop(server)[0] is Reply.ACCEPTED
        stop = looks_until(
            cloud,
            lambda: cloud.nova.last_action(server, {'stop'}),
            lambda found: found is not None,
        )[-1]
        assert stop.action == 'stop' and began < stop.at
        assert cloud.nova.last_action(server, {'reboot'}) is None

    def test_a_deleted_server_is_gone_and_its_volume_free(self, cloud):
        server = give_to_first(cloud)
        assert cloud.nova.delete(server)[0] is Reply.ACCEPTED
        looks_until(
            cloud, lambda: cloud.nova.server(server), lambda seen: seen.status is ServerStatus.GONE
        )
        assert volume_looks(cloud, VolumeStatus.AVAILABLE)[-1].servers == frozenset()
        # On which host it was is still to be known.
        gone = cloud.nova.deleted_server(server)
        assert gone.status is ServerStatus.GONE and gone.host
        assert cloud.hosts.all()(gone).state is HostState.UP


class DeadHostRules:
    """A volume on a server whose host is dead, which somebody has confirmed."""

    def test_a_host_is_up_until_it_is_confirmed_down(self, cloud):
        server = give_to_first(cloud)
        assert cloud.hosts.state(cloud.nova.server(server)).state is HostState.UP
        with cloud.dead_host(server):
            seen = cloud.nova.server(server)
            assert cloud.hosts.state(seen).state is HostState.CONFIRMED_DOWN
            assert cloud.hosts.all()(seen).state is HostState.CONFIRMED_DOWN

    def test_a_detach_from_a_dead_host_is_a_conflict_and_changes_nothing(self, cloud):
        server = give_to_first(cloud)
        with cloud.dead_host(server):
            assert cloud.nova.detach(server, cloud.volume)[0] is Reply.CONFLICT
            seen = cloud.cinder.volume(cloud.volume)
            assert (seen.status, seen.servers) == (VolumeStatus.IN_USE, {server})

    def test_deleting_the_server_of_a_dead_host_frees_its_volume(self, cloud):
        server = give_to_first(cloud)
        with cloud.dead_host(server):
            assert cloud.nova.delete(server)[0] is Reply.ACCEPTED
            assert volume_looks(cloud, VolumeStatus.AVAILABLE)[-1].servers == frozenset()
