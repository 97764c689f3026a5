# SPDX-License-Identifier: Apache-2.0
"""Whole rescues, in a Nova that does what Nova does: each ends, and in the right way."""

import dataclasses
import types

import pytest

from heat_ha.cloud.model import Host, HostState, ServerStatus
from heat_ha.rescue import journal, model
from heat_ha.rescue.model import Cause, Method, Migration, State
from heat_ha.rescue.rules import causes, decide, methods, server_states, steps, waiting

STATUS = {'active': 'ACTIVE', 'stopped': 'SHUTOFF', 'error': 'ERROR'}
LISTS = {
    'evacuate': [model.Rule(Method.EVACUATE, 60, 2)],
    'evacuate, recreate': [model.Rule(Method.EVACUATE, 60, 2), model.Rule(Method.RECREATE, 60, 2)],
    'evacuate, failover, none': [
        model.Rule(Method.EVACUATE, 60), model.Rule(Method.FAILOVER, 60), model.Rule(Method.NONE),
    ],
}  # fmt: skip

# What becomes of an evacuation, how it ends where evacuate is all there is, and whether a method
# that deletes the server may follow where the template has one.
OUTCOMES = {
    'done': (State.DONE, False),
    'slow': (State.DONE, False),
    'never': (State.FAILED, False),
    'no host': (State.FAILED, False),
    'rolled back': (State.FAILED, False),
    'keys': (State.FAILED, False),
    'no fault': (State.FAILED, False),
    'build': (State.FAILED, True),
    'disk': (State.FAILED, False),
    'answer lost': (State.DONE, False),
    'request lost': (State.DONE, False),
    'no answer': (State.FAILED, False),
    'refused once': (State.DONE, False),
    'refused': (State.FAILED, False),
    'forbidden': (State.FAILED, False),
    'unsupported': (State.FAILED, True),
    'no credential': (State.FAILED, True),
    'cut off': (State.DONE, False),
    'cut off always': (State.FAILED, False),
    'dies there': (State.DONE, False),
    'address lost': (State.FAILED, False),
    'error there': (State.FAILED, False),
    'stopped there': (State.DONE, False),
    'deleted': (State.LEFT_ALONE, False),
    'host up': (State.LEFT_ALONE, False),
    'Nova mute': (State.FAILED, False),
    'migrations mute': (State.FAILED, False),
}

ANSWERS = {
    'no answer': Cause.COULD_NOT_ASK, 'request lost': Cause.COULD_NOT_ASK,
    'answer lost': Cause.COULD_NOT_ASK, 'refused': Cause.STATE, 'refused once': Cause.STATE,
    'forbidden': Cause.FORBIDDEN, 'unsupported': Cause.UNSUPPORTED,
    'no credential': Cause.NO_CREDENTIAL,
}  # fmt: skip
ONLY_ONCE = ('request lost', 'answer lost', 'refused once')
FAULTS = {
    'no host': 'No valid host was found. There are not enough hosts available.',
    'keys': 'KeyManagerError',
    'no fault': '',
    'build': 'Unacceptable CPU info: the guest has features that the host lacks',
    'disk': 'Build of instance aborted: volume is not ready',
}


class World:
    """One server, its host that is dead, and hosts b, c, … that Nova moves it to."""

    def __init__(self, vm_state, outcome, task=''):
        self.now, self.outcome = 1000.0, outcome
        self.vm_state, self.task, self.place = vm_state, task, 'old'
        self.addresses, self.fault = ('10.0.0.5',), ''
        self.dead, self.is_gone = {'old'}, False
        self.migration, self.ends_at = Migration(Migration.ABSENT), None
        self.asked = 0

    def server(self):
        if self.outcome == 'Nova mute':
            return model.Server('s', ServerStatus.COULD_NOT_ASK)
        if self.is_gone:
            return model.Server('s', ServerStatus.GONE)
        status = STATUS.get(self.vm_state, self.vm_state.upper())
        return model.Server(
            's', ServerStatus.of(status), self.place, self.task, (), self.addresses, status,
            vm_state=self.vm_state, power_state=1, fault=self.fault, boots_from_volume=True,
        )  # fmt: skip

    def host(self, name):
        return Host(HostState.CONFIRMED_DOWN if name in self.dead else HostState.UP, name)

    def is_building(self):
        return self.ends_at is not None and self.migration.destination not in self.dead

    def evacuate(self, is_reset):
        self.asked += 1
        answer = ANSWERS.get(self.outcome)
        if answer and self.outcome in ONLY_ONCE and self.asked > 1:
            answer = None
        if answer and self.outcome != 'answer lost':
            return answer
        if is_reset:
            self.vm_state, self.task = 'error', ''
        assert self.vm_state in STATUS and not self.task, 'Nova answers 409'
        to = 'bcdefghijk'[self.asked]
        self.migration = Migration('pre-migrating', 'evacuation', self.now, to)
        self.task = 'rebuild_spawning'
        self.ends_at = self.now + {'slow': 5000.0, 'never': 1e9}.get(self.outcome, 100.0)
        return answer

    def recreate(self):
        self.is_gone = True

    def passes(self, seconds):
        self.now += seconds
        if self.outcome == 'deleted' and self.now > 1050:
            self.is_gone = True
        if self.outcome == 'host up' and self.now > 1050:
            # Before Nova has begun: the operator has seen that it was a mistake.
            self.dead.clear()
            if self.migration.status == 'pre-migrating':
                self.task, self.ends_at, self.migration = '', None, self._moved('failed')
        if self.ends_at is None:
            return
        if self.outcome.startswith('cut off') and (self.asked == 1 or 'always' in self.outcome):
            self.dead.add(self.migration.destination)
        elif self.now >= self.ends_at:
            self._built()

    def _moved(self, status):
        return dataclasses.replace(self.migration, status=status)

    def _built(self):
        self.ends_at, self.task = None, ''
        if self.outcome in FAULTS:
            self.vm_state, self.fault = 'error', FAULTS[self.outcome]
            self.migration = self._moved('error' if self.outcome == 'no host' else 'failed')
            return
        if self.outcome == 'rolled back':
            self.migration = self._moved('failed')
            return
        self.place, self.migration = self.migration.destination, self._moved('done')
        self.vm_state = 'stopped' if self.vm_state == 'stopped' else 'active'
        if self.outcome == 'dies there' and self.asked == 1:
            self.dead.add(self.place)
        elif self.outcome == 'address lost':
            self.addresses = ()
        elif self.outcome == 'error there':
            self.vm_state = 'error'
        elif self.outcome == 'stopped there':
            self.vm_state = 'stopped'


class Life:
    """One rescue, from its beginning to its end, with a record as an engine has it."""

    def __init__(self, world, rules):
        data = {}
        policy = types.SimpleNamespace(
            data=lambda: dict(data), data_set=data.__setitem__, data_delete=data.pop
        )
        self.world, self.rules, self.begun, self.events = world, rules, [], []
        self.journal = journal.Journal(
            policy, lambda status, text: self.events.append((status, text)), lambda: world.now
        )
        before = dataclasses.replace(World.server(world), server='s')
        if world.outcome == 'Nova mute':
            before = model.Server('s', ServerStatus.ACTIVE, 'old', detail='ACTIVE')
        self.journal.take_on('s', 'web', before, True, world.now)

    def run(self):
        for _ in range(2000):
            step = self.decided()
            if isinstance(step, steps.End):
                self.journal.end('s', step)
                return step
            self.carry_out(step)
            self.world.passes(4.0 if self.world.now < 2000 else 60.0)
        raise AssertionError(f'it never ends: {step}')

    def decided(self):
        world, known = self.world, self.journal['s']
        server = world.server()
        seen = model.Observation(
            server, world.host(known.before.host), world.now,
            here=world.host(server.host) if server.host != known.before.host else None,
        )  # fmt: skip
        step = decide.next_step(known, self.rules, model.Verify(), seen)
        if isinstance(step, steps.AskMigration):
            migration = world.migration
            if world.outcome == 'migrations mute':
                migration = Migration(Migration.COULD_NOT_ASK)
            to = migration.destination
            seen = dataclasses.replace(
                seen, migration=migration, destination=world.host(to) if to else None,
                absent_for=world.now - 1000,
            )  # fmt: skip
            step = decide.next_step(known, self.rules, model.Verify(), seen)
            assert not isinstance(step, steps.AskMigration)
        return step

    def carry_out(self, step):
        world = self.world
        if isinstance(step, steps.Begin):
            assert not world.is_building(), 'two methods at once'
            assert world.is_gone or world.place == self.journal['s'].before.host
            self.begun.append(step.method)
            self.journal.begin('s', step)
            if step.method is Method.EVACUATE:
                answer = world.evacuate(step.is_reset)
                if answer is not None:
                    self.journal.failed(['s'], causes.Unsuccessful(answer))
            else:
                assert world.place in world.dead
                world.recreate()
                self.journal.returned('s')
        elif isinstance(step, steps.StartOver):
            self.journal.start_over('s', step, world.place)
        elif isinstance(step, steps.Stop):
            world.vm_state = 'stopped'
            self.journal.stopped('s', step)
        elif isinstance(step, steps.Arrive):
            self.journal.arrived('s')
        elif isinstance(step, steps.Remind):
            self.journal.remind('s', step)


def ends(vm_state):
    row = server_states.VM_STATES[vm_state]
    return {'': None, 'SHUTOFF': 'stopped'}.get(row.ends.value, 'active')


@pytest.mark.parametrize('named', LISTS)
@pytest.mark.parametrize('outcome', OUTCOMES)
def test_a_rescue_ends_as_its_states_and_nova_let_it(outcome, named):
    for vm_state in server_states.VM_STATES:
        check_one(vm_state, outcome, named)


def check_one(vm_state, outcome, named):
    world = World(vm_state, outcome)
    life = Life(world, LISTS[named])
    end = life.run()
    way = server_states.VM_STATES[vm_state].way
    is_moved = way not in (server_states.Way.LEAVE, server_states.Way.BUILD)
    if outcome == 'Nova mute':
        assert end.state is State.FAILED and not life.begun
        return
    if not is_moved:
        assert end.state is State.LEFT_ALONE and not life.begun
        return
    expected, may_replace = OUTCOMES[outcome]
    if outcome == 'host up' and world.vm_state == 'error':
        # It was in error, or had been reset: nobody knows whether it runs there.
        expected = State.FAILED
    if outcome == 'migrations mute' and vm_state in ('active', 'stopped'):
        # It was begun without the question, and its server shows that it is there.
        expected = State.DONE
    replaces = [m for m in life.begun if methods.of(m).deletes_server]
    if may_replace and named != 'evacuate':
        assert end.state is State.DONE and len(replaces) == 1, end
    else:
        assert not replaces, end
        hands_off = 'none' in named and expected is State.FAILED and 'template' in end.reason
        assert end.state is (State.LEFT_ALONE if hands_off else expected), end
        assert not world.is_gone or outcome == 'deleted'
    if expected is State.DONE and outcome != 'stopped there':
        assert world.vm_state == ends(vm_state), end
    # Somebody follows it in the events: not too few, not too many.
    assert len(life.events) < 60, life.events
    waited = world.now - 1000
    assert len(life.events) >= 2 + waited // (waiting.REMIND + waiting.LONGEST / 4)
    assert waited < 2.5 * waiting.LONGEST


@pytest.mark.parametrize('task', server_states.TASK_STATES)
@pytest.mark.parametrize('outcome', ['done', 'no host', 'build'])
def test_a_task_that_died_with_its_host_ends_too(task, outcome):
    for vm_state in server_states.VM_STATES:
        check_task(vm_state, task, outcome)


def check_task(vm_state, task, outcome):
    world = World(vm_state, outcome, task)
    life = Life(world, LISTS['evacuate, recreate'])
    end = life.run()
    row = server_states.row_of(life.journal['s'].before)
    if row.way in (server_states.Way.LEAVE, server_states.Way.BUILD):
        assert end.state is State.LEFT_ALONE and not life.begun
    elif row.way is server_states.Way.PERSON:
        assert end.state is State.FAILED and not life.begun
    else:
        assert life.begun[0] is Method.EVACUATE
        assert end.state is (State.FAILED if outcome == 'no host' else State.DONE)
        assert (Method.RECREATE in life.begun) is (outcome == 'build')


def test_no_event_names_a_host_or_the_error_of_an_administrator():
    for outcome in OUTCOMES:
        life = Life(World('active', outcome), LISTS['evacuate'])
        life.journal.failed(['s'], ValueError('Compute service of compute-7 is still in use'))
        life.journal.begin('s', steps.Begin('again', 0, 1, Method.EVACUATE))
        life.run()
        assert not any('compute-7' in text for _status, text in life.events)
