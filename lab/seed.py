# SPDX-License-Identifier: Apache-2.0
"""Fill the empty cloud: users, catalogue, image, flavors, networks, volume type.

Each step looks before it creates, so one that was cut off is done again without harm.
"""

from collections.abc import Mapping, Sequence

from lab import database, layout, ports, regions, rest, stamps
from lab.progress import Progress

# ha_observer may list Nova's services and nothing else: the credential of heat-ha.
_OBSERVER = 'ha_observer'
# Evacuating takes an administrator: the credential of heat-ha's agent, and of its rescues.
_RESCUER = 'heat-ha-rescue'
_KEYSTONE_ROLES = ('service', 'member', 'reader', 'creator')
_ROLES = (_OBSERVER, *_KEYSTONE_ROLES, 'heat_stack_owner', 'heat_stack_user')
_SERVICE_USERS = ('glance', 'neutron', 'placement', 'nova', 'cinder', 'heat', 'aodh', 'ceilometer')
_TINY_IMAGE_BYTES = 1024 * 1024


def identity(progress: Progress, block: ports.Ports) -> None:
    """Create users, roles and the catalogue. Needs Keystone alone."""
    if _is_done('seed-identity'):
        return
    with progress.phase('Users and catalogue'):
        admin = rest.Cloud(block, 'admin', regions.ONE.name)
        _Identity(admin).fill(_SERVICE_USERS, {r.name: catalogue(r, block) for r in regions.ALL})
    _mark('seed-identity')


def own_identity(block: ports.Ports, which: regions.Region) -> None:
    """Create users, roles and the catalogue in a region's own Keystone, for Heat alone."""
    admin = rest.Cloud(block, 'admin', which.name, which.key)
    found = [
        one for one in catalogue(which, block) if one[0] in ('orchestration', 'cloudformation')
    ]
    found.append(('identity', 'keystone', block.url('keystone', which.key, '/v3')))
    _Identity(admin).fill(('heat',), {which.name: found})


def secrets(block: ports.Ports) -> None:
    """Create Barbican's user, and its address in the shared catalogue."""
    admin = rest.Cloud(block, 'admin', regions.ONE.name)
    found = [('key-manager', 'barbican', block.url('barbican-api'))]
    _Identity(admin).fill(('barbican',), {r.name: found for r in regions.ALL})


def shared(progress: Progress, block: ports.Ports) -> None:
    """Create the image and the networks, which both regions use."""
    if _is_done('seed-shared'):
        return
    with progress.phase('Image and networks'):
        admin = rest.Cloud(block, 'admin', regions.ONE.name)
        demo = rest.Cloud(block, 'demo', regions.ONE.name)
        _image(admin)
        _networks(admin, demo)
    _mark('seed-shared')


def wake_network(block: ports.Ports) -> None:
    """Send Neutron its first request.

    With it Neutron reads its access rules; others that come meanwhile are shown no network.
    """
    rest.Cloud(block, 'demo', regions.ONE.name).get('network', '/v2.0/networks')


def region(progress: Progress, block: ports.Ports, which: regions.Region) -> None:
    """Create what a region has for itself: flavors and the volume type."""
    stamp = f'seed-{which.key}'
    if _is_done(stamp):
        return
    with progress.phase(f'Flavors and volume type of {which.name}'):
        admin = rest.Cloud(block, 'admin', which.name)
        _flavors(admin)
        _volume_type(admin)
    _mark(stamp)


def is_complete(wanted: Sequence[regions.Region]) -> bool:
    """Tell whether nothing is left to fill."""
    steps = ('seed-identity', 'seed-shared', *(f'seed-{region.key}' for region in wanted))
    return all(_is_done(step) for step in steps)


def _is_done(stamp: str) -> bool:
    return stamps.is_set(layout.DATA_STAMPS, stamp, _version())


def _mark(stamp: str) -> None:
    stamps.put(layout.DATA_STAMPS, stamp, _version())


def _version() -> str:
    """Return what makes a finished step due again: a change of this module."""
    return stamps.digest(layout.SOURCES / 'seed.py', layout.SOURCES / 'regions.py')


def hosts_are_mapped(which: regions.Region, hosts: Sequence[str]) -> bool:
    """Tell whether Nova's scheduler has found these compute hosts of the region."""
    found = database.query(f'SELECT host FROM nova_api_{which.key}.host_mappings')
    return {row[0] for row in found} >= set(hosts)


class _Identity:
    """Fills Keystone. Keeps the ids of what is there already by kind and name."""

    def __init__(self, admin: rest.Cloud) -> None:
        self._admin = admin
        self._ids = {
            kind: {item['name']: item['id'] for item in admin.get('identity', f'/{kind}')[kind]}
            for kind in ('domains', 'projects', 'roles', 'services', 'users')
        }

    def fill(
        self, services: Sequence[str], endpoints: Mapping[str, Sequence[tuple[str, str, str]]]
    ) -> None:
        """Create all of it; ``services`` are users, ``endpoints`` are by region."""
        for role in _ROLES:
            self._ensure('roles', role, {})
        self._ensure('projects', 'service', {'domain_id': 'default'})
        self._ensure('projects', 'demo', {'domain_id': 'default'})
        for user in (*services, 'demo', 'heat-ha', _RESCUER):
            self._ensure('users', user, {'domain_id': 'default', 'password': regions.PASSWORD})
        for user in services:
            self._grant(user, 'service', ('admin', 'service'))
        self._grant('demo', 'demo', ('member', 'heat_stack_owner'))
        self._grant('heat-ha', 'service', (_OBSERVER,))
        self._grant(_RESCUER, 'service', ('admin',))
        self._heat_domain()
        self._catalogue(endpoints)

    def _heat_domain(self) -> None:
        """Make the domain in which Heat keeps the users that it creates for stacks."""
        self._ensure('domains', 'heat', {})
        domain = self._ids['domains']['heat']
        name = 'heat_domain_admin'
        self._ensure('users', name, {'domain_id': domain, 'password': regions.PASSWORD})
        user, role = self._ids['users'][name], self._ids['roles']['admin']
        self._admin.put('identity', f'/domains/{domain}/users/{user}/roles/{role}')

    def _catalogue(self, endpoints: Mapping[str, Sequence[tuple[str, str, str]]]) -> None:
        known_regions = {item['id'] for item in self._admin.get('identity', '/regions')['regions']}
        for region in endpoints:
            if region not in known_regions:
                self._admin.post('identity', '/regions', {'region': {'id': region}})
        known = {
            (item['service_id'], item['region_id'], item['interface'])
            for item in self._admin.get('identity', '/endpoints')['endpoints']
        }
        for region, wanted in endpoints.items():
            for kind, name, url in wanted:
                self._ensure('services', name, {'type': kind})
                service = self._ids['services'][name]
                for interface in ('public', 'internal', 'admin'):
                    if (service, region, interface) in known:
                        continue
                    endpoint = {
                        'service_id': service,
                        'region_id': region,
                        'interface': interface,
                        'url': url,
                    }
                    self._admin.post('identity', '/endpoints', {'endpoint': endpoint})

    def _ensure(self, kind: str, name: str, values: rest.Json) -> None:
        if name in self._ids[kind]:
            return
        one = kind.removesuffix('s')
        made = self._admin.post('identity', f'/{kind}', {one: {'name': name, **values}})
        self._ids[kind][name] = made[one]['id']

    def _grant(self, user: str, project: str, roles: tuple[str, ...]) -> None:
        user_id, project_id = self._ids['users'][user], self._ids['projects'][project]
        for role in roles:
            path = f'/projects/{project_id}/users/{user_id}/roles/{self._ids["roles"][role]}'
            self._admin.put('identity', path)


def catalogue(which: regions.Region, block: ports.Ports) -> list[tuple[str, str, str]]:
    """Return type, name and address of every service that a region's users find."""
    key, project = which.key, '%(tenant_id)s'
    return [
        ('identity', 'keystone', block.url('keystone', path='/v3')),
        ('image', 'glance', block.url('glance-api')),
        ('network', 'neutron', block.url('neutron-api')),
        ('alarming', 'aodh', block.url('aodh-api')),
        ('placement', 'placement', block.url('placement', key)),
        ('compute', 'nova', block.url('nova-api', key, '/v2.1')),
        ('block-storage', 'cinder', block.url('cinder-api', key, f'/v3/{project}')),
        ('volumev3', 'cinderv3', block.url('cinder-api', key, f'/v3/{project}')),
        ('orchestration', 'heat', block.url('heat-api', key, f'/v1/{project}')),
        ('cloudformation', 'heat-cfn', block.url('heat-api-cfn', key, '/v1')),
    ]


def _image(admin: rest.Cloud) -> None:
    images = admin.get('image', '/v2/images?name=tiny')['images']
    if any(image['status'] == 'active' for image in images):
        return
    image = (
        images[0]
        if images
        else admin.post(
            'image',
            '/v2/images',
            {
                'name': 'tiny',
                'disk_format': 'raw',
                'container_format': 'bare',
                'visibility': 'public',
            },
        )
    )
    admin.put('image', f'/v2/images/{image["id"]}/file', b'\0' * _TINY_IMAGE_BYTES)


def _networks(admin: rest.Cloud, demo: rest.Cloud) -> None:
    """Create the tenant's network, the outer one for floating addresses, a router between."""
    _neutron_agents()
    private = _ensure_network(demo, 'private', {})
    subnet = _ensure_subnet(demo, private, 'private', {'cidr': '10.20.0.0/16'})
    public = _ensure_network(
        admin,
        'public',
        {
            'router:external': True,
            'shared': False,
            'provider:network_type': 'flat',
            'provider:physical_network': 'public',
        },
    )
    _ensure_subnet(admin, public, 'public', {'cidr': '172.24.0.0/16', 'enable_dhcp': False})
    routers = demo.get('network', '/v2.0/routers?name=router')['routers']
    if routers:
        return
    made = demo.post(
        'network',
        '/v2.0/routers',
        {'router': {'name': 'router', 'external_gateway_info': {'network_id': public}}},
    )
    path = f'/v2.0/routers/{made["router"]["id"]}/add_router_interface'
    demo.put('network', path, {'subnet_id': subnet})


def _neutron_agents() -> None:
    """Enter a network agent for each compute host, alive for ever: ports bind without any agent."""
    configuration = (
        '{"tunnel_types": ["vxlan"], "interface_mappings": {"public": "br-public"},'
        ' "tunneling_ip": "127.0.0.1"}'
    )
    for which in regions.ALL:
        for host in which.computes:
            database.query(
                f"DELETE FROM neutron.agents WHERE host = '{host}';"
                'INSERT INTO neutron.agents (id, agent_type, `binary`, topic, host, admin_state_up,'
                ' created_at, started_at, heartbeat_timestamp, configurations, `load`) VALUES'
                f" (UUID(), 'OFA driver agent', 'fake-agent', 'N/A', '{host}', 1,"
                f" NOW(), NOW(), '2099-01-01 00:00:00', '{configuration}', 0)"
            )


def _ensure_network(cloud: rest.Cloud, name: str, values: rest.Json) -> str:
    found = cloud.get('network', f'/v2.0/networks?name={name}')['networks']
    if found:
        return found[0]['id']
    made = cloud.post('network', '/v2.0/networks', {'network': {'name': name, **values}})
    return made['network']['id']


def _ensure_subnet(cloud: rest.Cloud, network: str, name: str, values: rest.Json) -> str:
    found = cloud.get('network', f'/v2.0/subnets?network_id={network}')['subnets']
    if found:
        return found[0]['id']
    body = {'name': name, 'network_id': network, 'ip_version': 4, **values}
    return cloud.post('network', '/v2.0/subnets', {'subnet': body})['subnet']['id']


def _flavors(admin: rest.Cloud) -> None:
    known = {flavor['name'] for flavor in admin.get('compute', '/flavors')['flavors']}
    for name, memory in (('m1.tiny', 64), ('m1.small', 512)):
        if name not in known:
            # Without a disk Nova refuses the flavor to tenants.
            flavor = {'name': name, 'ram': memory, 'vcpus': 1, 'disk': 1}
            admin.post('compute', '/flavors', {'flavor': flavor})


def _volume_type(admin: rest.Cloud) -> None:
    known = {kind['name'] for kind in admin.get('block-storage', '/types')['volume_types']}
    if 'fake' not in known:
        kind = {'name': 'fake', 'extra_specs': {'volume_backend_name': 'fake'}}
        admin.post('block-storage', '/types', {'volume_type': kind})
