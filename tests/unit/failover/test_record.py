# SPDX-License-Identifier: Apache-2.0
"""Every failover counts, whatever becomes of its line in the history."""

import datetime
import json
import types

from heat_ha.cloud import resource_data
from heat_ha.failover import model, record

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
HELD = types.SimpleNamespace(is_held=lambda: True)


class Policy:
    """The entries of a resource's data."""

    def __init__(self):
        self.entries = {}
        self.writes = []

    def data(self):
        return dict(self.entries)

    def data_set(self, key, text):
        assert len(text.encode()) <= resource_data.MAX_BYTES
        self.writes.append(key)
        self.entries[key] = text


def at(number):
    return (NOW + datetime.timedelta(seconds=number)).isoformat(timespec='milliseconds')


def add(policy, number, cause='failover', reason='', outcome='done', plan_id=''):
    line = model.Past(
        plan_id or f'p{number}', at(number), cause, reason, 'policy', 'a', 's-a', 'b', 's-b',
        outcome, 1.0, 2.0, {},
    )  # fmt: skip
    record.add_to_history(policy, line, HELD)


def test_failovers_count_whose_lines_were_pushed_out_of_the_history():
    policy = Policy()
    for number in range(20):
        add(policy, number, reason='r' * 10_000)
    for number in range(20, 20 + 2 * record.MAX_PAST):
        add(policy, number, cause='replace_standby')
    assert not any(line['cause'] == 'failover' for line in record.read_history(policy))
    assert [str(t) for t in record.failover_times(policy.data())] == [
        str(NOW + datetime.timedelta(seconds=n)) for n in range(20)
    ]


def test_a_failover_counts_once_whatever_plans_and_ends_it_has():
    policy = Policy()
    for outcome, plan_id in (('stopped', 'p'), ('stopped', 'q'), ('done', 'q'), ('done', 'q')):
        add(policy, 1, outcome=outcome, plan_id=plan_id)
    add(policy, 2, cause='switchover')
    assert len(record.failover_times(policy.data())) == 1
    assert policy.writes.count(record.FAILOVERS) == 1


def test_it_counts_before_its_line_is_there():
    policy = Policy()
    add(policy, 1)
    assert policy.writes == [record.FAILOVERS, record.HISTORY]


def test_what_a_version_before_has_put_into_the_history_counts_too():
    policy = Policy()
    add(policy, 1)
    del policy.entries[record.FAILOVERS]
    assert len(record.failover_times(policy.data())) == 1
    add(policy, 2)
    del policy.entries[record.HISTORY]
    assert len(record.failover_times(policy.data())) == 2


def test_the_oldest_times_go_when_there_are_too_many():
    policy = Policy()
    policy.entries[record.FAILOVERS] = json.dumps([at(n) for n in range(record.MAX_TIMES)])
    add(policy, record.MAX_TIMES)
    found = record.failover_times(policy.data())
    assert len(found) == record.MAX_TIMES
    assert found[0] == NOW + datetime.timedelta(seconds=1)
