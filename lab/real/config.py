# SPDX-License-Identifier: Apache-2.0
"""Write the configuration files that only the tier with real guests has."""

import pathlib
import uuid

from lab import filling, layout, ports, regions
from lab.real import ceph, neutron, paths, relays, virtualization
from lab.real.addresses import HOSTS, Link, Plan

_PRIVSEP = 'privsep-helper'


def write_all(block: ports.Ports) -> None:
    """Write the files of Ceph, of the relays and of all hosts."""
    plan = Plan(block.base)
    common = values(plan)
    for folder in (paths.CEPH_RUN, paths.ETC, paths.DATA):
        folder.mkdir(parents=True, exist_ok=True)
    client_part = filling.fill('ceph.conf', common)
    _put(paths.CEPH_CONF, client_part)
    server = {**common, 'client_part': client_part}
    _put(paths.CEPH_SERVER_CONF, filling.fill('ceph-server.conf', server))
    for user in ceph.users():
        _put(paths.KEYRINGS / f'{user.rstrip(".")}.keyring', ceph.keyring_of(user))
    _put(paths.KEYRINGS / 'all', ceph.all_keys())
    listeners = relays.in_the_middle(block, plan)
    _put(paths.RELAY_CONF, filling.fill('relay.cfg', {'listeners': listeners}))
    for host in HOSTS:
        _write_host(host, block, plan, common)


def for_shared(block: ports.Ports) -> dict[str, str]:
    """Return what the files of the whole cloud name, and have otherwise than in the plain lab."""
    return {
        'mechanism_driver': neutron.MECHANISM_DRIVER,
        'volume_backends': 'fake,rbd',
        'default_volume_type': 'rbd',
        'checked_networks': Plan(block.base).network(Link.GUESTS),
        'rbd_backend': filling.fill('_rbd_backend.conf', values(Plan(block.base))),
    }


def values(plan: Plan) -> dict[str, str]:
    """Return what templates of the tier may name."""
    return {
        'tmp': str(layout.TMP),
        'fsid': ceph.cluster_id(plan),
        'ceph_address': plan.server(Link.STORAGE),
        'storage_network': plan.network(Link.STORAGE),
        'ceph_conf': str(paths.CEPH_CONF),
        'ceph_data': str(paths.CEPH_DATA),
        'ceph_run': str(paths.CEPH_RUN),
        'ceph_log': str(layout.LOG),
        'keyrings': str(paths.KEYRINGS),
        'disk_bytes': str(ceph.DISK_BYTES),
    }


def _write_host(host: str, block: ports.Ports, plan: Plan, common: dict[str, str]) -> None:
    """Write what a host's programs read: relay, libvirtd with its secret, nova-compute."""
    on_host = relays.on_host(block, plan)
    _put(paths.relay_conf_of(host), filling.fill('relay.cfg', {'listeners': on_host}))
    own = {**common, 'host_uuid': str(uuid.uuid5(uuid.NAMESPACE_DNS, f'{plan.prefix}{host}'))}
    etc = paths.of_host(host) / 'etc' / 'libvirt'
    for name in ('libvirtd.conf', 'qemu.conf'):
        _put(etc / name, filling.fill(name, own))
    secret = etc / 'secrets' / own['fsid']
    _put(secret.with_suffix('.xml'), filling.fill('libvirt-secret.xml', own))
    _put(secret.with_suffix('.base64'), ceph.key_of(f'client.{ceph.CLIENT}'))
    _put(paths.of_host(host) / 'etc' / 'hosts', _names(plan))
    paths.instances_of(host).mkdir(parents=True, exist_ok=True)
    _put(paths.compute_conf_of(host), _compute(host, plan, own))


def _names(plan: Plan) -> str:
    """Return the addresses of the hosts' names: libvirt looks up that of its own host."""
    lines = [f'{plan.host(host, Link.MANAGEMENT)} {host}' for host in HOSTS]
    return '\n'.join(['127.0.0.1 localhost', *lines]) + '\n'


def _compute(host: str, plan: Plan, own: dict[str, str]) -> str:
    """Return the configuration of a host's nova-compute, beside that of all of Nova."""
    nova = layout.ETC / regions.ONE.key / 'nova' / 'nova.conf'
    helper = (
        f'{layout.VENV}/bin/{_PRIVSEP} --config-file {nova}'
        f' --config-file {paths.compute_conf_of(host)}'
    )
    kind = virtualization.known()
    return filling.fill(
        'nova-compute-real.conf',
        {
            **own,
            'host': host,
            'management_address': plan.host(host, Link.MANAGEMENT),
            'state': str(paths.state_of(host)),
            'instances': str(paths.instances_of(host)),
            'virt_type': kind.value,
            'translation_cache': kind.settings,
            'privsep_helper': helper,
        },
    )


def _put(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
