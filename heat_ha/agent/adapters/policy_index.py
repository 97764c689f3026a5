# SPDX-License-Identifier: Apache-2.0
"""From servers to the policies that protect them, in Heat's database.

It takes four queries for any number of servers. The agent runs beside the engines and has their
``heat.conf``; through Heat's API it would take a request for each stack.
"""

import dataclasses
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import sqlalchemy
from heat.db import api as db_api
from heat.db import models
from oslo_log import log as logging

from heat_ha.agent.adapters import stack_rows
from heat_ha.rescue import model, record

LOG = logging.getLogger(__name__)

_RESOURCE, _STACK = models.Resource.__table__, models.Stack.__table__
_DATA = models.ResourceData.__table__


@dataclasses.dataclass(frozen=True)
class Policy:
    """A RescuePolicy as far as it must be signalled. ``number`` is its row in the database."""

    number: int
    name: str
    stack_id: str
    stack_name: str
    project: str
    root: str
    protection: record.Protection


def engine() -> Any:
    """SQLAlchemy's engine for Heat's database."""
    return db_api.get_engine()


def policies_of(
    servers: Collection[str], owned_by: Callable[[str], Collection[str]]
) -> dict[str, Policy]:
    """For each server that a RescuePolicy protects, that policy.

    Of several policies, one that names the server is preferred, then the nearest one, then the one
    of the highest priority, in whatever stacks they are.

    Invariant: a server is protected only by a policy of its own project (S7). Anybody may write the
    id of any server into a template, as ``external_id``, or adopt it. A policy acts on no server
    that its stack refers to in this way, so such a resource counts for nothing.

    :param owned_by: the servers of a project; asked once for each that has a policy.
    """
    if not servers:
        return {}
    with engine().connect() as connection:
        rows = stack_rows.of_servers(connection, servers)
        roots = {row.root_stack_id for row in rows}
        if not roots:
            return {}
        stacks = stack_rows.stacks_of(connection, roots)
        policies = _policies(connection, roots, stacks)
        foreign = stack_rows.external_of(connection, rows, stacks)
    claims: dict[str, list[_Claim]] = {}
    for row in rows:
        if row.stack_id not in stacks or (row.stack_id, row.name) in foreign:
            continue
        chosen = _choose(stack_rows.path_of(row.name, row.stack_id, stacks), policies)
        if chosen is not None:
            claims.setdefault(row.nova_instance, []).append(chosen)
    projects = {claim[-1].project for of_server in claims.values() for claim in of_server}
    owned = {project: frozenset(owned_by(project)) for project in sorted(projects)}
    own = {
        server: [claim for claim in of_server if server in owned[claim[-1].project]]
        for server, of_server in claims.items()
    }
    for server in sorted(claims):
        if len(own[server]) < len(claims[server]):
            LOG.warning('a stack of another project claims to protect server %s: ignored', server)
    return {server: min(of_server)[-1] for server, of_server in own.items() if of_server}


def any_policy() -> tuple[str, str, str, str] | None:
    """The project, stack name, stack id and name of a RescuePolicy whose stack is at rest.

    Another one with each call, by chance: what is done for all of them is not to wear out one.
    """
    query = (
        sqlalchemy.select(_STACK.c.tenant, _STACK.c.name, _STACK.c.id, _RESOURCE.c.name)
        .select_from(
            _DATA.join(_RESOURCE, _DATA.c.resource_id == _RESOURCE.c.id).join(
                _STACK, _STACK.c.id == _RESOURCE.c.stack_id
            )
        )
        .where(
            _DATA.c.key == record.PROTECTION,
            _RESOURCE.c.action.in_(['CREATE', 'UPDATE']),
            _RESOURCE.c.status == 'COMPLETE',
            _STACK.c.action.in_(['CREATE', 'UPDATE']),
            _STACK.c.status == 'COMPLETE',
            _STACK.c.deleted_at.is_(None),
        )
        .order_by(sqlalchemy.func.random())
        .limit(1)
    )
    with engine().connect() as connection:
        row = connection.execute(query).first()
    return None if row is None else (row[0], row[1], row[2], row[3])


@dataclasses.dataclass(frozen=True)
class State:
    """How far a policy is. ``engine`` is the one at work, '' for none.

    ``unclear``: why its record is not understood in full; '' when it is.
    """

    engine: str
    rescues: Mapping[str, model.Progress]
    unclear: str = ''


def states_of(numbers: Collection[int]) -> dict[int, State]:
    """What the policies have on record about their rescues, in two queries."""
    if not numbers:
        return {}
    with engine().connect() as connection:
        marks = connection.execute(
            sqlalchemy.select(_RESOURCE.c.id, _RESOURCE.c.rsrc_metadata).where(
                _RESOURCE.c.id.in_(list(numbers))
            )
        ).all()
        rows = connection.execute(
            sqlalchemy.select(_DATA.c.resource_id, _DATA.c.key, _DATA.c.value).where(
                _DATA.c.resource_id.in_(list(numbers)), _DATA.c.key.like(record.SERVER + '%')
            )
        ).all()
    data: dict[int, dict[str, str]] = {number: {} for number in numbers}
    for row in rows:
        data[row.resource_id][row.key] = row.value
    return {
        row.id: State(
            ((row.rsrc_metadata or {}).get(record.MARK) or {}).get('engine', ''),
            *record.understood_of(data[row.id]),
        )
        for row in marks
    }


def _policies(
    connection: Any, roots: Collection[str], stacks: Mapping[str, stack_rows.StackRow]
) -> dict[str, list[Policy]]:
    rows = connection.execute(
        sqlalchemy.select(
            _RESOURCE.c.id, _RESOURCE.c.name, _RESOURCE.c.stack_id, _RESOURCE.c.root_stack_id,
            _DATA.c.value,
        )
        .select_from(_RESOURCE.join(_DATA, _DATA.c.resource_id == _RESOURCE.c.id))
        .where(
            _RESOURCE.c.root_stack_id.in_(list(roots)),
            _RESOURCE.c.action != 'DELETE',
            _DATA.c.key == record.PROTECTION,
        )
    ).all()  # fmt: skip
    found: dict[str, list[Policy]] = {}
    for row in rows:
        stack = stacks.get(row.stack_id)
        if stack is None:
            continue
        policy = Policy(
            row.id, row.name, row.stack_id, stack.name, stack.project, row.root_stack_id,
            record.protection_of(row.value),
        )  # fmt: skip
        found.setdefault(row.stack_id, []).append(policy)
    return found


# A policy that protects a server, after what it is compared with others by.
_Claim = tuple[bool, int, int, int, Policy]


def _choose(path: Iterable[tuple[str, str]], policies: Mapping[str, list[Policy]]) -> _Claim | None:
    candidates = [
        (not policy.protection.tops, distance, -policy.protection.priority, policy.number, policy)
        for distance, (name, stack) in enumerate(path)
        for policy in policies.get(stack, ())
        if not policy.protection.tops or name in policy.protection.tops
    ]
    return min(candidates, default=None)


FAILOVER_RECORD, KEPT_SIGNAL = 'ha_record', 'ha_signal:'

# Texts of which a record with work in it has at least one.
_OPEN = (
    '%"state":"running"%',
    '%"state":"waiting_for_fence"%',
    '%"state":"stopped"%',
    '%"follow_ups":[%',
    '%"until":"%',
    '%"left_over":[%',
    '%"is_paused":true%',
    '%"active":null%',
)


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """A FailoverPolicy that may have work on record. ``engine`` has its lock; '' for none.

    ``record`` and ``signals``, those that it keeps, are as JSON has them.
    """

    name: str
    stack_id: str
    stack_name: str
    project: str
    engine: str
    record: dict[str, Any]
    signals: tuple[dict[str, Any], ...] = ()


def unfinished_failovers() -> list[Unfinished]:
    """Every policy that may have work on record, in one query, or two where signals are kept."""
    is_open = sqlalchemy.or_(*(_DATA.c.value.like(text) for text in _OPEN))
    has_work = sqlalchemy.or_(
        sqlalchemy.and_(_DATA.c.key == FAILOVER_RECORD, is_open),
        _DATA.c.key.like(KEPT_SIGNAL + '%'),
    )
    with engine().connect() as connection:
        rows = list(connection.execute(_of_policies(has_work)).all())
        known = {r.id for r in rows if r.key == FAILOVER_RECORD}
        others = {r.id for r in rows} - known
        if others:
            of_others = sqlalchemy.and_(
                _DATA.c.key == FAILOVER_RECORD, _RESOURCE.c.id.in_(sorted(others))
            )
            rows += connection.execute(_of_policies(of_others)).all()
    signals: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row.key != FAILOVER_RECORD and (parsed := _parsed(row)):
            signals.setdefault(row.id, []).append(parsed)
    return [
        Unfinished(
            r.name, r.stack_id, r.stack_name, r.tenant, r.engine_id or '', parsed,
            tuple(signals.get(r.id, ())),
        )
        for r in rows
        if r.key == FAILOVER_RECORD and (parsed := _parsed(r))
    ]  # fmt: skip


def _of_policies(which: Any) -> Any:
    """The query for entries of policies, each with the policy, its stack and its lock."""
    lock = models.StackLock.__table__
    return (
        sqlalchemy.select(
            _RESOURCE.c.id, _RESOURCE.c.name, _RESOURCE.c.stack_id,
            _STACK.c.name.label('stack_name'), _STACK.c.tenant, lock.c.engine_id,
            _DATA.c.key, _DATA.c.value,
        )
        .select_from(
            _DATA.join(_RESOURCE, _DATA.c.resource_id == _RESOURCE.c.id)
            .join(_STACK, _STACK.c.id == _RESOURCE.c.stack_id)
            .outerjoin(lock, lock.c.stack_id == _RESOURCE.c.nova_instance)
        )
        .where(which, _STACK.c.deleted_at.is_(None))
    )  # fmt: skip


def _parsed(row: Any) -> dict[str, Any]:
    """A record as JSON has it; empty where it is none, for the others must not wait for that."""
    try:
        found = json.loads(row.value)
    except ValueError as exc:
        LOG.info('%s of stack %s has an unreadable record: %s', row.name, row.stack_name, exc)
        return {}
    return found if isinstance(found, dict) else {}
