# SPDX-License-Identifier: Apache-2.0
"""What must not be after a failover, in words: pure, from what was seen before and after.

An empty list means that all is right. ``of_run`` looks at one stack, ``of_handovers`` at what the
observer wrote down, ``leaks`` at the whole project.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from heat_ha.failover import model

# Seconds by which the ledger of hosts and the observer may differ: a request that a host has
# carried out shows in the database a moment after its death.
SLACK = 2.0


@dataclasses.dataclass(frozen=True)
class Picture:
    """One stack at one moment.

    :ivar members: the members of the group and Heat's states of them.
    :ivar servers: the servers in them, and the member of each.
    :ivar server_states: Nova's states of these servers.
    :ivar holders: for each volume its servers, once for Cinder and once for Nova.
    """

    record: model.Record
    history: tuple[Mapping[str, Any], ...]
    size: int
    members: Mapping[str, str]
    servers: Mapping[str, str]
    ports: frozenset[str]
    server_states: Mapping[str, str]
    volumes: tuple[str, ...]
    holders: Mapping[str, tuple[str, ...]]
    nested_status: str
    nested_template: str


@dataclasses.dataclass(frozen=True)
class Story:
    """What a run may come to, by what was done to its stack besides the alarms.

    :ivar moves: how often the active may have changed.
    :ivar may_stay: whether the old active may be kept, and be the active again.
    :ivar others_may_go: how many members besides the old active may go, for somebody wanted it.
    :ivar is_dropped: whether somebody ended a plan where it stood.
    """

    moves: int = 1
    may_stay: bool = False
    others_may_go: int = 0
    is_dropped: bool = False


# One failover, and nothing else.
PLAIN = Story()


def of_run(before: Picture, after: Picture, story: Story = PLAIN) -> list[str]:
    """What is wrong after a failover that should have moved everything to another member."""
    return [
        *_of_record(before, after, story),
        *_of_history(before, after, story),
        *_of_group(before, after, story),
        *of_holders(after.record, after.holders, after.volumes),
    ]


def _of_record(before: Picture, after: Picture, story: Story) -> list[str]:
    was, now = before.record, after.record
    wrong = []
    is_done = story.is_dropped if now.plan is None else now.plan.is_done
    if now.state is not model.State.READY or not is_done or now.follow_ups:
        wrong.append(f'not done: state {now.state.value}, {now.reason}')
    fewest = 0 if story.may_stay else 1
    if not fewest <= now.epoch - was.epoch <= story.moves:
        wrong.append(
            f'S3: the epoch went from {was.epoch} to {now.epoch} in one burst of signals, '
            f'and {story.moves} is the most that it may grow by'
        )
    if now.active == was.active and not story.may_stay:
        wrong.append('the active on record is the old one')
    if after.nested_status not in ('CREATE_COMPLETE', 'UPDATE_COMPLETE'):
        wrong.append(f"the policy's nested stack is {after.nested_status}")
    if now.active is None or now.active.server not in after.nested_template:
        wrong.append("Heat's record of what is handed over does not name the active")
    return wrong


def _of_history(before: Picture, after: Picture, story: Story) -> list[str]:
    old = {line['plan_id'] for line in before.history}
    new = [line for line in after.history if line['plan_id'] not in old]
    outcomes = [line['outcome'] for line in new]
    if story.moves == 1 and not story.may_stay:
        wrong = []
        if len(new) != 1:
            wrong.append(f'S3: one burst has left {len(new)} failovers in the history')
        if any(outcome != 'done' for outcome in outcomes):
            wrong.append(f'the history says {outcomes}')
        return wrong
    if story.is_dropped:
        return []
    # What another successor, or the way back, has taken over from keeps its line.
    is_right = outcomes.count('done') >= 1 and outcomes[-1] == 'done'
    return [] if is_right else [f'the history says {outcomes}']


def _of_group(before: Picture, after: Picture, story: Story) -> list[str]:
    wrong = []
    if len(after.members) != after.size or len(after.servers) != after.size:
        wrong.append(
            f'the group of {after.size} has {len(after.members)} members and '
            f'{len(after.servers)} servers'
        )
    broken = {m: s for m, s in after.members.items() if not s.endswith('_COMPLETE')}
    if broken:
        wrong.append(f'members are not complete: {broken}')
    sick = {s: after.server_states.get(s, 'gone') for s in after.servers}
    sick = {s: state for s, state in sick.items() if state != 'active'}
    if sick:
        wrong.append(f'servers are not active: {sick}')
    # S2 and S8: nothing goes but the old active.
    old = before.record.active
    gone = set(before.members) - set(after.members) - ({old.member} if old else set())
    if len(gone) > story.others_may_go:
        wrong.append(f'S8: {", ".join(sorted(gone))} went, and nobody asked for it')
    if old is not None and old.member in after.members and not story.may_stay:
        wrong.append(f'the old active {old.member} was not replaced')
    active = after.record.active
    if active is not None and active.server not in after.servers:
        wrong.append('the active on record is not a server of the group')
    return wrong


def of_holders(
    record: model.Record, holders: Mapping[str, tuple[str, ...]], volumes: Iterable[str]
) -> list[str]:
    """The volumes that Cinder and Nova do not both have at the active that is on record."""
    active = record.active
    wanted = (active.server, active.server) if active else ()
    return [
        f'volume {volume} is held by {holders.get(volume)}, on record is {wanted}'
        for volume in volumes
        if holders.get(volume) != wanted
    ]


# --- what the observer saw ------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Death:
    """A host that did not answer for a time. Seconds since the epoch; None for never."""

    host: str
    begin: float
    fenced: float | None = None
    end: float | None = None

    def may_write(self, now: float) -> bool:
        """Whether it was dead at this moment without anybody having confirmed it."""
        is_dead = self.begin + SLACK < now and (self.end is None or now < self.end)
        return is_dead and (self.fenced is None or now < self.fenced)


def of_handovers(
    lines: Iterable[Mapping[str, Any]], hosts: Mapping[str, str], deaths: Sequence[Death]
) -> list[str]:
    """S1: volumes that left a server on a dead host before somebody had confirmed its death.

    :param lines: what the observer wrote, in the order of time.
    :param hosts: the host of each server, also of those that are gone.
    """
    wrong = []
    last: dict[tuple[str, str], frozenset[str]] = collections.defaultdict(frozenset)
    for line in lines:
        if 'holders' not in line:
            continue
        for volume, sides in line['holders'].items():
            for side, servers in sides.items():
                left = last[volume, side] - set(servers)
                last[volume, side] = frozenset(servers)
                wrong += [
                    f'S1: {side}: volume {volume} left {server} on {hosts.get(server)}, which '
                    'was dead and not fenced'
                    for server in left
                    if any(
                        d.host == hosts.get(server) and d.may_write(line['time']) for d in deaths
                    )
                ]
    return wrong


# Seconds within which a volume is at a living member after the last cause has gone away.
WITHIN = 60.0


def of_arrivals(
    lines: Iterable[Mapping[str, Any]],
    volumes: Iterable[str],
    unwell: frozenset[str],
    gone_at: float,
) -> list[str]:
    """The volumes that were at no living member, at no moment of the time that they had for it.

    :param lines: what the observer wrote, in the order of time; a line holds until the next one.
    :param unwell: servers that were shut off for the run.
    :param gone_at: when the last cause went away, in seconds since the epoch.
    """
    last: dict[str, Mapping[str, list[str]]] = {}
    served: set[str] = set()
    wanted = tuple(volumes)

    def look() -> None:
        served.update(v for v in wanted if _is_served(last.get(v, {}), unwell))

    for line in lines:
        if 'holders' not in line:
            continue
        if line['time'] > gone_at + WITHIN:
            break
        if line['time'] > gone_at:
            # What was there before held until now.
            look()
        last.update(line['holders'])
    look()
    return [
        f'volume {volume} was at no living member within {WITHIN:.0f} s of the last cause going '
        f'away; it was at {dict(last.get(volume, {}))}'
        for volume in wanted
        if volume not in served
    ]


def _is_served(sides: Mapping[str, list[str]], unwell: frozenset[str]) -> bool:
    found = [set(servers) for servers in sides.values()]
    return bool(found) and all(len(one) == 1 and one == found[0] - unwell for one in found)


# --- what is left over ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Inventory:
    """What a project has. Ports name their server, attachments their volume and server."""

    servers: frozenset[str]
    volumes: frozenset[str]
    ports: Mapping[str, str]
    attachments: Mapping[str, tuple[str, str]]


class Owner(Protocol):
    """A stack by what belongs to it: ids."""

    @property
    def servers(self) -> Iterable[str]:
        """Its servers."""

    @property
    def volumes(self) -> Iterable[str]:
        """Its volumes."""

    @property
    def ports(self) -> Iterable[str]:
        """Its ports, beside those that name their server."""


def leaks(before: Inventory, now: Inventory, pictures: Iterable[Owner]) -> list[str]:
    """What is there now, was not there before, and belongs to no stack."""
    pictures = tuple(pictures)
    servers = {s for p in pictures for s in p.servers}
    volumes = {v for p in pictures for v in p.volumes}
    ports = {i for p in pictures for i in p.ports}
    leaked = [f'server {s}' for s in sorted(now.servers - before.servers - servers)]
    leaked += [f'volume {v}' for v in sorted(now.volumes - before.volumes - volumes)]
    leaked += [
        f'port {port} of {device or "nothing"}'
        for port, device in sorted(now.ports.items())
        if port not in before.ports and port not in ports and device not in servers
    ]
    of_volume = collections.Counter(volume for volume, _ in now.attachments.values())
    leaked += [
        f'attachment {attachment} of volume {volume} to {server or "nothing"}'
        for attachment, (volume, server) in sorted(now.attachments.items())
        if attachment not in before.attachments and (server not in servers or of_volume[volume] > 1)
    ]
    return leaked
