# SPDX-License-Identifier: Apache-2.0
"""Bring the lab up from whatever state it is in. Each phase does only what is not done yet."""

import time
from collections.abc import Sequence

from lab import (
    apart,
    boot,
    config,
    database,
    facts,
    golden,
    layout,
    packages,
    plugin,
    ports,
    problems,
    processes,
    regions,
    schemas,
    seed,
    services,
)
from lab.progress import Progress
from lab.real import ceph, kind, names, seeding
from lab.real import packages as real_packages
from lab.real.addresses import HOSTS
from lab.service import Service

_MAPPING_PATIENCE_SECONDS = 60


def run(block: ports.Ports, wanted: Sequence[regions.Region], *, real: bool = False) -> None:
    """Install, configure, start and fill what is missing of the wanted regions.

    :param real: whether with real guests.
    """
    progress = Progress()
    _check_socket_path()
    layout.make_folders()
    _refuse_other_kind(block, real)
    packages.install(progress)
    if real:
        real_packages.install(progress)
    is_heat_ha_new = plugin.install(progress)
    ports.settle(block)
    kind.become(real, block.base)
    layout.make_folders()
    apart.end(block, starts_heat=False)
    golden.restore(progress, block, wanted)
    config.write_all(block)
    facts.write(block)
    database.make_data_folder()
    schemas.check_versions()

    if is_heat_ha_new:
        _stop_heat(block)
    table = services.of_regions(services.table(block), {region.key for region in wanted})
    by_name = {service.name: service for service in table}
    is_new = not seed.is_complete(wanted)
    if is_new:
        boot.start_all(progress, [by_name[n] for n in ('mariadb', 'rabbitmq', 'memcached')])
        schemas.sync(progress, block, wanted)
        boot.start_all(progress, [by_name['keystone']])
        seed.identity(progress, block)
    if real:
        # Cinder looks for its pool when it starts.
        boot.start_all(progress, [by_name[name] for name in names.CEPH])
        ceph.make_pools()
    boot.start_all(progress, table)
    if is_new:
        seed.shared(progress, block)
        for region in wanted:
            seed.region(progress, block, region)
    # Also where only a second region is new: nothing asks for a network then.
    seed.wake_network(block)
    if real:
        seeding.fill(progress, block)
    for region in wanted:
        _wait_for_hosts(region, HOSTS if real else region.computes)
    if is_new:
        golden.save(progress, block, wanted)
    progress.summary()
    _say_where(progress, table)


def reload(block: ports.Ports) -> None:
    """Bring a changed heat-ha into the running lab: only Heat's own programs are started again."""
    progress = Progress()
    plugin.install(progress, force=True)
    config.write_all(block)
    boot.start_all(progress, _stop_heat(block))
    progress.summary()


def _stop_heat(block: ports.Ports) -> list[Service]:
    """Stop Heat's programs, which have loaded an older heat-ha, and return them.

    Those that died are among them: the older heat-ha may have been the reason.
    """
    stopped = processes.State.STOPPED
    found = [
        service
        for service in services.table(block)
        if service.name.startswith('heat-') and processes.look(service.name).state is not stopped
    ]
    processes.stop([service.name for service in found], seconds=4)
    return found


def _check_socket_path() -> None:
    length = len(str(layout.DATABASE_SOCKET))
    if length > layout.LONGEST_SOCKET_PATH:
        raise problems.Problem(
            f"the checkout's path is too long for a socket in it ({length} characters)",
            'move the checkout to a shorter path',
        )


def _refuse_other_kind(block: ports.Ports, real: bool) -> None:
    """Refuse to start one kind of lab while the other one runs.

    :raises problems.Problem: it does.
    """
    runs = any(processes.look(service.name).group for service in services.table(block))
    if kind.is_real() != real and runs:
        raise problems.Problem('a lab of the other kind runs', 'stop it: python3 -m lab down')


def _wait_for_hosts(region: regions.Region, hosts: Sequence[str]) -> None:
    """Wait until Nova can schedule to each host: its scheduler looks every ten seconds."""
    deadline = time.monotonic() + _MAPPING_PATIENCE_SECONDS
    while not seed.hosts_are_mapped(region, hosts):
        if time.monotonic() > deadline:
            raise problems.Problem(
                f"Nova's scheduler did not find the hosts of {region.name}",
                f'look at {layout.log_of(f"nova-scheduler-{region.key}")}',
            )
        time.sleep(0.5)


def _say_where(progress: Progress, table: Sequence[Service]) -> None:
    memory = sum(processes.look(service.name).memory_kib for service in table)
    shown = layout.CLOUDS.relative_to(layout.ROOT)
    progress.say('')
    progress.say(f'{len(table)} services run, {memory / 2**20:.1f} GiB of memory. Try:')
    progress.say(
        f'  OS_CLIENT_CONFIG_FILE={shown} .lab/venv/bin/openstack --os-cloud demo stack list'
    )
