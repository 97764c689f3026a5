# SPDX-License-Identifier: Apache-2.0
"""Cinder, as far as a failover needs it: bounded calls, answers as values."""

import re
from collections.abc import Iterable
from typing import Any

import requests
from cinderclient import client as cinder_client
from cinderclient import exceptions as cinder_exceptions
from keystoneauth1 import exceptions as keystone_exceptions

from heat_ha.cloud import model as cloud

# 3.44 is the attachments API, in every Cinder since Pike.
MICROVERSION = '3.44'


# The first disk of a server is the one that it runs from, whichever bus it is on.
_FIRST_DISK = re.compile(r'/dev/(xv|v|s|h)da')


class Cinder:
    """One region's Cinder as one tenant sees it.

    :param session: a keystoneauth session with a timeout of its own (seconds a call).
    """

    def __init__(self, session: Any, region: str | None, interface: str) -> None:
        self._client = cinder_client.Client(
            MICROVERSION,
            session=session,
            region_name=region,
            interface=interface,
            service_type='volumev3',
        )

    def volume(self, volume_id: str) -> cloud.Volume:
        """Look at one volume; a failed call is COULD_NOT_ASK, never GONE."""
        try:
            found = self._client.volumes.get(volume_id)
        except cinder_exceptions.NotFound:
            return cloud.Volume(volume_id, cloud.VolumeStatus.GONE)
        except _FAILURES as exc:
            detail = f'{type(exc).__name__}: {exc}'[:200]
            return cloud.Volume(volume_id, cloud.VolumeStatus.COULD_NOT_ASK, detail=detail)
        return cloud.Volume(
            volume_id,
            cloud.VolumeStatus.of(found.status),
            frozenset(a['server_id'] for a in found.attachments if a.get('server_id')),
            bool(getattr(found, 'multiattach', False)),
            detail=found.status,
            first_disk_of=frozenset(
                a['server_id']
                for a in found.attachments
                if a.get('server_id') and _FIRST_DISK.fullmatch(a.get('device') or '')
            ),
        )

    def attached(self, servers: Iterable[str]) -> frozenset[tuple[str, str]] | None:
        """Which volume is attached to which of the servers, with one request a server.

        :returns: pairs of volume and server; None when Cinder could not be asked.
        """
        try:
            return frozenset(
                (found.volume_id, server)
                for server in servers
                for found in self._client.attachments.list(search_opts={'instance_id': server})
                if found.status == 'attached'
            )
        except _FAILURES:
            return None


_FAILURES = (
    cinder_exceptions.ClientException,
    keystone_exceptions.ClientException,
    requests.RequestException,
)
