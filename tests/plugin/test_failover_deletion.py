# SPDX-License-Identifier: Apache-2.0
"""A FailoverPolicy is deleted with all that belongs to it, whichever engine dies meanwhile."""

import contextlib
import dataclasses
import itertools
import types

import pytest
from heat.common import exception
from heat.engine import properties, resource, resources, worker
from heat.objects import stack as stack_object
from tenacity import nap

from heat_ha import exceptions
from heat_ha.cloud import clients, heat_stalled, nested_stack
from heat_ha.cloud import model as cloud
from heat_ha.failover import hook_runner, model
from heat_ha.failover.adapters import hook_stack
from heat_ha.failover.rules import hook
from tests.plugin import schedule

pytestmark = pytest.mark.engine

# An engine is killed before every fifth write.
KILL_EVERY = 5

TEMPLATE = """
heat_template_version: 2016-10-14
resources:
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 2
      max_size: 3
      resource: {type: OS::Nova::Server}
  policy:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {get_resource: group}
      resource:
        type: OS::Heat::Value
        properties: {value: '%active%'}
"""

HOOK = model.Hook('config', {}, 60.0, 0.0, model.OnFailure.STOP)


class Deployment(resource.Resource):
    """A deployment that no server ever answers. ``fails`` has the deletions that fail."""

    fails = 0
    properties_schema = {
        name: properties.Schema(kind)
        for name, kind in (('config', 'String'), ('server', 'String'), ('input_values', 'Map'))
    }

    def handle_create(self):
        self.resource_id_set(self.uuid)

    def handle_delete(self):
        if Deployment.fails:
            Deployment.fails -= 1
            raise RuntimeError('Keystone did not answer')


class Clients:
    """Nova as the folder of servers shows it; all hosts are up."""

    def __init__(self, engine):
        self.nova = self.hosts = self
        self._engine = engine

    def server(self, server):
        is_there = server in self._engine.servers_there()
        status = cloud.ServerStatus.ACTIVE if is_there else cloud.ServerStatus.GONE
        return cloud.Server(server, status, 'host', status.value)

    def all(self):
        return UpHosts()

    def state(self, server):
        return UpHosts()(server)


class UpHosts:
    has_dead = False

    def __call__(self, _server):
        return cloud.Host(cloud.HostState.UP, 'its host is up')


@pytest.fixture
def engines(heat, tmp_path, monkeypatch):
    """Makes an engine with an empty database, again and again."""
    kind = 'OS::Heat::SoftwareDeployment'
    own = resources.global_env().get_class(kind)
    resources.global_env().register_class(kind, Deployment)
    # Heat waits for ten seconds for what dead engines hold, and then goes on as this does.
    monkeypatch.setattr(worker.WorkerService, 'stop_all_workers', lambda *_args: False)
    made = []

    def make():
        heat.forget_stacks()
        folder = tmp_path / str(len(made))
        folder.mkdir()
        engine = heat.Engine(folder)
        made.append(engine)
        monkeypatch.setattr(clients, 'StackClients', lambda _policy: Clients(engine))
        clock = types.SimpleNamespace(monotonic=engine.monotonic, sleep=engine.sleep)
        for module in (heat_stalled, nested_stack, nap):
            monkeypatch.setattr(module, 'time', clock)
        return engine.in_place()

    yield make
    Deployment.fails = 0
    resources.global_env().register_class(kind, own)


def with_runs(engine, *runs):
    """A stack whose policy has left runs of hooks behind. :returns: its identity."""
    stack = engine.create(TEMPLATE)
    loaded = engine.stack(stack)
    policy = loaded['policy']
    for run in runs:
        hook_stack.start(policy, hook_stack.name_of(policy, run), HOOK, 'server')
    engine.run()
    return stack


def left(engine):
    """The stacks that Heat still has, nested ones too."""
    return sorted(s.name for s in stack_object.Stack.get_all(engine.context(), show_nested=True))


def delete(engine, stack):
    with contextlib.suppress(exception.EntityNotFound):
        engine.call('delete_stack', stack)
    engine.run()


def end_run(engine, stack, run):
    loaded = engine.stack(stack)
    policy = loaded['policy']
    hook_stack.end(policy, hook_stack.name_of(policy, run))
    engine.run()


def test_an_engine_may_die_before_any_write_of_a_deletion_and_the_next_deletion_ends_it(engines):
    died = 0
    for before_commit in itertools.count(1, KILL_EVERY):
        with engines() as engine:
            stack = with_runs(engine, 'activate-1')
            is_dead = engine.dies(before_commit, delete, engine, stack)
            if is_dead:
                died += 1
                delete(engine, stack)
            assert left(engine) == [], (before_commit, engine.errors)
            if not is_dead:
                break
    assert died > 5


def test_a_run_whose_deletion_died_with_its_engine_is_deleted_with_the_policy(engines):
    died = 0
    for before_commit in itertools.count(1, 2):
        with engines() as engine:
            stack = with_runs(engine, 'activate-1')
            is_dead = engine.dies(before_commit, end_run, engine, stack, 'activate-1')
            died += is_dead
            delete(engine, stack)
            assert left(engine) == [], (before_commit, engine.errors)
            assert engine.slept < 90, before_commit
            if not is_dead:
                break
    assert died > 5


@pytest.mark.parametrize('failures', [1, 3, 99])
def test_a_deletion_of_a_run_that_fails_is_tried_again_and_does_not_hold_the_stack(
    engines, failures
):
    with engines() as engine:
        stack = with_runs(engine, 'activate-1')
        Deployment.fails = failures
        delete(engine, stack)
        assert engine.is_gone(stack)
        assert len(left(engine)) == (failures == 99)


def test_what_was_sent_for_a_run_and_lost_is_sent_again(engines, monkeypatch):
    sent = []
    end = hook_stack.end

    def lose_the_first(policy, name):
        sent.append(name)
        if len(sent) > 1:
            end(policy, name)

    with engines() as engine:
        stack = with_runs(engine, 'activate-1')
        monkeypatch.setattr(hook_stack, 'end', lose_the_first)
        delete(engine, stack)
        assert left(engine) == [] and len(sent) == 2


def test_runs_of_earlier_plans_go_with_the_policy_and_what_is_beside_it_stays(engines):
    with engines() as engine:
        other = with_runs(engine, 'activate-1')
        kept = left(engine)
        stack = engine.create(TEMPLATE, name='stack-2')
        loaded = engine.stack(stack)
        for run in ('quiesce-first', 'activate-first', 'quiesce-second'):
            name = hook_stack.name_of(loaded['policy'], run)
            hook_stack.start(loaded['policy'], name, HOOK, 'server')
        engine.run()
        delete(engine, stack)
        assert left(engine) == kept
        delete(engine, other)
        assert left(engine) == []


def test_a_run_begins_although_the_removal_of_the_one_before_died_with_its_engine(
    engines, monkeypatch
):
    with engines() as engine:
        clock = types.SimpleNamespace(monotonic=engine.monotonic, sleep=engine.sleep)
        monkeypatch.setattr(hook_runner, 'time', clock)
        stack = with_runs(engine, 'quiesce-p1')
        assert engine.dies(3, end_run, engine, stack, 'quiesce-p1')
        loaded = engine.stack(stack)
        policy, (server, *_) = loaded['policy'], engine.servers_there()
        wanted = dataclasses.replace(HOOK, timeout=200.0)
        run = hook_runner.HookRun(policy, Clients(engine), wanted, 'quiesce-p1', server)
        states = []

        def look(*args, look=hook_stack.look):
            states.append(look(*args))
            return states[-1]

        monkeypatch.setattr(hook_stack, 'look', look)
        monkeypatch.setattr(hook_stack, '_deployment_id', lambda *_args: None)
        with contextlib.suppress(exceptions.Stopped, schedule.WaitsInVain):
            run.to_end(lambda: None)
        assert hook.RunState.STARTING in {seen.state for seen in states}
