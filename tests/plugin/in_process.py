# SPDX-License-Identifier: Apache-2.0
"""Heat's own engine and convergence workers in one thread of one process, for tests of plugins.

What is real: the engine's RPC methods, the worker, stacks, resources, Heat's database (SQLite)
and the plugin loader. What is not: the message bus (calls are calls, casts wait in a list),
Keystone, and Nova, which is a folder with a file for each server. Wherever Heat sleeps between
two looks, the next waiting piece of work is done instead, so that a test takes no time and
always runs in the same order.

An engine dies by ``os._exit`` in a forked child (``Engine.dies``): nothing cleans up after it,
and what was waiting in its memory is lost. The parent is then an engine that finds what it left.
"""

import collections
import contextlib
import dataclasses  # noqa: F401  for tests
import datetime
import os
import pathlib
import sqlite3
import sys
import time
import uuid
from typing import ClassVar
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
from heat.engine import properties, resource, resources, scheduler, service, stack, worker
from heat.engine.clients.os import keystone
from heat.engine.clients.os.keystone import fake_keystoneclient
from heat.engine.resources.openstack.heat import scaling_policy  # noqa: F401  for tests
from heat.objects import event as event_object
from heat.objects import stack as stack_object
from heat.rpc import client as engine_client
from heat.rpc import listener_client, worker_client
from oslo_config import cfg
from oslo_db import options
from oslo_messaging._drivers import common as rpc_common
from oslo_messaging.rpc import dispatcher

from heat_ha.cloud import clock, heat_orphans, lease
from heat_ha.groups import lease as group_lease
from heat_ha.groups import replacement_run, replacing
from heat_ha.groups.adapters import changes, failure_masks, resource_rows  # noqa: F401  for tests
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.adapters import store as group_store

ROOT = pathlib.Path(__file__).parents[2]
PLUGIN_DIRS = [str(ROOT / 'policies'), str(ROOT / 'resources')]

# So many times may something look again while nobody works: then it waits in vain.
IDLE_LIMIT = 200


class WaitsInVain(AssertionError):
    """Something waits for what nobody does."""


class Server(resource.Resource):
    """A server of which only its being there matters. ``folder`` is where Nova would be.

    The file ``no-valid-host`` in the folder makes each create fail, ``stuck-<id>`` a delete; each
    file ``busy-<n>`` lets one create fail as Nova does that is overloaded.
    """

    folder = None
    properties_schema = {
        'name': properties.Schema(properties.Schema.STRING, update_allowed=True),
    }

    def handle_create(self):
        for busy in sorted(self.folder.glob('busy-*'))[:1]:
            busy.unlink()
            raise exception.Error('Nova is busy (HTTP 503)')
        made = str(uuid.uuid4())
        (self.folder / made).write_text(self.physical_resource_name())
        self._log('+')
        self.resource_id_set(made)
        if (self.folder / 'no-valid-host').exists():
            raise exception.Error('No valid host was found')

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        pass

    def needs_replace_failed(self):
        return True

    def handle_delete(self):
        if self.resource_id is None:
            return
        if (self.folder / f'stuck-{self.resource_id}').exists():
            raise exception.Error('the server cannot be deleted')
        with contextlib.suppress(FileNotFoundError):
            (self.folder / self.resource_id).unlink()
            self._log('-')

    def _log(self, sign):
        with (self.folder.parent / 'servers.log').open('a') as log:
            log.write(sign)


class FailOver(resource.Resource):
    """Something that a policy may be chained to."""

    asked: ClassVar[list] = []
    properties_schema: ClassVar[dict] = {}

    def fail_over(self, signal, chained):
        self.asked.append((signal, chained))
        return 'failed over'


def _remote(exc):
    """Let an exception look as it does when it has come over the bus."""
    text = rpc_common.serialize_remote_exception((type(exc), exc, exc.__traceback__))
    return rpc_common.deserialize_remote_exception(text, ['heat.common.exception'])


class Threads(service.ThreadGroupManager):
    """What an engine does in threads, put on a list."""

    def __init__(self, engine):
        self.engine = engine
        self.groups = {}
        self.msg_queues = collections.defaultdict(list)

    def start(self, stack_id, func, *args, **kwargs):
        self.engine.later(func, *args, **kwargs)
        return mock.Mock()

    def start_with_lock(self, cnxt, stack, engine_id, func, *args, **kwargs):
        raise NotImplementedError('only stacks with convergence are tested here')

    def start_with_acquired_lock(self, stack, lock, func, *args, **kwargs):
        def locked():
            try:
                func(*args, **kwargs)
            finally:
                # As Heat does at the end of such a thread.
                stack.persist_state_and_release_lock(lock.engine_id)

        self.engine.later(locked)

    def stop(self, stack_id, graceful=False):
        pass

    def stop_timers(self, stack_id):
        pass

    def add_msg_queue(self, stack_id, queue):
        pass

    def remove_msg_queue(self, thread, stack_id, queue):
        pass

    def send(self, stack_id, message):
        pass


class Engine:
    """One engine with its workers; ``in_place`` puts it where Heat looks for the bus."""

    def __init__(self, folder):
        self.folder = folder
        self.engine_id = str(uuid.uuid4())
        self.dead = set()
        self.servers = folder / 'servers'
        self.errors = []
        self._waiting = collections.deque()
        self._idle = 0
        self._service = None
        self._worker = None
        self.slept = 0.0
        self.before_sleep = None

    # --- doing ---------------------------------------------------------------------------

    def later(self, func, *args, **kwargs):
        """Put work on the list."""
        self._waiting.append((func, args, kwargs))

    def step(self):
        """Do what waits the longest. :returns: False when nothing waits."""
        if not self._waiting:
            return False
        func, args, kwargs = self._waiting.popleft()
        try:
            func(*args, **kwargs)
        except Exception as exc:
            # A thread's end: Heat logs it.
            self.errors.append(exc)
        return True

    def run(self):
        """Do all that waits."""
        while self.step():
            pass

    def sleep(self, seconds):
        """Pass time: do something of what waits."""
        self.slept += seconds or 0
        if self.before_sleep is not None:
            self.before_sleep()
        if self.step():
            self._idle = 0
            return
        self._idle += 1
        if self._idle > IDLE_LIMIT:
            self._idle = 0
            raise WaitsInVain('nobody works on what is waited for')

    def monotonic(self):
        """The time as our code sees it: real time and what it has slept."""
        return time.monotonic() + self.slept

    def now(self):
        """The same as the groups put it on record."""
        later = datetime.timedelta(seconds=self.slept)
        return (datetime.datetime.now(datetime.timezone.utc) + later).isoformat(timespec='seconds')

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

    def create(self, template, name='stack', files=None, params=None):
        """Create a stack from a template's text and wait for it. :returns: its identity."""
        parsed = template_format.parse(template)
        identity = self.call(
            'create_stack', name, parsed, {'parameters': params or {}}, files or {}, {}
        )
        self.run()
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
        """Load a stack anew."""
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

    def servers_there(self):
        """The ids of the servers that exist."""
        return {
            f.name
            for f in self.servers.iterdir()
            if not f.name.startswith(('no-valid-host', 'stuck-', 'busy-'))
        }

    def _counts(self):
        count = 0
        for sign in (self.folder / 'servers.log').read_text():
            count += 1 if sign == '+' else -1
            yield count

    @property
    def most_servers(self):
        """The most servers that there were at once."""
        return max(self._counts())

    def fewest_servers(self, after):
        """The fewest servers that there were at once since there were so many."""
        counts = list(self._counts())
        return min(counts[counts.index(after) :])

    def age(self, identity, by):
        """Let the last update of a stack be longer ago."""
        found = stack_object.Stack.get_by_id(self.context(), identity['stack_id'])
        found.update_and_save({'updated_at': (found.updated_at or found.created_at) - by})

    def set_status(self, identity, status):
        """Let a stack have this status, without anybody working on it."""
        found = stack_object.Stack.get_by_id(self.context(), identity['stack_id'])
        found.update_and_save({'status': status})

    # --- dying ---------------------------------------------------------------------------

    def _named(self, _clients, name):
        return [s.name for s in self.servers.iterdir() if s.read_text() == name]

    def dies(self, before_commit, work, *args):
        """Let another engine do ``work`` and die before the n-th time that it writes.

        :returns: False when it lived to the end.
        """
        other = str(uuid.uuid4())
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
            Server.folder = self.servers
            FailOver.asked.clear()
            self.servers.mkdir(exist_ok=True)
            self._service = service.EngineService('host', 'engine')
            self._service.engine_id = self.engine_id
            self._service.thread_group_mgr = Threads(self)
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
            (group_lease, 'time', own_clock),
            *((module, 'clock', own_time) for module in (group_store, group_lease, replacing)),
            (lease, 'own_engine_id', lambda: engine.engine_id),
            (keystone.KeystoneClientPlugin, '_create', lambda _self, **_kw: keystones),
            (policy.ResourceEnforcer, 'enforce', lambda *_a, **_kw: True),
            (heat_orphans, 'FINDERS', (engine._named,)),
        )


def _engine():
    return db_api.get_engine()


def start_heat(folder):
    """Set Heat up once in a process: options, database, types."""
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
    models.BASE.metadata.create_all(_engine())
    resources.initialise()
    resources.global_env().register_class('OS::Nova::Server', Server)
    resources.global_env().register_class('Test::FailOver', FailOver)


def forget_stacks():
    """Empty the database."""
    with _engine().connect() as connection, connection.begin():
        for table in reversed(models.BASE.metadata.sorted_tables):
            connection.execute(table.delete())
