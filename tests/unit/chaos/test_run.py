# SPDX-License-Identifier: Apache-2.0
"""A round of a campaign and what is told in the end, without a cloud."""

import argparse
import collections
import dataclasses
import json
import time
import types

import pytest

# The campaign reads the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')

from chaos import check, choice, drive, pool, run, world
from chaos.choice import HostFault, TakeUp, Trouble
from heat_ha.failover import model

EMPTY = check.Inventory(frozenset(), frozenset(), {}, {})
RUN = choice.Run(1, 0, 2, 0.0, False, None, 0.0, TakeUp.RESUME, 0.0, Trouble.NOBODY_CAN)
ROUND = choice.Round(1, (RUN,), HostFault.NONE, None, 0.0)
OLD, HEIR = model.MemberServer('a', 'sa'), model.MemberServer('b', 'sb')


def picture(active, epoch, plan_id=''):
    plan = model.Plan(plan_id, model.Cause.FAILOVER, '', '', '', epoch, '', OLD, active, ())
    names = ('a', 'b') if not plan_id else ('b', 'c')
    return check.Picture(
        model.Record(epoch=epoch, active=active, plan=plan if plan_id else None),
        ({'plan_id': plan_id, 'outcome': 'done'},) if plan_id else (),
        2,
        dict.fromkeys(names, 'CREATE_COMPLETE'),
        {f's{n}': n for n in names},
        frozenset(),
        {f's{n}': 'active' for n in names},
        ('v',),
        {'v': (active.server,) * 2},
        'UPDATE_COMPLETE',
        active.server,
    )


class Member:
    number, shape, volumes = 0, pool.PAIR, ['v']
    stack = types.SimpleNamespace(events=lambda: ['an event'])

    def __init__(self):
        self.looks = [picture(OLD, 1), picture(HEIR, 2, 'p1')]

    def look(self):
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


class Watch:
    def __init__(self, *holders):
        self.seen = [
            {'time': at, 'holders': {'v': {'cinder': has, 'nova': has}}} for at, has in holders
        ]
        self.observed = []

    def lines(self):
        return self.seen

    def observe(self, volumes):
        self.observed += volumes


@pytest.fixture
def campaign(monkeypatch):
    engines = types.SimpleNamespace(wait=lambda: None, up_since=0.0)
    monkeypatch.setattr(world, 'Engines', lambda _database: engines)
    monkeypatch.setattr(run, 'UNTIL_GONE', 0.0)
    monkeypatch.setattr(run.time, 'sleep', lambda _seconds: None)
    database = types.SimpleNamespace(inventory=lambda: EMPTY, hosts_of=lambda _servers: {})
    options = argparse.Namespace(faults=0.2, first_round=1, seed=7)
    made = run.Campaign(options, database, None, None)
    made._members = [Member()]
    return made


PROXY = types.SimpleNamespace(rate=0.0, passed=3, counts=collections.Counter())


def play(campaign, monkeypatch, watch, **changes):
    outcome = dataclasses.replace(
        drive.Outcome(
            RUN,
            is_done=True,
            trouble=Trouble.NOBODY_CAN,
            ways=collections.Counter(resume=2),
            foreign=5,
        ),
        **changes,
    )
    monkeypatch.setattr(drive, 'drive', lambda *_args: outcome)
    campaign.play(ROUND, PROXY, watch)
    return campaign.summary({'samples': 1, 'longest_gap_s': 0.1}, PROXY)


def test_the_last_line_counts_runs_troubles_and_ways_out(campaign, monkeypatch):
    watch = Watch((1.0, ['sa']))
    found = json.loads(json.dumps(play(campaign, monkeypatch, watch)))
    wanted = {'runs': 1, 'done': 1, 'stopped': 0, 'violations': 0, 'leaks': 0, 'seed': 7}
    assert {key: found[key] for key in wanted} == wanted
    assert found['troubles'] == {t.value: int(t is Trouble.NOBODY_CAN) for t in Trouble}
    assert (found['troubles_missed'], found['foreign_alarms']) == (0, 5)
    assert found['ways_out'] == {'resume': 2}
    # A volume that was made meanwhile is watched from now on.
    assert watch.observed == ['v']


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'wrong': ['ready, but not']}, 'run 1 (pair): ready, but not'),
        ({'is_done': False}, 'run 1 (pair): not done in time'),
    ],
)
def test_what_was_seen_on_the_way_is_a_violation(campaign, monkeypatch, changes, text):
    found = play(campaign, monkeypatch, Watch(), **changes)
    assert found['what'] == [text] and found['violations'] == 1


@pytest.mark.parametrize(('arrived_after', 'count'), [(50.0, 0), (70.0, 1)])
def test_a_volume_that_comes_late_is_a_violation(campaign, monkeypatch, arrived_after, count):
    gone_at = time.time() - 200.0
    watch = Watch((gone_at - 50.0, ['sa']), (gone_at, []), (gone_at + arrived_after, ['sb']))
    made = campaign._drive

    def drive_and_be_in_peace(*args):
        outcomes = made(*args)
        campaign._peace_at = gone_at
        return outcomes

    monkeypatch.setattr(campaign, '_drive', drive_and_be_in_peace)
    found = play(campaign, monkeypatch, watch, trouble_ended=gone_at - 10.0)
    assert found['violations'] == count, found['what']
