# SPDX-License-Identifier: Apache-2.0
"""The table of what runs in the tier with real guests beside the plain lab's services."""

import dataclasses
import functools
import subprocess
from collections.abc import Sequence

from lab import layout, ports, processes, readiness, regions
from lab.real import ceph, names, network, paths, power
from lab.real.addresses import HOSTS, Link, Plan
from lab.service import Service, program

_VIRSH_SECONDS = 30


def with_real(plain: Sequence[Service], block: ports.Ports) -> list[Service]:
    """Return the table of the tier: the plain one, adapted, and what only the tier has."""
    plan = Plan(block.base)
    return [*_ceph(plan), *map(_adapted, plain), _relay(block, plan), *_hosts(block, plan)]


def _adapted(service: Service) -> Service:
    """Return a service of the plain lab as it is in the tier."""
    fakes = {f'nova-compute-{host}' for region in regions.ALL for host in region.computes}
    if service.name in fakes:
        # Its scheduler would mix both kinds of hosts.
        return dataclasses.replace(service, is_option=True)
    if service.name != f'cinder-volume-{regions.ONE.key}':
        return service
    key = regions.ONE.key
    rbd = readiness.cinder_service(key, 'cinder-volume', f'cinder-{key}@rbd')
    return dataclasses.replace(
        service,
        needs=(*service.needs, *names.CEPH),
        ready=lambda since: service.ready(since) and rbd(since),
    )


def _ceph(plan: Plan) -> list[Service]:
    return [
        _daemon(
            plan,
            Service(
                name='ceph-mon',
                command=('ceph-mon', '-i', 'a'),
                ready=lambda _since: ceph.monitor_answers(),
                prepare=functools.partial(_prepare_monitor, plan),
            ),
        ),
        _daemon(
            plan,
            Service(
                name='ceph-osd',
                command=('ceph-osd', '-i', '0'),
                ready=lambda _since: ceph.disk_is_up(processes.look('ceph-osd').group),
                needs=('ceph-mon',),
                prepare=functools.partial(ceph.prepare_disk, plan),
            ),
        ),
        _daemon(
            plan,
            Service(
                name='ceph-mgr',
                command=('ceph-mgr', '-i', 'a'),
                ready=lambda _since: ceph.manager_is_active(processes.look('ceph-mgr').group),
                needs=('ceph-mon',),
                prepare=ceph.prepare_manager,
            ),
        ),
    ]


def _daemon(plan: Plan, service: Service) -> Service:
    """Put a daemon of Ceph into the namespace of the storage, in front."""
    inside = ('nsenter', f'--net=/run/netns/{plan.middle(Link.STORAGE)}')
    return dataclasses.replace(
        service,
        command=(*inside, *service.command, '-f', '-c', str(paths.CEPH_SERVER_CONF)),
        region=regions.ONE.key,
        # It writes down what it has in memory.
        stop_seconds=30,
    )


def _prepare_monitor(plan: Plan) -> None:
    network.make_middle(plan)
    ceph.prepare_monitor(plan)


def _switch_on(plan: Plan, host: str) -> None:
    # What a lost keeper has left behind ends with the host's last life.
    power.cut_off(plan, host)
    network.plug_in(plan, host)


def _relay(block: ports.Ports, plan: Plan) -> Service:
    """Return what leads the hosts to the control plane, see ``relays``."""
    bus = block.of('rabbitmq')
    return Service(
        name=names.RELAY,
        command=('haproxy', '-db', '-f', str(paths.RELAY_CONF)),
        ready=lambda _since: network.listens(plan.middle(Link.MANAGEMENT), bus),
        # It makes the network.
        needs=('ceph-mon',),
        region=regions.ONE.key,
    )


def _hosts(block: ports.Ports, plan: Plan) -> list[Service]:
    return [service for host in HOSTS for service in _host(block, plan, host)]


def _host(block: ports.Ports, plan: Plan, host: str) -> list[Service]:
    """Return a host: what keeps it, relay, ports, libvirtd and an unmodified nova-compute."""
    keeper, relay, taps, libvirtd, compute = names.of_host(host)
    key, bus = regions.ONE.key, block.of('rabbitmq')
    nova = layout.ETC / key / 'nova' / 'nova.conf'
    files = ('--config-file', str(nova), '--config-file', str(paths.compute_conf_of(host)))
    return [
        Service(
            name=keeper,
            command=(
                *('nsenter', f'--net=/run/netns/{plan.namespace(host)}'),
                *('unshare', '--mount', '--uts', '--propagation', 'private'),
                *('/bin/sh', str(paths.LAUNCHERS / 'host.sh'), host, str(paths.of_host(host))),
            ),
            ready=lambda _since: _is_kept(host),
            needs=('ceph-mon',),
            region=key,
            prepare=functools.partial(_switch_on, plan, host),
        ),
        Service(
            name=relay,
            command=_inside(host, 'haproxy', '-db', '-f', str(paths.relay_conf_of(host))),
            ready=lambda _since: network.listens(plan.namespace(host), bus),
            needs=(keeper, names.RELAY),
            region=key,
        ),
        Service(
            name=taps,
            command=_inside(host, '/bin/sh', str(paths.LAUNCHERS / 'ports.sh')),
            ready=lambda _since: True,
            needs=(keeper,),
            region=key,
        ),
        Service(
            name=libvirtd,
            command=_inside(
                *(host, 'libvirtd', '-f', '/etc/libvirt/libvirtd.conf'),
                *('-p', '/run/libvirtd.pid'),
            ),
            ready=lambda _since: _libvirt_answers(host),
            needs=(keeper,),
            region=key,
        ),
        Service(
            name=compute,
            command=_inside(host, program('nova-compute'), *files),
            ready=readiness.nova_service(key, 'nova-compute', host),
            needs=(relay, taps, libvirtd, *names.CEPH, f'nova-conductor-{key}', f'placement-{key}'),
            region=key,
        ),
    ]


def enter(host: str) -> str:
    """Return the words of a shell that run a program in a host's namespaces."""
    record = layout.RUN / f'host-{host}.pid'
    return f'nsenter -t "$(cat {record})" -n -m -u --'


def _inside(host: str, *command: str) -> tuple[str, ...]:
    """Return the command that runs a program in a host's namespaces, in place of the shell."""
    return ('/bin/sh', '-c', f'exec {enter(host)} "$@"', 'inside', *command)


def _is_kept(host: str) -> bool:
    """Tell whether the host has its name and folders: its first process has become a sleep."""
    try:
        pid = (layout.RUN / f'host-{host}.pid').read_text().strip()
        with open(f'/proc/{pid}/comm') as command:
            return command.read().strip() == 'sleep'
    except OSError:
        return False


def _libvirt_answers(host: str) -> bool:
    ask = _inside(host, 'virsh', '-q', '-c', 'qemu:///system', 'list', '--all')
    try:
        return subprocess.run(ask, capture_output=True, timeout=_VIRSH_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False
