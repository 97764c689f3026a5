# SPDX-License-Identifier: Apache-2.0
import dataclasses
import types
from unittest import mock

import pytest

from heat_ha import exceptions, serialization
from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import Reply, Server, ServerStatus
from heat_ha.failover import handoff_steps, model
from heat_ha.failover.handoff import driver, drivers, volume
from heat_ha.failover.model import StepKind
from heat_ha.failover.rules import moves
from tests.unit.failover import worlds


def test_each_kind_of_thing_has_one_driver_and_no_type_has_two():
    of = drivers.Drivers(mock.MagicMock())
    made = {thing: of[thing] for thing in model.ThingKind}
    assert all(one.thing is thing and of[thing] is one for thing, one in made.items())
    for one in made.values():
        for theirs, ours in one.stand_ins.items():
            assert drivers.of_type(theirs) is drivers.of_type(ours) is type(one)
            # A type that stands in for itself must not be looked up again and again.
            assert drivers.stand_ins().get(theirs, theirs) == ours
            assert drivers.stand_ins().get(ours) is None
    assert drivers.of_type('OS::Heat::None') is None


@dataclasses.dataclass(frozen=True)
class Share:
    """A look at a thing that no service of OpenStack has."""

    granted: frozenset[str]


class ShareDriver(driver.Driver[Share]):
    """A kind of thing of which nothing but the contract is known."""

    thing = model.ThingKind.VOLUME
    stand_ins = {'OS::Manila::Grant': 'OS::Heat::HandoffGrant'}
    properties = ('share', 'server', 'level')
    looked_at_in = asked_of = 'Manila'

    def __init__(self, services):
        self.granted = {'s1': {'server-a'}, 's2': {'server-a'}}
        self.requests = []

    def look(self, target):
        return Share(frozenset(self.granted[target]))

    def attached(self, targets, servers):
        return frozenset((t, s) for t, held in self.granted.items() for s in held if s in servers)

    def release(self, target, old):
        self.requests.append(('release', target, old))
        self.granted[target].remove(old)
        return Reply.ACCEPTED, ''

    def acquire(self, target, new, detail):
        assert not self.granted[target], 'S1'
        self.requests.append(('acquire', target, new, detail))
        self.granted[target].add(new)
        return Reply.ACCEPTED, ''

    @staticmethod
    def next_release(seen, old, new):
        return moves.Request() if old in seen.granted else moves.Free('nobody has it')

    @staticmethod
    def next_acquire(seen, old, new):
        if new in seen.granted:
            return moves.Done('it is granted')
        return moves.Wait('somebody has it') if seen.granted else moves.Request()

    @staticmethod
    def holders(seen):
        return seen.granted

    @staticmethod
    def is_under_way(seen):
        return False

    @staticmethod
    def why_never_moved(seen):
        return None


@pytest.mark.parametrize('targets', [('s1',), ('s1', 's2')])
def test_the_executor_moves_what_it_knows_by_the_contract_alone(monkeypatch, targets):
    shares = ShareDriver(None)
    monkeypatch.setattr(drivers, 'Drivers', lambda services: {shares.thing: shares})
    world = worlds.seen(
        (worlds.candidate('a'), worlds.candidate('b')),
        volumes=tuple(model.Attachment(t, 'rw', thing=shares.thing) for t in targets),
    )
    plan = worlds.plan(world)
    nova = types.SimpleNamespace(server=lambda server: Server(server, ServerStatus.ACTIVE))
    steps = handoff_steps.HandoffSteps(
        types.SimpleNamespace(nova=nova, given_up=lambda *_of: ''),
        lambda: plan,
        lambda: None,
        {},
        None,
    )
    with steps.pool(plan.steps):
        for kind in (StepKind.DETACH, StepKind.ATTACH):
            for step in plan.steps:
                if step.kind is kind:
                    assert steps.do(step)
        steps.abandon()
    assert all(shares.granted[t] == {'server-b'} for t in targets)
    assert shares.requests == [
        *(('release', t, 'server-a') for t in targets),
        *(('acquire', t, 'server-b', 'rw') for t in targets),
    ]


def test_a_step_about_a_volume_is_on_record_as_versions_before_wrote_it():
    step = model.Step('detach:v1', StepKind.DETACH, 'v1')
    assert step.thing is model.ThingKind.VOLUME
    plain = serialization.encode(step)
    assert 'thing' not in plain and serialization.decode(model.Step, plain, 'it') == step


def test_a_step_about_a_thing_that_this_version_does_not_know_is_refused():
    plain = serialization.encode(model.Step('detach:x', StepKind.DETACH, 'x'))
    with pytest.raises(exceptions.Unreadable, match='of_next_year'):
        serialization.decode(model.Step, plain | {'thing': 'of_next_year'}, 'it')


@pytest.mark.parametrize('status', cloud.VolumeStatus)
def test_a_volume_that_nova_is_at_is_under_way(status):
    at_work = {'reserved', 'attaching', 'detaching'}
    seen = cloud.Volume('v1', status, frozenset({'server-a'}))
    assert volume.VolumeDriver.is_under_way(seen) is (status.value in at_work)
