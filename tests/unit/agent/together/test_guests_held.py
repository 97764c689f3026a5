# SPDX-License-Identifier: Apache-2.0
"""What holds an agent back from a host holds it back from single guests of that host as well."""

import types

from tests.unit.agent.worlds import begin, store

__all__ = ['begin', 'store']


def regions(scene):
    """What the agent knows of all hosts whenever it looks at guests."""
    seen = []
    scene.agent._guests = types.SimpleNamespace(start=seen.append, stop=lambda: None)
    return seen


def test_no_guest_is_shut_out_before_it_is_clear_that_its_host_alone_is_silent(begin):
    scene = begin(hosts=9)
    seen = regions(scene)
    scene.tick(40)
    scene.clock.dead = {'c1', 'c2', 'c3', 'c4'}
    while seen[-1].services['c1'].is_up:
        scene.tick(1)
    # The others do not look silent yet.
    assert seen[-1].held('c1')
    scene.tick(30)
    assert 'storm guard' in seen[-1].held('c1')


def test_a_guest_of_a_host_that_alone_is_silent_may_be_shut_out(begin):
    scene = begin(hosts=9)
    seen = regions(scene)
    scene.tick(40)
    scene.clock.dead = {'c1'}
    scene.tick(30)
    assert not seen[-1].services['c1'].is_up
    assert not seen[-1].held('c1') and not seen[-1].problem()


def test_an_agent_that_was_cut_off_just_now_shuts_no_guest_out(begin):
    scene = begin(hosts=9, settle=20.0)
    seen = regions(scene)
    scene.tick(1)
    assert 'cut off less than 20 s ago' in seen[-1].held('c1')
    scene.tick(30)
    assert 'cut off' not in seen[-1].held('c1')
