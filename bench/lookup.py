# SPDX-License-Identifier: Apache-2.0
"""Find the policies of a dead host's servers in a big database of Heat: ``python -m bench.lookup``.

A program of its own, since only one that is started like an engine imports Heat. The benchmark
``agent`` runs it on a database with Heat's schema, which it fills and measures.
"""

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy

# What a stack has beside its servers, all of it in a group's nested stack.
OTHERS = 92
SERVERS_OF_A_STACK = 5
BATCH = 2000


def _policy_and_group(root: str, nested: str) -> list[dict[str, Any]]:
    return [
        {'name': 'rescue', 'stack_id': root, 'nova_instance': uuid.uuid4().hex},
        {'name': 'group', 'stack_id': root, 'nova_instance': nested},
        {'name': 'replace', 'stack_id': root, 'nova_instance': uuid.uuid4().hex},
    ]


def rows_of(root: str, nested: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The resources of a root stack and the one nested in it, and the ids of the servers."""
    servers = [str(uuid.uuid4()) for _ in range(SERVERS_OF_A_STACK)]
    found = _policy_and_group(root, nested)
    for index, server in enumerate(servers):
        found.append({'name': f'm{index}', 'stack_id': nested, 'nova_instance': server})
    for index in range(OTHERS):
        found.append({'name': f'o{index}', 'stack_id': nested, 'nova_instance': str(uuid.uuid4())})
    return [
        {
            **row,
            'uuid': str(uuid.uuid4()),
            'root_stack_id': root,
            'action': 'CREATE',
            'status': 'COMPLETE',
            'status_reason': 'state changed',
            'rsrc_metadata': {},
            'atomic_key': 2,
        }
        for row in found
    ], servers


def fill(engine: Any, resources: int) -> list[list[str]]:
    """Put stacks with so many resources into the database. :returns: servers by stack."""
    from heat.db import models

    from heat_ha.rescue import record

    stack, resource = models.Stack.__table__, models.Resource.__table__
    data, template = models.ResourceData.__table__, models.RawTemplate.__table__
    protection = record.text_of_protection(record.Protection(('group',), 0, 0, 3600.0))
    found, stacks, rows = [], [], []
    for number in range(resources // (OTHERS + SERVERS_OF_A_STACK + 3)):
        root, nested = str(uuid.uuid4()), str(uuid.uuid4())
        common = {'raw_template_id': 1, 'disable_rollback': True, 'tenant': f'p{number % 50}'}
        stacks += [
            {'id': root, 'name': f's{number}', 'owner_id': None, 'parent_resource_name': None}
            | common,
            {'id': nested, 'name': f's{number}-group', 'owner_id': root}
            | {'parent_resource_name': 'group'}
            | common,
        ]
        made, servers = rows_of(root, nested)
        rows += made
        found.append(servers)
    with engine.begin() as connection:
        connection.execute(template.insert(), [{'id': 1, 'template': {}}])
        for table, all_rows in ((stack, stacks), (resource, rows)):
            for part in _batches(all_rows):
                connection.execute(table.insert(), part)
        of_policies = connection.execute(
            sqlalchemy.select(resource.c.id, resource.c.name).where(
                resource.c.name.in_(['rescue', 'replace'])
            )
        ).all()
        kept = [
            {'resource_id': row.id, 'key': key, 'value': value, 'redact': False}
            for row in of_policies
            # Every policy has its user's keys, too.
            for key, value in (('access_key', 'x' * 32), ('secret_key', 'x' * 200))
        ]
        kept += [
            {'resource_id': row.id, 'key': record.PROTECTION, 'value': protection, 'redact': False}
            for row in of_policies
            if row.name == 'rescue'
        ]
        for part in _batches(kept):
            connection.execute(data.insert(), part)
    if engine.dialect.name == 'mysql':
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text('ANALYZE TABLE stack, resource, resource_data'))
    return found


def _batches(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for begin in range(0, len(rows), BATCH):
        yield rows[begin : begin + BATCH]


def timed(engine: Any, call: Callable[[], Any]) -> tuple[Any, float, int]:
    """What a call returns, its seconds, and how many queries it sent."""
    queries = []

    def note(*args: Any) -> None:
        queries.append(args[2])

    sqlalchemy.event.listen(engine, 'before_cursor_execute', note)
    begin = time.perf_counter()
    found = call()
    seconds = time.perf_counter() - begin
    sqlalchemy.event.remove(engine, 'before_cursor_execute', note)
    return found, seconds, len(queries)


def measure(engine: Any, by_stack: list[list[str]], count: int, peers: int) -> dict[str, Any]:
    """Look up ``count`` servers at once, and ``peers`` of them one by one."""
    from heat_ha.agent.adapters import policy_index

    setattr(policy_index, 'engine', lambda: engine)  # noqa: B010  Heat's own is not configured here.
    # One host has some servers of each stack, not all of few.
    spread = [servers[i] for i in range(SERVERS_OF_A_STACK) for servers in by_stack]
    wanted = spread[:count]

    def look_up(servers: Sequence[str]) -> Any:
        # All are their project's own: that is one request to Nova for a project, not a query.
        return policy_index.policies_of(servers, lambda _project: wanted)

    look_up(wanted)
    found, ours, queries = timed(engine, lambda: look_up(wanted))
    assert set(found) == set(wanted), 'a protected server was not found'
    _few, _seconds, of_few = timed(engine, lambda: look_up(wanted[:5]))
    numbers = [policy.number for policy in found.values()]
    _states, states, of_states = timed(engine, lambda: policy_index.states_of(numbers))
    _plans, plans, of_plans = timed(engine, policy_index.unfinished_failovers)
    one_by_one = wanted[:peers]
    _each, each, of_each = timed(engine, lambda: [look_up([server]) for server in one_by_one])
    _rows, bare, _one = timed(engine, lambda: _bare(engine, wanted))
    return {
        'servers': len(wanted),
        'stacks_of_them': len(set(numbers)),
        'ours_s': ours,
        'ours_queries': queries,
        'ours_queries_for_5': of_few,
        'peer_s': each * len(wanted) / len(one_by_one),
        'peer_queries': of_each * len(wanted) // len(one_by_one),
        'bare_s': bare,
        'states_s': states,
        'states_queries': of_states,
        'plans_s': plans,
        'plans_queries': of_plans,
    }


def _bare(engine: Any, servers: Sequence[str]) -> Any:
    from heat.db import models

    resource = models.Resource.__table__
    with engine.connect() as connection:
        return connection.execute(
            sqlalchemy.select(resource.c.stack_id).where(resource.c.nova_instance.in_(servers))
        ).all()


def main() -> int:
    """Fill, measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog='python -m bench.lookup', description=__doc__)
    parser.add_argument('url')
    parser.add_argument('--resources', type=int, default=100_000)
    parser.add_argument('--servers', type=int, default=500)
    parser.add_argument('--peers', type=int, default=50)
    options = parser.parse_args()
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)
    engine = sqlalchemy.create_engine(options.url)
    begin = time.perf_counter()
    by_stack = fill(engine, options.resources)
    filled = time.perf_counter() - begin
    figures = measure(engine, by_stack, options.servers, options.peers)
    print(json.dumps(figures | {'resources': options.resources, 'filled_in_s': filled}))
    return 0


if __name__ == '__main__':
    sys.exit(main())
