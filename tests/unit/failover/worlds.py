# SPDX-License-Identifier: Apache-2.0
"""Small worlds that the tests of failover start from."""

import dataclasses
import datetime

from heat_ha import signals
from heat_ha.cloud import model as cloud
from heat_ha.failover import model
from heat_ha.failover.rules import decide
from heat_ha.groups import model as groups

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def member(name, **changes):
    plain = groups.Member(
        name=name,
        reference=f'ref-{name}',
        servers=(f'server-{name}',),
        created_at=f'2026-01-01T00:00:0{ord(name[0]) % 10}Z',
        is_failed=False,
    )
    return dataclasses.replace(plain, **changes)


def candidate(
    name,
    status=cloud.ServerStatus.ACTIVE,
    host='',
    host_state=None,
    health=None,
    **changes,
):
    server = cloud.Server(f'server-{name}', status, host, status.value)
    return model.Candidate(
        member(name, **changes),
        server,
        host=None if host_state is None else cloud.Host(host_state, host_state.value),
        health=None if health is None else model.Health(health, health.value),
    )


def holder(name):
    return model.MemberServer(name, f'server-{name}')


def seen(candidates, *, active='a', record=None, volumes=('v1',), **changes):
    if record is None:
        record = model.Record(epoch=1, active=holder(active) if active else None)
    plain = model.Observation(
        record=record,
        candidates=tuple(candidates),
        attachments=tuple(
            v if isinstance(v, model.Attachment) else model.Attachment(v) for v in volumes
        ),
        revision='r1',
        limits=model.Limits(),
        past_failovers=(),
        now=NOW,
        plan_id='p1',
        requested_by='policy',
    )
    return dataclasses.replace(plain, **changes)


def plan(world):
    """The plan of a failover, from what was seen of a group with a healthy standby."""
    return decide.answer(signals.Signal(), world).plan
