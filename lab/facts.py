# SPDX-License-Identifier: Apache-2.0
"""Write ``.lab/env.json``: what tests and benches need to know of the running lab."""

import json

from lab import layout, ports, regions, seed, services
from lab.real import facts as real_facts
from lab.real import kind


def write(block: ports.Ports) -> None:
    """Write addresses, paths and names."""
    facts: dict[str, object] = {
        'port_base': block.base,
        'checkout': str(layout.ROOT),
        'venv': str(layout.VENV),
        'clouds_yaml': str(layout.CLOUDS),
        'etc': str(layout.ETC),
        'log': str(layout.LOG),
        'run': str(layout.RUN),
        'heat_plugin_dirs': [str(folder) for folder in layout.heat_plugin_dirs()],
        'auth_url': block.url('keystone', path='/v3'),
        'password': regions.PASSWORD,
        'database': {
            'url': regions.database_url(block),
            'root_socket': str(layout.DATABASE_SOCKET),
        },
        'bus': {
            name: regions.bus_url(block, name)
            for name in (regions.SHARED_BUS, *(region.key for region in regions.ALL))
        },
        'regions': {
            region.name: {
                'key': region.key,
                'cloud': 'demo' if region is regions.ONE else f'demo-{region.key}',
                'admin_cloud': 'admin' if region is regions.ONE else f'admin-{region.key}',
                'computes': list(region.computes),
                'engines': list(region.engines),
                'bus': regions.bus_url(block, region.key),
                'heat_database': f'{regions.database_url(block)}/heat_{region.key}',
                'urls': {kind: url for kind, _name, url in seed.catalogue(region, block)},
            }
            for region in regions.ALL
        },
        'services': {
            service.name: {
                'region': service.region,
                'port': service.port,
                'log': str(layout.log_of(service.name)),
                'pid_file': str(layout.RUN / f'{service.name}.pid'),
            }
            for service in services.table(block)
        },
    }
    if kind.is_real():
        facts['real'] = real_facts.collect(block)
    layout.ENV_JSON.write_text(json.dumps(facts, indent=2) + '\n')
