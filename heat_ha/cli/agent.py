# SPDX-License-Identifier: Apache-2.0
"""heat-ha-agent: the program beside Heat's engines that learns of dead hosts.

Without a verb it works until it gets a signal to end. ``show`` lists the hosts that failed.
``release`` and ``drop`` decide about what is held back for a person, and ``end`` ends an incident.
``confirm`` takes a person's word that a host is off, and ``unfence`` that one may have its storage
back. ``check`` asks everything that a rescue needs, before a host fails.
"""

import datetime
import getpass
import json
import logging as standard_logging
import os
import re
import signal
import socket
import sys
from importlib import metadata
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.conf import agent as options
from heat_ha.conf import checks, nova_hosts

LOG = logging.getLogger(__name__)

# What a person decides about a host.
BY_HAND = ('release', 'drop', 'end', 'confirm')
VERBS = ('run', 'show', *BY_HAND, 'unfence', 'check')

_CLI = [
    cfg.StrOpt(
        'verb',
        positional=True,
        required=False,
        default='run',
        choices=VERBS,
        help='show: list the hosts that failed; release, drop: decide about one that is held back; '
        'end: do nothing more about one, in whatever phase it is, until it is back; '
        'confirm: say that one is switched off, where its fence fails; unfence: give one its '
        'storage back on which no old guest runs; check: ask all fences, and '
        'compare the fencing file with what Nova shows.',
    ),
    cfg.StrOpt(
        'failed_host',
        positional=True,
        required=False,
        default='',
        help='The host; needed for release, drop, end, confirm and unfence.',
    ),
    cfg.StrOpt(
        'by', default='', help='Who decides, which is kept; needed for confirm and unfence.'
    ),
]


def main() -> int:
    """Run the program. :returns: its exit status."""
    _use_threads()
    from heat.common import config as _heat_options  # noqa: F401  registers Heat's own

    conf = cfg.CONF
    conf.register_cli_opts(_CLI)
    logging.register_options(conf)
    conf(project='heat', prog='heat-ha-agent')
    logging.setup(conf, 'heat-ha-agent')
    # It logs each listener, each minute.
    standard_logging.getLogger('oslo_messaging').setLevel(standard_logging.WARNING)
    options.register(conf)
    nova_hosts.register(conf, nova_hosts.RESCUE)
    try:
        if conf.verb == 'run':
            return _run(conf)
        if conf.verb == 'check':
            return _check(conf)
        if conf.verb == 'unfence':
            return _unfence(conf[options.GROUP], conf.failed_host, conf.by)
        return _by_hand(conf.verb, conf.failed_host, conf.by)
    except exceptions.HaError as exc:
        print(f'heat-ha-agent: {exc}', file=sys.stderr)
        return 2


def _use_threads() -> None:
    """Let oslo.service use threads, before anything of Heat is imported, as Heat's engines do.

    Before 4.0 it has nothing but eventlet, and up to 4.1 no other backend in spite of the name.
    There the program has threads all the same: only an engine lets eventlet take their place.
    """
    try:
        from oslo_service import backend

        backend.init_backend(backend.BackendType.THREADING)
    except (ImportError, ValueError) as exc:
        LOG.debug('oslo.service has no backend with threads: %s', exc)


class _Version:
    """What a report on demand says of the program, in the form that oslo.reports asks for."""

    @staticmethod
    def product_string() -> str:
        return 'heat-ha'

    @staticmethod
    def version_string_with_package() -> str:
        try:
            return metadata.version('heat-ha')
        except metadata.PackageNotFoundError:
            return 'not installed as a package'


def _store() -> Any:
    from heat_ha.agent.adapters import policy_index
    from heat_ha.agent.adapters import store as agent_store

    store = agent_store.Store(policy_index.engine())
    store.create()
    return store


def _check_options(conf: Any) -> None:
    """Check what a round or a fence would meet later. :raises exceptions.Refused: an option."""
    options.register(conf)
    conf.register_opts(nova_hosts.OPTIONS, group=nova_hosts.RESCUE)
    checks.check(conf, options.GROUP, options.OPTIONS)
    checks.check(conf, nova_hosts.RESCUE, nova_hosts.OPTIONS)


def _settings(conf: Any, own: Any) -> Any:
    from heat_ha.agent import model, service
    from heat_ha.agent.rules import confirmation, storm

    _check_options(conf)
    return service.Settings(
        name=own.name or socket.gethostname(),
        host=model.Settings(
            settle=own.settle,
            proof_valid=own.proof_valid,
            fences=own.fences_per_incident,
            old_silence=own.old_silence,
            deferred_valid=own.deferred_valid,
            mark_settle=nova_hosts.mark_settle(conf, nova_hosts.RESCUE),
        ),
        rule=confirmation.parse(own.confirm, own.fail_open, own.sources, own.certain),
        limits=storm.Limits(
            period=own.storm_period,
            host_share=own.storm_host_share,
            per_project=own.storm_per_project,
            per_stack=own.storm_per_stack,
            together=own.storm_together,
            together_seconds=own.storm_together_seconds,
            per_host=own.storm_per_host,
            per_domain=own.storm_per_domain,
            domains=storm.domains_of(own.storm_domains, own.storm_zones),
            at_once=own.fences_at_once,
        ),
        poll_interval=own.poll_interval,
        reopen_when_clean=own.reopen_when_clean,
        fence_check_interval=own.fence_check_interval,
    )


def _run(conf: Any) -> int:
    from heat_ha.agent import (
        metrics,
        notifications,
        reception,
        senders_file,
        sources,
        web,
        web_server,
    )
    from heat_ha.agent.rules import names
    from heat_ha.cli import agent_options
    from heat_ha.cloud import heat_rpc
    from heat_ha.fencing import inventory

    own = conf[options.GROUP]
    settings = _settings(conf, own)
    for sentence in agent_options.pointless(own):
        LOG.warning('%s', sentence)
    names.check_agent(settings.name)
    fences = inventory.read(own.fencing_file)
    fences.check()
    tokens = web.read_tokens(own.tokens_file)
    _check_senders(own, tokens)
    senders = senders_file.read(own.senders_file, {*tokens, notifications.SENDER})
    places = web_server.places(own.listen, own.port)
    operators = web.read_tokens(own.operators_file, 'operators_file')
    heat_rpc.setup()
    locks = _started_locks(own.coordination_url, settings.name)
    agent = _agent(settings, own, fences, locks)
    _report_on_demand(conf, agent)
    found = sources.load(own.sources, agent.report)
    agent.use(found)
    failures = _instance_failures(found, settings.limits)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    received = reception.Reception(lambda one: agent.take('webhook', one), senders)
    application = web.Application(
        tokens if 'webhook' in found else {}, received, metrics.REGISTRY, _desk(agent), operators,
        _notified(conf, received),
    )  # fmt: skip
    server = web_server.Server(application, places)
    server.start()
    failures.start()
    for source in found.values():
        source.start()
    LOG.info('agent=%s works and listens on %s', settings.name, ', '.join(places))
    try:
        agent.run()
    finally:
        server.shutdown()
        for source in found.values():
            source.stop()
        failures.stop()
        locks.stop()
    return 0


def _check_senders(own: Any, tokens: Any) -> None:
    """Check that the webhook and those who may post to it belong together.

    :raises exceptions.Refused: one is there without the other, or two have one name.
    """
    from heat_ha.agent import notifications

    if own.masakari_notifications and notifications.SENDER in tokens:
        raise exceptions.Refused(
            f"tokens_file has a sender {notifications.SENDER}, which is the name of Masakari's "
            'monitors while masakari_notifications is set',
            'Give the sender another name in tokens_file and senders_file',
        )
    if own.masakari_notifications and 'webhook' not in own.sources:
        raise exceptions.Refused(
            'masakari_notifications is set, but the source webhook is not enabled',
            'Add webhook to sources',
        )
    if 'webhook' in own.sources and not tokens and not own.masakari_notifications:
        raise exceptions.Refused('the source webhook needs senders with tokens', 'Set tokens_file')


def _locks(url: str, name: str) -> Any:
    """What gives the locks that the agents of a region share: not started yet.

    :raises Refused: tooz does not know the scheme of the URL, or has not got the library for it.
    """
    from tooz import coordination

    try:
        return coordination.get_coordinator(url, name.encode())
    except ImportError as exc:
        remedy = 'Install tooz with the extra for it; heat-ha[agent] brings that of etcd'
        raise exceptions.Refused(f'coordination_url {url}: {exc}', remedy) from exc
    except (RuntimeError, coordination.ToozError) as exc:
        remedy = 'Use file://, etcd3+http://, redis:// or mysql://'
        raise exceptions.Refused(f'coordination_url {url}: {exc}', remedy) from exc


def _started_locks(url: str, name: str) -> Any:
    """What gives the locks, once it works. :raises Refused: it does not, or see ``_locks``."""
    made = _locks(url, name)
    try:
        made.start(start_heart=True)
    except Exception as exc:
        # Each driver has errors of its own, some of them without a text.
        why = str(exc).strip() or type(exc).__name__
        raise exceptions.Refused(
            f'coordination_url {_PASSWORD.sub("//", url)} does not work: {why}',
            'See whether it answers from this machine, or may be written by this user',
        ) from exc
    return made


# The name and password in a URL.
_PASSWORD = re.compile('//[^/@]*@')


def _agent(settings: Any, own: Any, fences: Any, locks: Any) -> Any:
    """Put the agent together."""
    from heat_ha.agent import (
        dispatcher,
        engines,
        isolation,
        report_table,
        resumer,
        service,
        sources,
    )
    from heat_ha.agent.adapters import nova_admin
    from heat_ha.cloud import heat_rpc

    store = _store()
    nova = nova_admin.NovaAdmin(heat_rpc.region())
    liveness = engines.EngineLiveness()
    return service.Agent(
        settings,
        nova,
        store,
        fences,
        report_table.ReportTable(own.report_valid, [sources.NovaNotifications.name]),
        isolation.IsolationMonitor(heat_rpc.ping, settings.poll_interval),
        dispatcher.Dispatcher(
            store, nova, liveness, settings.limits, own.servers_at_once, own.servers_per_destination
        ),
        resumer.Resumer(nova, locks, liveness),
        locks,
    )


def _instance_failures(found: Any, limits: Any) -> Any:
    """What signals policies when a guest ends by itself, as these sources hear it."""
    from heat_ha.agent import instance_failures
    from heat_ha.agent.adapters import failover_index, nova_admin
    from heat_ha.cloud import heat_rpc

    made = instance_failures.InstanceFailures(
        failover_index.FailoverIndex().targets_of,
        nova_admin.NovaAdmin(heat_rpc.region()).shown,
        heat_rpc.signal,
        limits,
    )
    for source in found.values():
        source.emit_instance = made.report
    return made


def _notified(conf: Any, received: Any) -> Any:
    """What takes the notifications of Masakari's monitors; None where that is not configured."""
    from heat_ha.agent import notifications
    from heat_ha.agent.adapters import keystone_tokens

    own = conf[options.GROUP]
    if not own.masakari_notifications:
        return None
    return notifications.Notifications(
        received,
        lambda application: keystone_tokens.guard(application, conf),
        lambda environ: keystone_tokens.has_role(environ, own.notifier_roles),
    )


def _desk(agent: Any) -> Any:
    """What operators may ask for by HTTP: the same as by this program's verbs."""
    from heat_ha.agent import web
    from heat_ha.cli import decisions

    store = _store()

    def act(verb: str) -> Any:
        return lambda host, by: decisions.decided(store, verb, host, by, _services)

    return web.Desk(agent.health, agent.hosts, {verb: act(verb) for verb in BY_HAND})


def _report_on_demand(conf: Any, agent: Any) -> None:
    """Let SIGUSR2 write what all threads do and what is known of the hosts, as engines do."""
    from oslo_reports import guru_meditation_report as gmr
    from oslo_reports import opts as gmr_opts
    from oslo_reports.models import with_default_views

    gmr_opts.set_defaults(conf)
    gmr.TextGuruMeditation.register_section(
        'Hosts', lambda: with_default_views.ModelWithDefaultViews(data=agent.hosts())
    )
    gmr.TextGuruMeditation.setup_autorun(_Version(), conf=conf)


def _check(conf: Any) -> int:
    """Ask everything that a rescue needs. :returns: the exit status."""
    from heat_ha.agent.adapters import credential
    from heat_ha.cli import agent_check, agent_options
    from heat_ha.cloud import heat_rpc
    from heat_ha.fencing import inventory

    _check_options(conf)
    for sentence in agent_options.pointless(conf[options.GROUP]):
        print(sentence)
    fences = inventory.read(conf[options.GROUP].fencing_file)
    return agent_check.run(fences, _services, lambda: credential.rights(heat_rpc.region()))


def _unfence(own: Any, host: str, by: str) -> int:
    """Give a host its storage back, by a person's word that no old guest runs on it."""
    from heat_ha.cli import unfence
    from heat_ha.fencing import inventory

    fences = inventory.read(own.fencing_file)
    unfence.check_user(own.coordination_url)
    locks = _started_locks(own.coordination_url, f'unfence-{socket.gethostname()}-{os.getpid()}')
    try:
        unfence.unfence(_store(), locks, fences, host, by)
    finally:
        locks.stop()
    print(f'{host}: may use its storage')
    return 0


def _by_hand(verb: str, host: str, by: str = '') -> int:
    """Do what an operator asks for: show, release, drop, end or confirm.

    :param by: the name of who decides; by default, except to confirm, that of the user.
    """
    from heat_ha.agent.adapters import store as agent_store
    from heat_ha.cli import decisions

    store = _store()
    if verb == 'show':
        incidents = store.all(agent_store.INCIDENT)
        rescues = store.all(agent_store.RESCUE)
        for name in sorted(incidents):
            if not host or host == name:
                print(json.dumps(_shown(incidents[name].value, rescues.get(name)), indent=2))
        return 0
    if verb != 'confirm':
        by = by or _user()
    print(f'{host}: {decisions.decided(store, verb, host, by, _services)}')
    return 0


def _user() -> str:
    """Who runs the program; a container may have no name for its user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f'user {os.getuid()}'


def _services() -> Any:
    """All hosts as Nova shows them. :raises exceptions.CouldNotAsk: no answer."""
    from heat_ha.agent.adapters import nova_admin
    from heat_ha.cloud import heat_rpc

    return nova_admin.NovaAdmin(heat_rpc.region()).compute_services()


def _shown(incident: dict[str, Any], rescues: Any) -> dict[str, Any]:
    shown = {**incident, 'opened': _time(incident['opened']), 'changed': _time(incident['changed'])}
    if incident['proof']:
        shown['proof'] = incident['proof'] | {'at': _time(incident['proof']['at'])}
    if rescues is not None and rescues.value['opened'] == incident['opened']:
        shown['policies'] = [
            {key: row[key] for key in ('name', 'stack_name', 'turn', 'servers', 'reason')}
            for row in rescues.value['rows']
        ]
    return shown


def _time(seconds: float) -> str:
    found = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return found.isoformat(timespec='seconds')


if __name__ == '__main__':
    sys.exit(main())
