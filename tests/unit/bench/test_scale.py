# SPDX-License-Identifier: Apache-2.0
"""The benchmark of scale: who is where in the simulated cloud, and what its Nova shows."""

import argparse
import array
import time
import types

import pytest

# The benchmarks read the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')

from bench import scale, scale_world


def shared(hosts):
    return scale_world.Shared.of(hosts, lambda code, size: array.array(code, [0]) * size)


def nova(found):
    return scale_world.Nova(found, lambda one: one, lambda text, _at: text)


@pytest.mark.parametrize('hosts', [50, 100, 1000])
def test_each_host_has_as_many_servers_and_those_of_a_stack_are_on_different_hosts(hosts):
    seen = set()
    for host in range(hosts):
        own = scale_world.servers_of(host, hosts)
        assert {scale_world.host_of(one, hosts) for one in own} == {host}
        stacks = [one // scale_world.SERVERS_OF_A_STACK for one in own]
        assert len(set(stacks)) == scale_world.SERVERS_OF_A_HOST
        assert sum(map(scale_world.is_protected, stacks)) == 10
        seen |= set(own)
    assert seen == set(range(hosts * scale_world.SERVERS_OF_A_HOST))


def test_a_dead_host_is_down_after_a_while_and_one_that_is_marked_at_once():
    world = shared(50)
    world.died[1] = time.time() - 2 * scale_world.DOWN_AFTER
    world.died[2] = time.time()
    made = nova(world)
    made.mark_down(types.SimpleNamespace(host='compute-00003'), 'why')
    found = made.compute_services()
    assert {h for h, one in found.items() if one.state == 'down'} == {
        'compute-00001', 'compute-00003',
    }  # fmt: skip
    assert [h for h, one in found.items() if one.forced_down] == ['compute-00003']


def test_a_signal_takes_the_servers_of_its_stack_from_hosts_that_are_marked():
    world = shared(50)
    made = nova(world)
    host = scale_world.host_of(2, 50)
    name, server = scale_world.host_name(host), scale_world.server_id(2)
    assert made.signalled(scale_world.stack_id(0, False)) == []
    world.marked[host] = time.time()
    assert server in made.servers_on(name, 'p0') and server not in made.servers_on(name, 'p1')
    assert made.signalled(scale_world.stack_id(0, False)) == [host]
    assert server not in made.servers_on(name)


def test_dead_hosts_are_at_most_a_tenth_of_all():
    assert scale.possible([1, 10, 100], 10000) == [1, 10, 100]
    assert scale.possible([1, 10, 100], 1000) == [1, 10]
    assert scale.possible([1, 10, 100], 50) == [1]


def test_sizes_give_each_host_as_many_protected_servers():
    assert scale.sizes_of('1000,100') == [100, 1000]
    for wrong in ('', '70', '0'):
        with pytest.raises(argparse.ArgumentTypeError):
            scale.sizes_of(wrong)


def test_signals_that_have_not_come_are_not_passed_over_in_words():
    one = {'dead': 2, 'nova_shows_after_s': 18.0, 'first_s': 20.0, 'last_s': None, 'servers': 20}
    [sentence] = scale.sentences({'dead': [one | {'without_a_signal': 3}]})
    assert sentence.endswith('of 20 after - (not in time); 3 never came.')
