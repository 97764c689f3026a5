# SPDX-License-Identifier: Apache-2.0
"""Where the files of the tier lie, all of them in the lab's folder."""

import pathlib

from lab import layout

DATA = layout.DATA / 'real'
ETC = layout.ETC / 'real'
# What is made once and serves each lab: the kernel, the guest, what the machine can do.
BUILT = layout.LAB / 'real'

CEPH_DATA = DATA / 'ceph'
CEPH_CONF = ETC / 'ceph.conf'
CEPH_SERVER_CONF = ETC / 'ceph-server.conf'
CEPH_RUN = layout.RUN / 'ceph'
KEYRINGS = ETC / 'keyrings'
RELAY_CONF = ETC / 'relay.cfg'
LAUNCHERS = layout.SOURCES / 'launchers'


def of_host(name: str) -> pathlib.Path:
    """Return the folder with a host's own /etc/libvirt and the like."""
    return DATA / name


def state_of(name: str) -> pathlib.Path:
    """Return the folder of a host's nova-compute."""
    return DATA / name / 'nova'


def instances_of(name: str) -> pathlib.Path:
    """Return the folder with the consoles of a host's guests."""
    return state_of(name) / 'instances'


def relay_conf_of(name: str) -> pathlib.Path:
    """Return the configuration of the relay on a host."""
    return ETC / f'relay-{name}.cfg'


def compute_conf_of(name: str) -> pathlib.Path:
    """Return the configuration of a host's nova-compute."""
    return ETC / f'nova-compute-{name}.conf'
