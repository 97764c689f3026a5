# SPDX-License-Identifier: Apache-2.0
"""Fill Heat's tables with stacks of many servers: ``python -m bench.scale_fill``.

A program of its own, since only one that is started like an engine imports Heat. The database makes
the rows itself, out of a table of numbers. Those that are there already are not made again.
"""

import argparse
import json
import sys
import time
from typing import Any

import sqlalchemy

from bench import scale_world

# Numbers of stacks whose rows are made in one transaction.
BATCH = 20_000

# One statement for each kind of row. A stack with a policy has its servers in a nested one, as a
# group has, and its policies keep what they keep: their users' keys, a RescuePolicy what it
# protects, a FailoverPolicy a record at its end.
_ID = "('00000000-0000-{kind}-8000-' || substr('000000000000' || ({number}), -12))"
_ROOT, _NESTED = _ID.format(kind='4001', number='n'), _ID.format(kind='4002', number='n')
_SERVER = _ID.format(kind='4000', number=f'n * {scale_world.SERVERS_OF_A_STACK} + m')
_HAS_POLICY = f'n % {scale_world.PROTECTED_EVERY} = 0'
_PROJECT = f"('p' || (n DIV {scale_world.PROTECTED_EVERY} % {scale_world.PROJECTS}))"
_MEMBERS = ' UNION ALL '.join(f'SELECT {m} AS m' for m in range(scale_world.SERVERS_OF_A_STACK))
_PART = 'numbers WHERE n >= :first AND n < :end'
_STACK = (
    'INSERT INTO stack (id, name, owner_id, parent_resource_name, raw_template_id, tenant, '
    'disable_rollback, convergence, action, status, status_reason) '
)
_RESOURCE = (
    'INSERT INTO resource (id, uuid, name, stack_id, root_stack_id, nova_instance, '
    'current_template_id, atomic_key, rsrc_metadata, action, status, status_reason) '
)
_DONE = "'CREATE', 'COMPLETE', 'state changed'"
_POLICIES = (('group', 3, _NESTED), ('rescue', 2, "'r'"), ('failover', 1, "'f'"))

STATEMENTS = (
    f"""INSERT INTO raw_template (id, template)
        SELECT 2 * n + 1, CASE WHEN {_HAS_POLICY} THEN :policies ELSE :members END FROM {_PART}""",
    f"""INSERT INTO raw_template (id, template)
        SELECT 2 * n + 2, :members FROM {_PART} AND {_HAS_POLICY}""",
    f"""{_STACK} SELECT {_ROOT}, 's' || n, NULL, NULL, 2 * n + 1, {_PROJECT}, 1, 1, {_DONE}
        FROM {_PART}""",
    f"""{_STACK} SELECT {_NESTED}, 's' || n || '-group', {_ROOT}, 'group', 2 * n + 2, {_PROJECT},
        1, 1, {_DONE} FROM {_PART} AND {_HAS_POLICY}""",
    f"""{_RESOURCE} SELECT n * 10 + 4 + m, n || '-m' || m, 'm' || m,
        CASE WHEN {_HAS_POLICY} THEN {_NESTED} ELSE {_ROOT} END, {_ROOT}, {_SERVER},
        CASE WHEN {_HAS_POLICY} THEN 2 * n + 2 ELSE 2 * n + 1 END, 2, '{{}}', {_DONE}
        FROM ({_MEMBERS}) AS members, {_PART} ORDER BY n, m""",
    *(
        f"""{_RESOURCE} SELECT n * 10 + {number}, n || '-{name}', '{name}', {_ROOT}, {_ROOT},
        {physical}, 2 * n + 1, 2, '{{}}', {_DONE} FROM {_PART} AND {_HAS_POLICY}"""
        for name, number, physical in _POLICIES
    ),
    *(
        f"""INSERT INTO resource_data (resource_id, `key`, value, redact)
        SELECT n * 10 + {number}, '{key}', {value}, 0 FROM {_PART} AND {_HAS_POLICY}"""
        for number, key, value in (
            (2, 'ha_rescue', ':protection'),
            (1, 'ha_record', ':record'),
            *(
                (number, key, f"'{key * 10}'")
                for number in (1, 2)
                for key in ('access_key', 'secret_key')
            ),
        )
    ),
)


def values(protection: str) -> dict[str, str]:
    """The long texts in the rows."""
    server = {'type': 'OS::Nova::Server', 'properties': {'image': 'x' * 36, 'flavor': 'y' * 36}}
    members = {f'm{n}': server for n in range(scale_world.SERVERS_OF_A_STACK)}
    policies = {
        'group': {'type': 'OS::Heat::ResourceGroup'},
        'rescue': {'type': 'OS::Heat::RescuePolicy'},
        'failover': {'type': 'OS::Heat::FailoverPolicy'},
    }
    record = {'state': 'done', 'history': 'x' * 500}
    return {
        'members': json.dumps({'resources': members}),
        'policies': json.dumps({'resources': policies}),
        'record': json.dumps(record, separators=(',', ':')),
        'protection': protection,
    }


def fill(engine: Any, servers: int) -> None:
    """Bring the number of servers in the database to this one."""
    from heat.db import models

    from heat_ha.rescue import record

    texts = values(record.text_of_protection(record.Protection(('group',), 0, 0, 3600.0)))
    models.BASE.metadata.create_all(engine)
    stack = models.Stack.__table__
    number = sqlalchemy.Column('n', sqlalchemy.Integer, primary_key=True, autoincrement=False)
    numbers = sqlalchemy.Table('numbers', sqlalchemy.MetaData(), number)
    numbers.create(engine, checkfirst=True)
    roots = sqlalchemy.select(sqlalchemy.func.count()).where(stack.c.owner_id.is_(None))
    with engine.connect() as connection:
        begin = connection.execute(roots).scalar_one()
    for first in range(begin, servers // scale_world.SERVERS_OF_A_STACK, BATCH):
        end = min(first + BATCH, servers // scale_world.SERVERS_OF_A_STACK)
        with engine.begin() as connection:
            connection.execute(numbers.insert(), [{'n': n} for n in range(first, end)])
            for statement in STATEMENTS:
                _execute(connection, statement, texts | {'first': first, 'end': end})
    with engine.connect() as connection:
        names = 'stack, resource, resource_data, raw_template'
        is_mysql = engine.dialect.name == 'mysql'
        connection.execute(sqlalchemy.text(f'ANALYZE TABLE {names}' if is_mysql else 'ANALYZE'))


def _execute(connection: Any, statement: str, given: dict[str, Any]) -> None:
    if connection.dialect.name == 'sqlite':
        # It divides whole numbers without a remainder by itself.
        statement = statement.replace(' DIV ', ' / ')
    used = {name: value for name, value in given.items() if f':{name}' in statement}
    connection.execute(sqlalchemy.text(statement), used)


def main() -> int:
    """Fill, and print how long it took as JSON."""
    parser = argparse.ArgumentParser(prog='python -m bench.scale_fill', description=__doc__)
    parser.add_argument('url')
    parser.add_argument('--servers', type=int, required=True)
    options = parser.parse_args()
    from bench import scale_agents

    scale_agents.use_threads()
    engine = sqlalchemy.create_engine(options.url)
    if engine.dialect.name == 'mysql':

        @sqlalchemy.event.listens_for(engine, 'connect')
        def _as_needed(made: Any, _record: Any) -> None:
            """Join texts as SQLite does, and check no keys: the rows fit one another."""
            made.cursor().execute("SET sql_mode = 'PIPES_AS_CONCAT', foreign_key_checks = 0")

    begin = time.perf_counter()
    fill(engine, options.servers)
    print(json.dumps({'filled_in_s': time.perf_counter() - begin}))
    return 0


if __name__ == '__main__':
    sys.exit(main())
