# SPDX-License-Identifier: Apache-2.0
"""Make the small Ceph cluster, one daemon of each kind, and ask it how it is.

The keys are well known, like the lab's password: so keyrings are files that are written before
there is a cluster, and the monitor takes them over when it is made.
"""

import base64
import hashlib
import json
import shutil
import struct
import subprocess
import uuid
from typing import Any

from lab import problems
from lab.real import paths
from lab.real.addresses import Link, Plan

# What is written takes room on the machine's disk, what is free takes none.
DISK_BYTES = 16 * 2**30
POOLS = ('volumes', 'vms')
CLIENT = 'cinder'

_PLACEMENT_GROUPS = '8'
_PATIENCE_SECONDS = 60
_PROFILE = ', '.join(f'profile rbd pool={pool}' for pool in POOLS)
# Each user, with what the monitor, the disk's daemon and the manager allow it.
_USERS: dict[str, dict[str, str]] = {
    'mon.': {'mon': 'allow *'},
    'mgr.a': {'mon': 'allow profile mgr', 'osd': 'allow *'},
    'osd.0': {'mon': 'allow profile osd', 'mgr': 'allow profile osd', 'osd': 'allow *'},
    'client.admin': {'mon': 'allow *', 'osd': 'allow *', 'mgr': 'allow *'},
    # With this profile librbd may put the dead holder of a lock on the blocklist.
    f'client.{CLIENT}': {'mon': 'profile rbd', 'osd': _PROFILE},
    # The agent of heat-ha fences hosts and guests, and sees who has an image open.
    'client.heat-ha': {
        'mon': 'allow r, allow command \\"osd blocklist\\"',
        'osd': 'profile rbd-read-only pool=volumes',
    },
}


def cluster_id(plan: Plan) -> str:
    """Return the id of the cluster, which hosts also take for that of their libvirt secret."""
    return _uuid(plan, 'ceph')


def disk_id(plan: Plan) -> str:
    """Return the id of the only disk."""
    return _uuid(plan, 'osd.0')


def key_of(user: str) -> str:
    """Return a user's secret in Ceph's own form: kind, time of making, length, bytes."""
    secret = hashlib.sha256(f'heat-ha lab {user}'.encode()).digest()[:16]
    return base64.b64encode(struct.pack('<HIIH', 1, 0, 0, len(secret)) + secret).decode()


def keyring_of(user: str) -> str:
    """Return the keyring of one user."""
    return _keyring([user])


def all_keys() -> str:
    """Return the keyring of all users, from which the monitor is made."""
    return _keyring(list(_USERS))


def users() -> list[str]:
    """Return the names of all users."""
    return list(_USERS)


def _keyring(names: list[str]) -> str:
    lines = []
    for name in names:
        lines += [f'[{name}]', f'\tkey = {key_of(name)}']
        lines += [f'\tcaps {who} = "{what}"' for who, what in _USERS[name].items()]
    return '\n'.join(lines) + '\n'


def prepare_monitor(plan: Plan) -> None:
    """Make the monitor's data, whole or not at all."""
    folder = paths.CEPH_DATA / 'mon'
    if (folder / 'made').exists():
        return
    shutil.rmtree(paths.CEPH_DATA, ignore_errors=True)
    folder.mkdir(parents=True)
    (paths.CEPH_DATA / 'crash').mkdir()
    address = plan.server(Link.STORAGE)
    map_file = paths.CEPH_DATA / 'monmap'
    _call(
        *('monmaptool', '--create', '--fsid', cluster_id(plan), '--set-min-mon-release', '16'),
        *('--addv', 'a', f'[v2:{address}:3300,v1:{address}:6789]', str(map_file)),
    )
    keys = paths.KEYRINGS / 'all'
    _call(
        *('ceph-mon', '--mkfs', '-i', 'a', '-c', str(paths.CEPH_SERVER_CONF)),
        *('--monmap', str(map_file), '--keyring', str(keys)),
    )
    (folder / 'made').touch()


def prepare_manager() -> None:
    """Make the manager's folder."""
    (paths.CEPH_DATA / 'mgr').mkdir(exist_ok=True)


def prepare_disk(plan: Plan) -> None:
    """Make the disk, a sparse file, whole or not at all; the monitor answers."""
    folder = paths.CEPH_DATA / 'osd'
    if (folder / 'made').exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    identity = disk_id(plan)
    ceph('osd', 'new', identity)
    with (folder / 'block').open('wb') as block:
        block.truncate(DISK_BYTES)
    conf = str(paths.CEPH_SERVER_CONF)
    _call('ceph-osd', '--mkfs', '-i', '0', '--osd-uuid', identity, '-c', conf, '--no-mon-config')
    (folder / 'made').touch()


def make_pools() -> None:
    """Make the pools that are missing, and ready for images; all daemons run."""
    there = ceph('osd', 'pool', 'ls').split()
    for pool in POOLS:
        if pool not in there:
            ceph('osd', 'pool', 'create', pool, _PLACEMENT_GROUPS)
        _call('rbd', '-c', str(paths.CEPH_CONF), '--id', 'admin', 'pool', 'init', pool)


def monitor_answers() -> bool:
    """Tell whether the monitor takes commands."""
    return bool(_ask('status'))


def manager_is_active(pid: int | None) -> bool:
    """Tell whether this process is the manager that works, and has seen the disk.

    Before that pools seem to have no room. What the monitor remembers of an earlier process does
    not count; an address of Ceph has the process's id in it.
    """
    manager, status = _ask('mgr', 'dump'), _ask('status')
    if not (manager and status):
        return False
    nonces = {address['nonce'] for address in manager['active_addrs']['addrvec']}
    has_seen_disk = status['pgmap']['bytes_total'] > 0 or status['osdmap']['num_up_osds'] == 0
    return bool(manager['available'] and pid in nonces and has_seen_disk)


def disk_is_up(pid: int | None) -> bool:
    """Tell whether this process is the disk's that takes data."""
    found = _ask('osd', 'dump')
    return any(
        disk['up'] and disk['public_addr'].endswith(f'/{pid}') for disk in found.get('osds', ())
    )


def _ask(*what: str) -> dict[str, Any]:
    """Return what the monitor says; nothing when it does not answer."""
    try:
        found: dict[str, Any] = json.loads(ceph(*what, '--format', 'json', seconds=15))
    except problems.Problem:
        return {}
    return found


def ceph(*command: str, seconds: float = _PATIENCE_SECONDS) -> str:
    """Carry out one command of Ceph's administrator from the root namespace."""
    limit = f'--connect-timeout={max(1, int(seconds) - 5)}'
    conf = str(paths.CEPH_CONF)
    return _call('ceph', '-c', conf, '--id', 'admin', limit, *command, seconds=seconds)


def _call(*command: str, seconds: float = _PATIENCE_SECONDS) -> str:
    """Run a program of Ceph.

    :raises problems.Problem: it failed, or did not end in time: without a monitor it never would.
    """
    what = ' '.join(command[:4])
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as exc:
        raise problems.Problem(f'{what} did not end within {seconds:.0f} s') from exc
    if done.returncode:
        raise problems.Problem(f'{what} failed', details=done.stderr[-2000:])
    return done.stdout


def _uuid(plan: Plan, what: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f'{what}.{plan.base}.heat-ha.lab'))
