# SPDX-License-Identifier: Apache-2.0
"""The table of what runs: each service's command, its needs, and how one sees that it works."""

import pathlib
from collections.abc import Callable

from lab import broker, database, layout, ports, readiness, regions
from lab.real import kind
from lab.real import services as real_services
from lab.service import Service, program


def table(block: ports.Ports) -> list[Service]:
    """Return all services, in an order that respects what each one needs."""
    services = [*_infrastructure(block), *_shared(block)]
    for region in regions.ALL:
        services += _of_region(region, block)
    services += _alarming(block)
    services += _options(block)
    return real_services.with_real(services, block) if kind.is_real() else services


def of_regions(services: list[Service], keys: set[str]) -> list[Service]:
    """Return the shared services and those of the named regions, without what is an option."""
    return [
        service
        for service in services
        if not service.is_option and (service.region is None or service.region in keys)
    ]


def _uwsgi(
    module: str, port: int, arguments: str = '', processes: int = 1, threads: int = 4
) -> tuple[str, ...]:
    """Return the command that serves one WSGI application."""
    command = [
        program('uwsgi'),
        f'--http-socket={ports.ADDRESS}:{port}',
        f'--home={layout.VENV}',
        *([f'--module={module}:application'] if module else []),
        f'--threads={threads}',
        '--enable-threads',
        '--need-app',
        '--die-on-term',
        '--buffer-size=65535',
        '--http-chunked-input',
        # Without it clients keep connections that uwsgi's plain HTTP socket does not serve again.
        '--add-header=Connection: close',
        '--log-date=%Y-%m-%d %H:%M:%S',
    ]
    if processes > 1:
        command += ['--master', f'--processes={processes}', '--lazy-apps']
    if arguments:
        command.append(f'--pyargv={arguments}')
    return tuple(command)


def _infrastructure(block: ports.Ports) -> list[Service]:
    """Return the database, the message bus and Keystone's cache: Debian's, run by hand."""
    cache = block.of('memcached')
    return [
        Service(
            name='mariadb',
            command=('mariadbd', f'--defaults-file={layout.ETC}/mariadb/mariadb.cnf'),
            ready=lambda _since: database.answers(),
            port=block.of('mariadb'),
            stop_seconds=60,
        ),
        _rabbitmq(block),
        Service(
            name='memcached',
            # It takes the user's name from root only, and from root it wants one.
            command=('memcached', '-u', 'root', '-l', ports.ADDRESS, '-p', str(cache), '-m', '64'),
            ready=readiness.memcached(cache),
            port=cache,
        ),
    ]


def _rabbitmq(block: ports.Ports) -> Service:
    home = layout.DATA / 'rabbitmq'
    return Service(
        name='rabbitmq',
        # epmd would make itself a daemon outside of our process group: start it first, inside.
        command=(
            '/bin/sh',
            '-c',
            f'epmd -address {ports.ADDRESS} -port {block.of("epmd")} & '
            f'sleep 0.2; exec /usr/lib/rabbitmq/bin/rabbitmq-server',
        ),
        ready=lambda _since: broker.takes_logins(block.of('rabbitmq')),
        port=block.of('rabbitmq'),
        environment={
            'HOME': str(home),
            'RABBITMQ_HOME': '/usr/lib/rabbitmq',
            'RABBITMQ_NODENAME': f'lab{block.base}@localhost',
            'RABBITMQ_CONF_ENV_FILE': str(layout.ETC / 'rabbitmq/none.conf'),
            'RABBITMQ_CONFIG_FILE': str(layout.ETC / 'rabbitmq/rabbitmq.conf'),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(layout.ETC / 'rabbitmq/enabled_plugins'),
            'RABBITMQ_MNESIA_BASE': str(home / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(home / 'log'),
            'RABBITMQ_DIST_PORT': str(block.of('rabbitmq-dist')),
            'ERL_EPMD_PORT': str(block.of('epmd')),
            'ERL_EPMD_ADDRESS': ports.ADDRESS,
            # Two schedulers that sleep when idle: spinning ones eat this machine's two cores.
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': (
                '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none'
                ' -kernel inet_dist_use_interface {127,0,0,1}'
            ),
        },
        stop_seconds=20,
    )


def _shared(block: ports.Ports) -> list[Service]:
    """Return the services that both regions share."""
    return [
        Service(
            name='keystone',
            # Processes instead of threads: under threads one request was seen with the scope of
            # another one.
            command=_uwsgi('keystone.wsgi.api', block.of('keystone'), processes=2, threads=1),
            ready=readiness.http(block.url('keystone', path='/v3')),
            needs=('mariadb', 'memcached'),
            port=block.of('keystone'),
            environment={
                'OS_KEYSTONE_CONFIG_DIR': str(layout.ETC / 'keystone'),
                # Not in the file: keystone-manage reads that too, while no cache runs yet.
                'OS_CACHE__ENABLED': 'true',
            },
        ),
        Service(
            name='glance-api',
            command=_uwsgi('glance.wsgi.api', block.of('glance-api')),
            ready=readiness.http(block.url('glance-api', path='/versions')),
            needs=('keystone', 'rabbitmq'),
            port=block.of('glance-api'),
            environment={'OS_GLANCE_CONFIG_DIR': str(layout.ETC / 'glance')},
        ),
        Service(
            name='neutron-api',
            command=_uwsgi('neutron.wsgi.api', block.of('neutron-api')),
            ready=readiness.http(block.url('neutron-api', path='/')),
            needs=('keystone', 'rabbitmq'),
            port=block.of('neutron-api'),
            environment={
                'OS_NEUTRON_CONFIG_DIR': str(layout.ETC / 'neutron'),
                'OS_NEUTRON_CONFIG_FILES': 'neutron.conf;ml2_conf.ini',
            },
        ),
    ]


def _of_region(region: regions.Region, block: ports.Ports) -> list[Service]:
    """Return one region's own Placement, Nova, Cinder and Heat."""
    return [
        _placement(region, block),
        *_nova(region, block),
        *(_nova_compute(region, host) for host in region.computes),
        *_cinder(region, block),
        *_heat(region, block),
    ]


def _placement(region: regions.Region, block: ports.Ports) -> Service:
    key = region.key
    port = block.of('placement', key)
    return Service(
        name=f'placement-{key}',
        command=_uwsgi('placement.wsgi.api', port),
        ready=readiness.http(block.url('placement', key, '/')),
        needs=('keystone',),
        region=key,
        port=port,
        environment={'OS_PLACEMENT_CONFIG_DIR': str(layout.ETC / key / 'placement')},
    )


def _nova(region: regions.Region, block: ports.Ports) -> list[Service]:
    key = region.key
    folder = layout.ETC / key / 'nova'
    files = _config_files(folder / 'nova.conf', folder / 'nova-database.conf')
    port = block.of('nova-api', key)
    return [
        Service(
            name=f'nova-conductor-{key}',
            command=(program('nova-conductor'), *files),
            ready=readiness.nova_service(key, 'nova-conductor', f'nova-{key}'),
            # It asks Placement for its version when it starts, and ends without an answer.
            needs=('rabbitmq', f'placement-{key}'),
            region=key,
        ),
        Service(
            name=f'nova-api-{key}',
            command=_uwsgi('nova.wsgi.osapi_compute', port),
            ready=readiness.http(block.url('nova-api', key, '/')),
            needs=('rabbitmq', f'placement-{key}'),
            region=key,
            port=port,
            environment={
                'OS_NOVA_CONFIG_DIR': str(folder),
                # The first one names the paste pipelines; Nova's API loads it from no other place.
                'OS_NOVA_CONFIG_FILES': (
                    f'{layout.VENV}/etc/nova/api-paste.ini;nova.conf;nova-database.conf'
                ),
            },
        ),
        Service(
            name=f'nova-scheduler-{key}',
            command=(program('nova-scheduler'), *files),
            ready=readiness.nova_service(key, 'nova-scheduler', f'nova-{key}'),
            needs=('rabbitmq', f'placement-{key}'),
            region=key,
        ),
    ]


def _nova_compute(region: regions.Region, host: str) -> Service:
    key = region.key
    folder = layout.ETC / key / 'nova'
    launcher = str(layout.SOURCES / 'launchers' / 'nova_compute.py')
    files = _config_files(folder / 'nova.conf', folder / f'{host}.conf')
    return Service(
        name=f'nova-compute-{host}',
        command=(program('python'), launcher, *files),
        ready=readiness.nova_service(key, 'nova-compute', host),
        needs=(f'nova-conductor-{key}', f'placement-{key}'),
        region=key,
    )


def _config_files(*paths: pathlib.Path) -> tuple[str, ...]:
    return tuple(word for path in paths for word in ('--config-file', str(path)))


def _cinder(region: regions.Region, block: ports.Ports) -> list[Service]:
    key = region.key
    port = block.of('cinder-api', key)
    files = ('--config-file', str(layout.ETC / key / 'cinder' / 'cinder.conf'))
    return [
        Service(
            name=f'cinder-api-{key}',
            command=_uwsgi('cinder.wsgi.api', port, ' '.join(files)),
            ready=readiness.http(block.url('cinder-api', key, '/')),
            needs=('keystone', 'rabbitmq'),
            region=key,
            port=port,
        ),
        Service(
            name=f'cinder-scheduler-{key}',
            command=(program('cinder-scheduler'), *files),
            ready=readiness.cinder_service(key, 'cinder-scheduler', f'cinder-{key}'),
            needs=('mariadb', 'rabbitmq'),
            region=key,
        ),
        Service(
            name=f'cinder-volume-{key}',
            command=(program('cinder-volume'), *files),
            ready=readiness.cinder_service(key, 'cinder-volume', f'cinder-{key}@fake'),
            needs=('mariadb', 'rabbitmq'),
            region=key,
        ),
    ]


def _heat(region: regions.Region, block: ports.Ports) -> list[Service]:
    key = region.key
    folder = layout.ETC / key / 'heat'
    files = ('--config-file', str(folder / 'heat.conf'))
    files += ('--config-file', str(folder / 'heat_ha.conf'))
    services = []
    for name, module, path in (
        ('heat-api', 'heat.wsgi.api', '/'),
        ('heat-api-cfn', 'heat.wsgi.cfn', '/'),
    ):
        port = block.of(name, key)
        services.append(
            Service(
                name=f'{name}-{key}',
                command=_uwsgi(module, port, ' '.join(files)),
                ready=readiness.http(block.url(name, key, path)),
                needs=('keystone', 'rabbitmq'),
                region=key,
                port=port,
            )
        )
    for engine in region.engines:
        services.append(
            Service(
                name=engine,
                command=(
                    program('heat-engine'),
                    *files,
                    '--config-file',
                    str(folder / f'{engine}.conf'),
                ),
                ready=readiness.heat_engine(key, engine),
                needs=('mariadb', 'rabbitmq'),
                region=key,
            )
        )
    return services


def _alarming(block: ports.Ports) -> list[Service]:
    """Return what turns a notification of Nova into an alarm's action."""
    file = ('--config-file', str(layout.ETC / 'aodh' / 'aodh.conf'))
    bus = block.of('rabbitmq')
    listens = _listener(bus, regions.SHARED_BUS)
    return [
        Service(
            name='aodh-api',
            command=_uwsgi('aodh.wsgi.api', block.of('aodh-api')),
            ready=readiness.http(block.url('aodh-api', path='/')),
            needs=('keystone', 'rabbitmq'),
            port=block.of('aodh-api'),
        ),
        Service(
            name='aodh-evaluator',
            command=(program('aodh-evaluator'), *file),
            ready=readiness.log_says('aodh-evaluator', 'initiating evaluation cycle'),
            needs=('mariadb', 'rabbitmq'),
        ),
        Service(
            name='aodh-listener',
            command=(program('aodh-listener'), *file),
            ready=listens('alarm.all.sample'),
            needs=('mariadb', 'rabbitmq'),
        ),
        Service(
            name='aodh-notifier',
            command=(program('aodh-notifier'), *file),
            ready=listens('alarming.sample'),
            needs=('mariadb', 'rabbitmq'),
        ),
        Service(
            name='ceilometer-notification',
            command=(
                program('ceilometer-agent-notification'),
                '--config-file',
                str(layout.ETC / 'ceilometer' / 'ceilometer.conf'),
            ),
            ready=_listener(bus, regions.ONE.key)('notifications.info'),
            needs=('rabbitmq',),
        ),
    ]


def _options(block: ports.Ports) -> list[Service]:
    """Return what only some tests need: see ``apart``."""
    barbican, keystone = block.of('barbican-api'), block.of('keystone', regions.TWO.key)
    paste = layout.VENV / 'etc' / 'barbican' / 'barbican-api-paste.ini'
    return [
        Service(
            name='barbican-api',
            # Barbican's own module looks for its pipelines in /etc only.
            command=(*_uwsgi('', barbican), f'--paste=config:{paste}'),
            ready=readiness.http(block.url('barbican-api', path='/')),
            needs=('keystone',),
            port=barbican,
            is_option=True,
        ),
        Service(
            name=f'keystone-{regions.TWO.key}',
            command=_uwsgi('keystone.wsgi.api', keystone, processes=2, threads=1),
            ready=readiness.http(block.url('keystone', regions.TWO.key, '/v3')),
            needs=('mariadb',),
            region=regions.TWO.key,
            port=keystone,
            environment={'OS_KEYSTONE_CONFIG_DIR': str(layout.ETC / 'keystone_two')},
            is_option=True,
        ),
    ]


def _listener(port: int, virtual_host: str) -> Callable[[str], readiness.Check]:
    return lambda queue: readiness.listens(port, virtual_host, queue)
