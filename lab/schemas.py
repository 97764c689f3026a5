# SPDX-License-Identifier: Apache-2.0
"""Create the databases of all services, a few at a time.

A schema sync is mostly the start of a big Python program. Each one leaves its stamp beside the
database; without it the database is made again, because a migration that was cut off cannot go on.
"""

import concurrent.futures
import os
import subprocess
import time
from collections.abc import Callable, Sequence

from lab import database, layout, ports, problems, regions, service, stamps
from lab.progress import Progress

# Two cores; the third fills the pauses in which another one waits for the database.
PARALLEL = int(os.environ.get('LAB_PARALLEL', '3'))

Step = Callable[[], None]


def check_versions() -> None:
    """Refuse databases that other versions of the services have made.

    :raises problems.Problem: when there is one.
    """
    made = [path for path in layout.DATA_STAMPS.glob('schema-*') if path.is_file()]
    if any(path.read_text() != _version() for path in made):
        raise problems.Problem(
            "the lab's databases were made with other versions of the services",
            'make them new, which forgets all stacks and servers: python3 -m lab reset',
        )


def sync(progress: Progress, block: ports.Ports, wanted: Sequence[regions.Region]) -> None:
    """Bring all schemas of the shared services and of the wanted regions about."""
    steps = _missing(block, wanted)
    if not steps:
        return
    with (
        progress.phase('Database schemas', len(steps)),
        concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool,
    ):
        running = {pool.submit(_timed, step): name for name, step in steps.items()}
        try:
            for future in concurrent.futures.as_completed(running):
                name = running[future]
                seconds = future.result()
                stamps.put(layout.DATA_STAMPS, name, _version())
                progress.step(f'{name} ready', seconds)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _missing(block: ports.Ports, wanted: Sequence[regions.Region]) -> dict[str, Step]:
    """Return the steps that are not done yet."""
    return {
        name: step
        for name, step in _steps(block, wanted).items()
        if not stamps.is_set(layout.DATA_STAMPS, name, _version())
    }


def _version() -> str:
    return stamps.digest(layout.SOURCES / 'constraints.txt')


def _timed(step: Step) -> float:
    begin = time.monotonic()
    step()
    return time.monotonic() - begin


def _steps(block: ports.Ports, wanted: Sequence[regions.Region]) -> dict[str, Step]:
    """Return the steps, the longest first: then the last one to end is a short one."""
    steps: dict[str, Step] = {}
    for region in wanted:
        steps[f'schema-nova-{region.key}'] = lambda region=region: _nova(region, block)
    steps['schema-keystone'] = lambda: keystone('keystone', block.url('keystone'), regions.ONE)
    steps['schema-aodh'] = _aodh
    steps['schema-neutron'] = _neutron
    for region in wanted:
        steps[f'schema-heat-{region.key}'] = lambda region=region: _heat(region)
        steps[f'schema-cinder-{region.key}'] = lambda region=region: _cinder(region)
        steps[f'schema-placement-{region.key}'] = lambda region=region: _placement(region)
    steps['schema-glance'] = _glance
    return steps


def keystone(name: str, address: str, region: regions.Region) -> None:
    """Create a Keystone's database, its keys, and the first user with the first endpoint."""
    database.recreate(name)
    file = f'--config-file={layout.ETC}/{name}/keystone.conf'
    # As root, keystone-manage wants to hear that root is really meant.
    owner = ('--keystone-user=root', '--keystone-group=root')
    for folder in ('fernet-keys', 'credential-keys'):
        (layout.DATA / name / folder).mkdir(mode=0o700, exist_ok=True)
    _manage('keystone-manage', file, 'db_sync')
    _manage('keystone-manage', file, 'fernet_setup', *owner)
    _manage('keystone-manage', file, 'credential_setup', *owner)
    url = f'{address}/v3'
    _manage(
        'keystone-manage',
        file,
        'bootstrap',
        f'--bootstrap-password={regions.PASSWORD}',
        f'--bootstrap-region-id={region.name}',
        f'--bootstrap-public-url={url}',
        f'--bootstrap-internal-url={url}',
        f'--bootstrap-admin-url={url}',
    )


def _glance() -> None:
    database.recreate('glance')
    _manage('glance-manage', f'--config-file={layout.ETC}/glance/glance-api.conf', 'db_sync')


def _neutron() -> None:
    database.recreate('neutron')
    files = [
        f'--config-file={layout.ETC}/neutron/{name}' for name in ('neutron.conf', 'ml2_conf.ini')
    ]
    _manage('neutron-db-manage', *files, 'upgrade', 'heads')


def _aodh() -> None:
    database.recreate('aodh')
    _manage('aodh-dbsync', f'--config-file={layout.ETC}/aodh/aodh.conf')


def _placement(region: regions.Region) -> None:
    database.recreate(f'placement_{region.key}')
    file = f'--config-file={layout.ETC}/{region.key}/placement/placement.conf'
    _manage('placement-manage', file, 'db', 'sync')


def _nova(region: regions.Region, block: ports.Ports) -> None:
    """Create Nova's three databases and map its two cells: cell0 holds failed servers only."""
    key = region.key
    for name in (f'nova_api_{key}', f'nova_{key}', f'nova_cell0_{key}'):
        database.recreate(name)
    folder = layout.ETC / key / 'nova'
    files = [f'--config-file={folder / name}' for name in ('nova.conf', 'nova-database.conf')]
    url = regions.database_url(block)
    cell0 = f'--database_connection={url}/nova_cell0_{key}?charset=utf8mb3'
    _manage('nova-manage', *files, 'api_db', 'sync')
    _manage('nova-manage', *files, 'cell_v2', 'map_cell0', cell0)
    _manage('nova-manage', *files, 'db', 'sync')
    _manage('nova-manage', *files, 'cell_v2', 'create_cell', '--name=cell1')


def _cinder(region: regions.Region) -> None:
    database.recreate(f'cinder_{region.key}')
    file = f'--config-file={layout.ETC}/{region.key}/cinder/cinder.conf'
    _manage('cinder-manage', file, 'db', 'sync')


def _heat(region: regions.Region) -> None:
    database.recreate(f'heat_{region.key}')
    file = f'--config-file={layout.ETC}/{region.key}/heat/heat.conf'
    _manage('heat-manage', file, 'db_sync')


def _manage(program: str, *arguments: str) -> None:
    """Run a service's own tool."""
    done = subprocess.run(
        [str(layout.VENV / 'bin' / program), *arguments],
        env=service.base_environment(),
        cwd=layout.HOME,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = '\n'.join((done.stdout + done.stderr).splitlines()[-15:])
        raise problems.Problem(f'{program} {arguments[-1]} failed', details=said)
