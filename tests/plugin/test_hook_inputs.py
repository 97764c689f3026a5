# SPDX-License-Identifier: Apache-2.0
"""What the hooks of a FailoverPolicy are given: the members as they are when the hook runs."""

import textwrap

import pytest

from heat_ha.failover.adapters import hook_stack
from heat_ha.failover.rules import hook
from tests.plugin import failover

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine

MEMBER = """
heat_template_version: 2016-10-14
resources:
  server: {type: OS::Nova::Server}
outputs:
  OS::stack_id: {value: {get_resource: server}}
  address: {value: {str_replace: {template: at-ID, params: {ID: {get_resource: server}}}}}
"""
FILES = {'member.yaml': MEMBER}
GROUP = """
min_size: 1
max_size: 3
desired_capacity: SIZE
resource: {type: member.yaml}
"""
INPUTS = """
  config: {get_resource: script}
  input_values:
    addresses: {get_attr: [group, outputs_list, address]}
    by_name: {get_attr: [group, outputs, address]}
    refs: {get_attr: [group, refs]}
    text:
      list_join: [',', {get_attr: [group, outputs_list, address]}]
    me: '%active%'
    mine: 'http://%active.address%/'
    given: {get_param: word}
    nested: {list: ['%active%', {get_attr: [group, refs_map]}]}
"""
HOOKS = f'activate:{INPUTS}quiesce:{INPUTS}'


class Runs:
    """The runs of hooks that were started, each of which ends well at once."""

    def __init__(self):
        self.inputs = []

    def start(self, policy, name, wanted, server):
        kind = 'activate' if '-activate-' in name else 'quiesce'
        self.inputs.append((kind, server, dict(wanted.input_values)))
        self.last = name

    def look(self, policy, name):
        is_there = self.inputs and self.last == name
        return hook.Run(hook.RunState.COMPLETE if is_there else hook.RunState.ABSENT)

    def take(self, kind):
        """The server and the inputs of the newest run of this kind."""
        return [found[1:] for found in self.inputs if found[0] == kind][-1]


@pytest.fixture
def runs(monkeypatch):
    found = Runs()
    monkeypatch.setattr(hook_stack, 'start', found.start)
    monkeypatch.setattr(hook_stack, 'look', found.look)
    monkeypatch.setattr(hook_stack, 'end', lambda _policy, _name: None)
    return found


def template(size=2, hooks=HOOKS, word='first'):
    more = 'script: {type: OS::Heat::Value, properties: {value: script}}'
    text = failover.template(hooks, more=more, group=GROUP.replace('SIZE', str(size)))
    return f'{text}parameters:\n  word: {{type: string, default: {word}}}\n'


def check(engine, stack, runs, kind, server, word='first'):
    """What the newest run of this kind was given is what is there now."""
    ran_on, given = runs.take(kind)
    assert ran_on == server == given['me']
    there = {m.name: m.servers[0] for m in engine.members(stack).members}
    addresses = {name: f'at-{one}' for name, one in there.items()}
    assert sorted(given['addresses']) == sorted(addresses.values())
    assert given['by_name'] == addresses
    assert sorted(given['text'].split(',')) == sorted(addresses.values())
    assert sorted(given['refs']) == sorted(there.values())
    assert given['mine'] == f'http://at-{server}/'
    assert given['nested']['list'][0] == server
    assert given['nested']['list'][1] == there
    assert given['given'] == word


def during_hooks(engine, stack, runs, monkeypatch):
    """Check each run at its start, when the group is as the run has to see it."""
    plain = runs.start

    def start(policy, name, wanted, server):
        plain(policy, name, wanted, server)
        check(engine, stack, runs, runs.inputs[-1][0], server)

    monkeypatch.setattr(hook_stack, 'start', start)


def test_the_first_active_is_given_the_members_that_were_made(engine, runs):
    stack = engine.create(template(), files=FILES)
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    assert [found[0] for found in runs.inputs] == ['activate']
    check(engine, stack, runs, 'activate', failover.attribute(engine, stack, 'active_server'))


@pytest.mark.parametrize('size', [1, 2, 3])
def test_each_failover_gives_the_members_of_its_moment(engine, runs, monkeypatch, size):
    stack = engine.create(template(size), files=FILES)
    during_hooks(engine, stack, runs, monkeypatch)
    for count in range(1, 4):
        old = failover.attribute(engine, stack, 'active_server')
        engine.signal(stack, 'policy')
        assert failover.attribute(engine, stack, 'state') == 'ready'
        new = failover.attribute(engine, stack, 'active_server')
        assert new != old and len(runs.inputs) == 1 + 2 * count
        assert runs.take('quiesce')[0] == old and runs.take('activate')[0] == new
        assert {m.servers[0] for m in engine.members(stack).members} != {old, new} or size == 2


def test_a_group_that_another_policy_has_scaled_is_seen_as_it_is(engine, runs, monkeypatch):
    grows = """
    grows:
      type: OS::Heat::ScalingPolicy
      properties:
        adjustment_type: change_in_capacity
        auto_scaling_group_id: {get_resource: group}
        scaling_adjustment: 1
    """
    text = template().replace('  script:', textwrap.indent(
        textwrap.dedent(grows), '  ') + '  script:')  # fmt: skip
    stack = engine.create(text, files=FILES)
    engine.signal(stack, 'grows')
    during_hooks(engine, stack, runs, monkeypatch)

    engine.signal(stack, 'policy')

    assert len(runs.take('activate')[1]['addresses']) == 3


def test_an_update_of_the_stack_gives_what_it_brings(engine, runs):
    stack = engine.create(template(), files=FILES)
    engine.signal(stack, 'policy')
    engine.update(stack, template(word='second'), files=FILES)
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE'

    engine.signal(stack, 'policy')

    assert runs.take('activate')[1]['given'] == 'second'


def test_an_update_that_failed_before_it_came_to_the_policy_changes_nothing_of_it(engine, runs):
    stack = engine.create(template(), files=FILES)
    engine.signal(stack, 'policy')
    (engine.servers / 'no-valid-host').touch()
    engine.update(stack, template(3, word='second'), files=FILES)
    assert engine.state(stack)[0] == 'UPDATE_FAILED'
    (engine.servers / 'no-valid-host').unlink()
    count = len(runs.inputs)

    engine.signal(stack, 'failover', {'action': 'switchover'})

    assert len(runs.inputs) == count + 2
    server, given = runs.take('activate')
    there = {s for m in engine.members(stack).members for s in m.servers}
    assert given['given'] == 'first' and given['me'] == server
    assert {f'at-{s}' for s in there} >= set(given['addresses']) >= {f'at-{server}'}
    assert f'at-{runs.take("quiesce")[0]}' in given['addresses']


def test_a_group_that_cannot_be_asked_gives_the_values_of_the_last_action(
    engine, runs, monkeypatch
):
    stack = engine.create(template(), files=FILES)
    before = sorted(runs.take('activate')[1]['addresses'])
    resource = type(engine.stack(stack)['group'])
    monkeypatch.setattr(resource, 'node_data', lambda _self, *_a, **_kw: 1 / 0)

    engine.signal(stack, 'policy')

    server, given = runs.take('activate')
    assert failover.attribute(engine, stack, 'state') == 'ready'
    assert sorted(given['addresses']) == before and given['me'] == server


@pytest.mark.parametrize('on_failure', ['continue', 'stop'])
def test_an_attribute_that_a_member_lacks_is_as_if_the_hook_had_failed(engine, runs, on_failure):
    quiesce = (
        'quiesce: {config: {get_resource: script}, input_values: {at: "%active.nothing%"}, '
        f'on_failure: {on_failure}}}'
    )
    stack = engine.create(template(hooks=quiesce), files=FILES)

    engine.signal(stack, 'policy')

    state = failover.attribute(engine, stack, 'state')
    if on_failure == 'stop':
        assert state == 'stopped' and 'nothing' in failover.attribute(engine, stack, 'reason')
    else:
        assert state == 'ready' and runs.take('quiesce')[1] == {'at': ''}


def test_what_heat_shows_of_the_group_is_up_to_date_as_well(engine, runs):
    stack = engine.create(template(), files=FILES)
    engine.signal(stack, 'policy')
    loaded = engine.stack(stack)
    there = {m.servers[0] for m in engine.members(stack).members}
    assert set(loaded['group'].FnGetAtt('outputs_list', 'address')) == {f'at-{s}' for s in there}
    assert set(loaded['group'].FnGetAtt('refs')) == there
