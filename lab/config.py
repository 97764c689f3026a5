# SPDX-License-Identifier: Apache-2.0
"""Write every configuration file of the lab from ``templates``.

Files are written again at each ``up``: they depend only on the checkout, the ports and what is
installed.
Fragments whose names begin with ``_`` are sections that many services share.
"""

import base64
import hashlib
import json
import pathlib
from collections.abc import Mapping

from lab import filling, layout, ports, regions
from lab.real import config as real_config
from lab.real import kind

# What the tier with real guests has otherwise.
_PLAIN = {
    'mechanism_driver': 'fake_agent',
    'volume_backends': 'fake',
    'default_volume_type': 'fake',
    'rbd_backend': '',
    'checked_networks': '10.20.0.0/16',
}

AGENTS_POLICY = layout.ROOT / 'etc' / 'heat_ha' / 'rabbitmq_policy.json.sample'


def write_all(block: ports.Ports) -> None:
    """Write the files of all services of all regions."""
    common = _common(block)
    _write('mariadb/mariadb.cnf', 'mariadb.cnf', common)
    _put('mariadb/init.sql', _init_sql())
    _write('rabbitmq/rabbitmq.conf', 'rabbitmq.conf', common)
    _put('rabbitmq/definitions.json', json.dumps(_definitions(), indent=2))
    _put('rabbitmq/enabled_plugins', '[].\n')
    _write('keystone/keystone.conf', 'keystone.conf', common)
    apart_keystone = {
        **common,
        'keystone': 'keystone_two',
        'keystone_url': block.url('keystone', regions.TWO.key),
    }
    _write('keystone_two/keystone.conf', 'keystone.conf', apart_keystone)
    _write('glance/glance-api.conf', 'glance-api.conf', common, user='glance')
    _write('neutron/neutron.conf', 'neutron.conf', common, user='neutron')
    _write('neutron/ml2_conf.ini', 'ml2_conf.ini', common)
    _write('aodh/aodh.conf', 'aodh.conf', common, user='aodh')
    _write('ceilometer/ceilometer.conf', 'ceilometer.conf', common, user='ceilometer')
    _write('ceilometer/event_pipeline.yaml', 'event_pipeline.yaml', common)
    for region in regions.ALL:
        _write_region(region, block, common)
    _write('barbican/barbican.conf', 'barbican.conf', common, user='barbican')
    # Their APIs take no argument and no variable for their files: they look in the home folder.
    for name in ('aodh', 'barbican'):
        home = layout.HOME / f'.{name}'
        home.mkdir(exist_ok=True)
        (home / f'{name}.conf').write_text((layout.ETC / name / f'{name}.conf').read_text())
    _make_data_folders()
    if kind.is_real():
        real_config.write_all(block)
    layout.CLOUDS.write_text(filling.fill('clouds.yaml', common))


def _write_region(region: regions.Region, block: ports.Ports, common: Mapping[str, str]) -> None:
    """Write what a region has for itself."""
    own = {
        **common,
        'region': region.key,
        'region_name': region.name,
        'bus': regions.bus_url(block, region.key),
        'heat_cfn_url': block.url('heat-api-cfn', region.key),
    }
    _write(f'{region.key}/placement/placement.conf', 'placement.conf', own, user='placement')
    _write(f'{region.key}/nova/nova.conf', 'nova.conf', own, user='nova')
    _write(f'{region.key}/nova/nova-database.conf', 'nova-database.conf', own)
    _write(f'{region.key}/cinder/cinder.conf', 'cinder.conf', own, user='cinder')
    for_heat = own
    if region is regions.TWO and layout.APART.exists():
        for_heat = {**own, 'keystone_url': block.url('keystone', region.key)}
    _write(f'{region.key}/heat/heat.conf', 'heat.conf', for_heat, user='heat')
    _write(f'{region.key}/nova/policy.yaml', 'nova-policy.yaml', own)
    rescue_login = filling.fill('_login.conf', {**own, 'user': 'heat-ha-rescue'}).rstrip()
    with_rescue = {**own, 'rescue_login': rescue_login}
    _write(f'{region.key}/heat/heat_ha.conf', 'heat_ha.conf', with_rescue, user='heat-ha')
    for host in region.computes:
        _write(f'{region.key}/nova/{host}.conf', 'nova-compute.conf', {**own, 'host': host})
    for engine in region.engines:
        _write(f'{region.key}/heat/{engine}.conf', 'heat-engine.conf', {**own, 'engine': engine})


def _common(block: ports.Ports) -> dict[str, str]:
    """Return what templates of every service may name."""
    plugin_dirs = [str(folder) for folder in layout.heat_plugin_dirs() if folder.is_dir()]
    return {
        'data': str(layout.DATA),
        'etc': str(layout.ETC),
        'run': str(layout.RUN),
        'tmp': str(layout.TMP),
        'venv': str(layout.VENV),
        'password': regions.PASSWORD,
        'database': regions.database_url(block),
        'mariadb_port': str(block.of('mariadb')),
        'rabbitmq_port': str(block.of('rabbitmq')),
        'keystone': 'keystone',
        'keystone_url': block.url('keystone'),
        'cache': f'{ports.ADDRESS}:{block.of("memcached")}',
        'barbican_url': block.url('barbican-api'),
        'glance_url': block.url('glance-api'),
        'bus_shared': regions.bus_url(block, regions.SHARED_BUS),
        'bus_one': regions.bus_url(block, regions.ONE.key),
        'bus_two': regions.bus_url(block, regions.TWO.key),
        'plugin_dirs': ','.join(plugin_dirs),
        **(real_config.for_shared(block) if kind.is_real() else _PLAIN),
    }


def _write(target: str, template: str, values: Mapping[str, str], user: str = '') -> None:
    """Fill one template; ``user`` is the service's own user for the shared sections."""
    values = dict(values)
    if user:
        values['user'] = user
        values['service_login'] = filling.fill('_login.conf', values).rstrip()
        values['authtoken'] = filling.fill('_authtoken.conf', values)
        values['service_user'] = filling.fill('_service_user.conf', values)
    _put(target, filling.fill(template, values))


def _put(target: str, text: str) -> None:
    path = layout.ETC / target
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _init_sql() -> str:
    """Return what MariaDB carries out at each start: the lab's user."""
    return (
        f"CREATE USER IF NOT EXISTS 'lab'@'{ports.ADDRESS}' IDENTIFIED BY '{regions.PASSWORD}';\n"
        f"GRANT ALL PRIVILEGES ON *.* TO 'lab'@'{ports.ADDRESS}';\n"
    )


def _definitions() -> dict[str, object]:
    """Return what RabbitMQ loads at its start: user, virtual hosts and a limit for queues."""
    virtual_hosts = [regions.SHARED_BUS, *(region.key for region in regions.ALL)]
    salt = b'lab0'
    digest = hashlib.sha256(salt + regions.PASSWORD.encode()).digest()
    return {
        'users': [
            {
                'name': 'lab',
                'password_hash': base64.b64encode(salt + digest).decode(),
                'hashing_algorithm': 'rabbit_password_hashing_sha256',
                'tags': 'administrator',
            }
        ],
        'vhosts': [{'name': name} for name in virtual_hosts],
        'permissions': [
            {'user': 'lab', 'vhost': name, 'configure': '.*', 'write': '.*', 'read': '.*'}
            for name in virtual_hosts
        ],
        # Notifications that nobody fetches must not pile up: the versioned ones, unless somebody
        # listens.
        'policies': [
            {
                'vhost': name,
                'name': 'notifications',
                'pattern': 'notifications\\.',
                'apply-to': 'queues',
                'definition': {'max-length': 5000},
                'priority': 1,
            }
            for name in virtual_hosts
        ]
        # What the documents ask an operator to set for the agents of heat-ha.
        + [
            {**policy, 'vhost': name}
            for policy in json.loads(AGENTS_POLICY.read_text())['policies']
            for name in virtual_hosts
        ],
    }


def _make_data_folders() -> None:
    """Create the folders that services expect to find."""
    folders = [layout.DATA / 'glance' / part for part in ('images', 'tasks', 'staging')] + [
        layout.DATA / name for name in ('keystone', 'keystone_two', 'neutron', 'rabbitmq')
    ]
    for region in regions.ALL:
        own = layout.DATA / region.key
        folders += [own / 'placement', own / 'nova', own / 'cinder' / 'coordination']
        folders += [own / host for host in region.computes]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)


def sources() -> list[pathlib.Path]:
    """Return the files that decide how the configuration looks."""
    return sorted(layout.TEMPLATES.iterdir())
