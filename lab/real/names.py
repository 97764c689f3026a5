# SPDX-License-Identifier: Apache-2.0
"""The names of the tier's services, as ``make lab-status`` shows them."""

CEPH = ('ceph-mon', 'ceph-osd', 'ceph-mgr')
RELAY = 'relay'

# In the order in which they are started.
_ON_HOST = ('host', 'relay', 'ports', 'libvirtd', 'nova-compute')


def of_host(host: str) -> tuple[str, ...]:
    """Return the names of a host's services, in the order in which they are started.

    The first one keeps the host's namespaces.
    """
    return tuple(f'{kind}-{host}' for kind in _ON_HOST)
