# SPDX-License-Identifier: Apache-2.0
"""A campaign without a cloud: what one run leaves to the next, and what is told in the end."""

import argparse
import contextlib
import json
import types

import pytest

# The campaign reads the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')

from chaos.real import choice, drive, pair, run

OPTIONS = argparse.Namespace(seed=3, runs=3, first_run=1, minutes=60.0)


class Driver:
    """Stands in for a failover; ``ends`` has what becomes of each, by number."""

    ends = {}

    def __init__(self, outcome, one, _folder, _say):
        self.outcome, self.pair = outcome, one

    def drive(self, _admin):
        wrong = self.ends.get(self.outcome.run.number)
        if isinstance(wrong, BaseException):
            raise wrong
        self.outcome.wrong += wrong or []
        self.outcome.is_done, self.outcome.seconds, self.outcome.pause_s = True, 40.0, 5.0

    def seen_at_last(self):
        return ['what the agent said']


class World:
    def __init__(self):
        self.made, self.whole, self.is_left, self.open = [], 0, [], set()

    @contextlib.contextmanager
    def make(self, _admin, _cloud, name):
        self.made.append(name)
        self.open.add(name)
        yield types.SimpleNamespace(
            leaks=lambda *_args: list(self.is_left),
            report=lambda: types.SimpleNamespace(count=100),
            stack=types.SimpleNamespace(events=lambda: ['an event']),
        )
        self.open.remove(name)

    def make_whole(self, _admin):
        self.whole += 1


@pytest.fixture
def world(monkeypatch, tmp_path):
    made = World()
    env = {
        'regions': {'RegionOne': {'engines': list(choice.ENGINES)}},
        'database': {'root_socket': ''},
    }
    monkeypatch.setattr(run.access, 'environment', lambda: env)
    monkeypatch.setattr(
        run.access, 'connect', lambda _name: types.SimpleNamespace(current_project_id='')
    )
    monkeypatch.setattr(run.access, 'LAB', tmp_path)
    inventory = types.SimpleNamespace(inventory=lambda: None)
    monkeypatch.setattr(run, 'Database', lambda *_args: inventory)
    monkeypatch.setattr(run.real_hosts, 'leftovers', lambda _servers: ['of others'])
    monkeypatch.setattr(run.real_hosts, 'make_whole', made.make_whole)
    monkeypatch.setattr(run.hosts, 'run_lab', lambda *_words: None)
    monkeypatch.setattr(run.agents, 'clear', lambda: None)
    monkeypatch.setattr(pair, 'made', made.make)
    monkeypatch.setattr(drive, 'Driver', Driver)
    monkeypatch.setattr(Driver, 'ends', {})
    monkeypatch.setattr(run, 'GONE_WITHIN', 0.0)
    monkeypatch.setattr(run, 'LOOK', 0.0)
    return made


def test_all_runs_have_one_stack_as_long_as_nothing_is_wrong(world):
    world.is_left = ['of others']
    found = run.run(OPTIONS)
    assert len(world.made) == 1 and not world.open
    assert (found['runs'], found['done'], found['violations'], found['leaks']) == (3, 3, 0, 0)
    assert found['chaos'] == 'real' and found['seed'] == 3 and found['records'] == 100
    assert (found['slowest_s'], found['longest_pause_s'], found['stopped']) == (40.0, 5.0, 0)
    assert set(found['kinds']) == set(choice.KINDS)
    assert sum(found['kinds'][failure.value] for failure in choice.Failure) == 3
    json.dumps(found)


def test_a_violation_is_told_with_what_was_drawn_and_the_next_run_has_another_stack(world, capsys):
    Driver.ends = {2: ['number 3 lies in several places']}
    found = run.run(OPTIONS)
    assert len(world.made) == 2 and not world.open
    assert found['violations'] == 1 and found['done'] == 3 and found['records'] == 200
    assert found['what'] == [f'run 2 ({choice.draw(3, 2)}): number 3 lies in several places']
    told = capsys.readouterr().err
    assert 'an event' in told and 'what the agent said' in told


def test_a_run_that_does_not_end_is_not_done_and_the_others_go_on(world):
    Driver.ends = {1: AssertionError('not seen in time: it writes')}
    found = run.run(OPTIONS)
    assert (found['runs'], found['done'], found['violations']) == (3, 2, 1)
    assert 'not done: AssertionError: not seen in time: it writes' in found['what'][0]


def test_a_leak_counts_once(world):
    world.is_left = ['a disk']
    found = run.run(OPTIONS)
    assert found['leaks'] == 1 and found['violations'] == 0 and len(world.made) == 2


def test_who_interrupts_has_all_brought_back_and_is_told_what_was_done(world):
    Driver.ends = {2: KeyboardInterrupt()}
    found = run.run(OPTIONS)
    assert not world.open and world.whole == 2
    assert (found['runs'], found['done']) == (1, 1)


def test_a_stack_that_cannot_be_made_is_a_run_that_is_not_done(world, monkeypatch):
    @contextlib.contextmanager
    def make(*_args):
        raise AssertionError('CREATE_FAILED')
        yield

    monkeypatch.setattr(pair, 'made', make)
    found = run.run(OPTIONS)
    assert (found['runs'], found['done'], found['violations']) == (3, 0, 3)
