# SPDX-License-Identifier: Apache-2.0
import pytest
import sqlalchemy

from heat_ha import serialization
from heat_ha.agent.adapters import guest_requests, policy_index
from heat_ha.fencing.rules import guests


@pytest.fixture
def database(monkeypatch):
    made = sqlalchemy.create_engine('sqlite://', poolclass=sqlalchemy.pool.StaticPool)
    with made.begin() as connection:
        for table in (
            'resource_data (id integer primary key, key text, value text, resource_id int)',
            'resource (id integer primary key, name text, stack_id text)',
            'stack (id text, name text, tenant text, deleted_at text)',
        ):
            connection.exec_driver_sql(f'create table {table}')
    monkeypatch.setattr(policy_index, 'engine', lambda: made)
    return made


def add(database, number, project, value):
    with database.begin() as connection:
        for table, row in (
            ('stack values (?, ?, ?, NULL)', (project, project, project)),
            ('resource values (?, ?, ?)', (number, 'failover', project)),
            ('resource_data values (?, ?, ?, ?)', (number, guests.REQUEST, value, number)),
        ):
            connection.exec_driver_sql(f'insert into {table}', row)


def test_requests_of_several_projects_about_one_server_do_not_hide_each_other(database):
    for number, project in enumerate(('victim', 'attacker')):
        request = guests.Request(project, 'plan', 's1', 'hash', ('v1',), 9e9)
        add(database, number, project, serialization.compact(serialization.encode(request)))
    found = guest_requests.pending()
    assert {(one.project, one.request.request_id) for one in found} == {
        ('victim', 'victim'), ('attacker', 'attacker'),
    }  # fmt: skip


def test_one_that_cannot_be_read_does_not_hold_up_the_others(database):
    request = guests.Request('r1', 'plan', 's1', 'hash', ('v1',), 9e9)
    add(database, 1, 'p1', 'nonsense')
    add(database, 2, 'p2', serialization.compact(serialization.encode(request)))
    assert [one.request for one in guest_requests.pending()] == [request]
