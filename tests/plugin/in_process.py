# SPDX-License-Identifier: Apache-2.0
"""Heat's own engine and convergence workers in one thread of one process, for tests of plugins.

What is real: the engine's RPC methods, the worker, stacks, resources, Heat's database (SQLite)
and the plugin loader. What is not: the message bus (calls are calls, casts wait in a list, see
``schedule``), Keystone, and Nova, which is a folder with a file for each server (``stand_ins``).

An engine dies by ``os._exit`` in a forked child (``Engine.dies``): nothing cleans up after it,
and what was waiting in its memory is lost. The parent is then an engine that finds what it left.
"""

import contextlib
import datetime
import importlib.metadata
import os
import pathlib
import sqlite3
import sys
import time
import uuid
from unittest import mock

import sqlalchemy
from heat.common import (
    config,  # noqa: F401  registers options
    context,
    exception,
    messaging,
    policy,
    template_format,
)
from heat.db import api as db_api
from heat.db import models
from heat.engine import resources, scheduler, service, stack, worker
from heat.engine.clients.os import keystone
from heat.engine.clients.os.keystone import fake_keystoneclient
from heat.objects import event as event_object
from heat.objects import stack as stack_object
from heat.rpc import client as engine_client
from heat.rpc import listener_client, worker_client
from oslo_config import cfg
from oslo_db import options
from oslo_messaging._drivers import common as rpc_common
from oslo_messaging.rpc import dispatcher

from heat_ha.cloud import clients, clock, heat_orphans, lease, nested_stack
from heat_ha.groups import lease as group_lease
from heat_ha.groups import replacement_run, replacing, run_series
from heat_ha.groups.adapters import changes
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.adapters import store as group_store
from tests.plugin import schedule, stand_ins

ROOT = pathlib.Path(__file__).parents[2]
PLUGIN_DIRS = [str(ROOT / 'policies'), str(ROOT / 'resources')]


def _remote(exc):
    """Let an exception look as it does when it has come over the bus."""
    text = rpc_common.serialize_remote_exception((type(exc), exc, exc.__traceback__))
    return rpc_common.deserialize_remote_exception(text, ['heat.common.exception'])


# The first release that was seen to run without eventlet here.
HEAT_ON_THREADS = 27


class Engine(schedule.Schedule, stand_ins.ServerFolder):
    """One engine with its workers; ``in_place`` puts it where Heat looks for the bus."""

    def __init__(self, folder):
        schedule.Schedule.__init__(self)
        stand_ins.ServerFolder.__init__(self, folder)
        self.engine_id = str(uuid.uuid4())
        self.dead = set()
        self._service = None
        self._worker = None

    # --- asking --------------------------------------------------------------------------

    def context(self):
        """A user's context, new for each request as in an engine."""
        return context.RequestContext.from_dict(
            {
                'tenant_id': 'project',
                'project_id': 'project',
                'tenant': 'project',
                'project_name': 'project',
                'username': 'user',
                'user': 'user',
                'user_id': 'user-id',
                'password': 'secret',
                'roles': ['member'],
                'is_admin': False,
                'auth_url': 'http://keystone.example/v3',
                'auth_token': 'token',
                'auth_token_info': None,
            }
        )

    def call(self, method, *args, **kwargs):
        """Call an RPC method of the engine as a user of the API."""
        return self._dispatch(self._service, method, self.context(), *args, **kwargs)

    def _dispatch(self, target, method, cnxt, *args, **kwargs):
        try:
            return getattr(target, method)(
                context.RequestContext.from_dict(cnxt.to_dict()), *args, **kwargs
            )
        except dispatcher.ExpectedException as exc:
            raise _remote(exc.exc_info[1]) from None

    def create(self, template, name='stack', files=None, params=None, registry=None):
        """Create a stack from a template's text and wait for it. :returns: its identity."""
        parsed = template_format.parse(template)
        environment = {'parameters': params or {}, 'resource_registry': registry or {}}
        identity = self.call('create_stack', name, parsed, environment, files or {}, {})
        self.run()
        self._a_moment_later()
        return dict(identity)

    def refusal(self, template):
        """The reason with which Heat refuses to create the stack."""
        try:
            self.create(template)
        except exception.HeatException as exc:
            return str(exc).split('\nTraceback')[0]
        raise AssertionError('it was not refused')

    def update(self, identity, template, files=None):
        """Update a stack and wait for it."""
        self.begin_update(identity, template, files)
        self.run()

    def begin_update(self, identity, template, files=None):
        """Update a stack."""
        parsed = template_format.parse(template)
        self.call('update_stack', identity, parsed, {'parameters': {}}, files or {}, {})

    def signal(self, identity, resource_name, details=None):
        """Signal a resource and wait until nothing is left to do."""
        self.call('resource_signal', identity, resource_name, details)
        self.run()

    def stack(self, identity):
        """Load a stack again."""
        return stack.Stack.load(self.context(), stack_id=identity['stack_id'])

    def state(self, identity):
        """Say how a stack stands: action and status, and the reason."""
        found = stack_object.Stack.get_by_id(self.context(), identity['stack_id'])
        return f'{found.action}_{found.status}', found.status_reason

    def is_gone(self, identity):
        """Whether Heat has deleted the stack."""
        return stack_object.Stack.get_by_id(self.context(), identity['stack_id']) is None

    def events(self, identity, resource_name):
        """List the events of a resource: status and reason, oldest first."""
        found = event_object.Event.get_all_by_stack(self.context(), identity['stack_id'])
        return [
            (f'{e.resource_action}_{e.resource_status}', e.resource_status_reason)
            for e in sorted(found, key=lambda e: e.id)
            if e.resource_name == resource_name
        ]

    def members(self, identity, group='group'):
        """Look at the members of a group."""
        loaded = self.stack(identity)
        return group_members.look(loaded[group])

    def mark_unhealthy(self, identity, resource_name, reason='sick'):
        """Do what ``openstack stack resource mark unhealthy`` does."""
        self.call('resource_mark_unhealthy', identity, resource_name, True, reason)

    def nested(self, identity, group='group'):
        """The identity of a resource's nested stack."""
        loaded = self.stack(identity)
        return dict(loaded[group].nested_identifier())

    def age(self, identity, by):
        """Let the last update of a stack be longer ago."""
        found = stack_object.Stack.get_by_id(self.context(), identity['stack_id'])
        found.update_and_save({'updated_at': (found.updated_at or found.created_at) - by})

    @staticmethod
    def _a_moment_later():
        """Let what is there be older than what comes next: Heat tells ages in whole seconds."""
        table = models.Resource.__table__
        with _engine().begin() as connection:
            for row in connection.execute(sqlalchemy.select(table.c.id, table.c.created_at)).all():
                earlier = row.created_at - datetime.timedelta(seconds=2)
                older = sqlalchemy.update(table).where(table.c.id == row.id)
                connection.execute(older.values(created_at=earlier))

    def set_status(self, identity, status):
        """Let a stack have this status, without anybody working on it."""
        found = stack_object.Stack.get_by_id(self.context(), identity['stack_id'])
        found.update_and_save({'status': status})

    # --- dying ---------------------------------------------------------------------------

    def dies(self, before_commit, work, *args):
        """Let another engine do ``work`` and die before the n-th time that it writes.

        :returns: False when it lived to the end.
        """
        other = str(uuid.uuid4())
        # SQLite must not find connections of another process in its own.
        if _keeps_connections():
            _engine().dispose()
        child = os.fork()
        if child == 0:
            try:
                _engine().dispose(close=False)
                self.engine_id = self._service.engine_id = self._worker.engine_id = other
                self._count_down(before_commit)
                work(*args)
                os._exit(0)
            except BaseException as exc:
                sys.stderr.write(f'{type(exc).__name__}: {exc}\n')
                sys.stderr.flush()
                os._exit(2)
        _pid, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, 9), f'the engine failed otherwise: {code}'
        self.dead.add(other)
        return code == 9

    def _count_down(self, left):
        counter = [left]

        def before(_connection):
            counter[0] -= 1
            if counter[0] == 0:
                os._exit(9)

        sqlalchemy.event.listen(_engine(), 'commit', before)

    # --- being in place ------------------------------------------------------------------

    @contextlib.contextmanager
    def in_place(self):
        """Put the engine where Heat's code looks for the bus, the clock and the clouds."""
        with contextlib.ExitStack() as patches:
            for target, name, new in self._patches():
                patches.enter_context(mock.patch.object(target, name, new))
            stand_ins.Server.folder = self.servers
            stand_ins.FailOver.asked.clear()
            self.servers.mkdir(exist_ok=True)
            self._service = service.EngineService('host', 'engine')
            self._service.engine_id = self.engine_id
            self._service.thread_group_mgr = schedule.Threads(self)
            self._worker = worker.WorkerService(
                'host', 'worker', self.engine_id, self._service.thread_group_mgr
            )
            self._service.worker_service = self._worker
            yield self

    def _patches(self):
        engine = self
        own_time = mock.Mock(wraps=clock, now_text=self.now)
        own_clock = mock.Mock(wraps=time, sleep=self.sleep, monotonic=self.monotonic)
        keystones = fake_keystoneclient.FakeKeystoneClient()

        def load_keystone_data(stored):
            stored._keystone_loaded = True
            stored.roles = ['member']
            stored.user_domain_id = stored.project_domain_id = 'default'

        def call(_client, cnxt, msg, version=None, timeout=None):
            method, kwargs = msg
            return engine._dispatch(engine._service, method, cnxt, **kwargs)

        def cast(_client, cnxt, msg, version=None):
            method, kwargs = msg
            engine.later(engine._dispatch, engine._worker, method, cnxt, **kwargs)

        return (
            (engine_client.EngineClient, '__init__', lambda _self: None),
            (engine_client.EngineClient, 'call', call),
            (engine_client.EngineClient, 'cast', call),
            (worker_client.WorkerClient, '__init__', lambda _self: None),
            (worker_client.WorkerClient, 'cast', cast),
            (
                listener_client.EngineListenerClient,
                '__init__',
                lambda client, engine_id: setattr(client, 'engine_id', engine_id),
            ),
            (
                listener_client.EngineListenerClient,
                'is_alive',
                lambda client, _cnxt: client.engine_id not in engine.dead,
            ),
            (context.StoredContext, '_load_keystone_data', load_keystone_data),
            (scheduler, 'ENABLE_SLEEP', False),
            (scheduler.TaskRunner, '_sleep', lambda _self, wait: engine.sleep(wait)),
            (changes, 'time', own_clock),
            (replacing, 'time', own_clock),
            (replacement_run, 'time', own_clock),
            (run_series, 'time', own_clock),
            (nested_stack, 'time', own_clock),
            (clients, 'StackClients', lambda _resource: stand_ins.Clouds(engine.servers)),
            (group_lease, 'time', own_clock),
            *((module, 'clock', own_time) for module in (group_store, group_lease, replacing)),
            (lease, 'own_engine_id', lambda: engine.engine_id),
            (keystone.KeystoneClientPlugin, '_create', lambda _self, **_kw: keystones),
            (policy.ResourceEnforcer, 'enforce', lambda *_a, **_kw: True),
            (heat_orphans, 'FINDERS', (engine.named,)),
        )


def _engine():
    return db_api.get_engine()


def _keeps_connections():
    """Whether connections are used again. On eventlet an engine that was forked waits for ever."""
    return int(importlib.metadata.version('openstack-heat').split('.')[0]) >= HEAT_ON_THREADS


def _keep_connections(engine):
    """Open no file for each session: as oslo.db has it, that takes a third of the tests' time."""
    known = engine.pool
    engine.pool = sqlalchemy.pool.QueuePool(
        known._creator,
        pool_size=20,
        max_overflow=-1,
        dialect=engine.dialect,
        _dispatch=known.dispatch,
    )


def start_heat(folder):
    """Set Heat up once in a process: options, database, types."""
    # Older libraries ask for files of rules, which a program has said where to find by then.
    cfg.CONF([], project='heat', default_config_files=[])
    with contextlib.closing(sqlite3.connect(folder / 'heat.sqlite')) as connection:
        # One connection may read while another one writes.
        connection.execute('PRAGMA journal_mode=WAL')
    # Nobody pulls the plug: a killed process loses nothing that it has written.
    options.cfg.set_defaults(options.database_opts, sqlite_synchronous=False)
    options.set_defaults(cfg.CONF, connection=f'sqlite:///{folder / "heat.sqlite"}')
    cfg.CONF.set_default('plugin_dirs', PLUGIN_DIRS)
    cfg.CONF.set_override('deferred_auth_method', 'password')
    cfg.CONF.set_override('environment_dir', str(folder / 'environment.d'))
    messaging.setup('fake://', optional=True)
    for table in models.BASE.metadata.tables.values():
        # As the databases do that Heat is made for: never give an id twice.
        if isinstance(next(iter(table.primary_key)).type, sqlalchemy.Integer):
            table.dialect_options['sqlite']['autoincrement'] = True
    if _keeps_connections():
        _keep_connections(_engine())
    models.BASE.metadata.create_all(_engine())
    resources.initialise()
    resources.global_env().register_class('OS::Nova::Server', stand_ins.Server)
    resources.global_env().register_class('Test::FailOver', stand_ins.FailOver)


def forget_stacks():
    """Empty the database."""
    with _engine().connect() as connection, connection.begin():
        for table in reversed(models.BASE.metadata.sorted_tables):
            connection.execute(table.delete())
