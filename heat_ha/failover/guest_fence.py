# SPDX-License-Identifier: Apache-2.0
"""Having the old active's guest shut out by the storage (``fencing: storage``).

While its host is silent, the policy asks for it, by an entry of its own data that the agents read;
they do it, and put it on record. What carries the plan out then sees the host of that server as
confirmed down: nothing on it can write to any volume that the server has. For all other servers of
the host, and for whoever else looks at the hosts, nothing changes.
"""

import dataclasses
import threading
import time
import typing
import uuid
from collections.abc import Callable
from typing import Any

from heat_ha import exceptions, serialization
from heat_ha.cloud import clients, clock, compute_hosts, resource_data
from heat_ha.cloud import model as cloud
from heat_ha.failover import events, former_holders, leftovers, model, options
from heat_ha.failover.adapters import guest_proofs
from heat_ha.failover.model import StepKind, StepState
from heat_ha.fencing.rules import guests

# Seconds for which a request stands after the policy has stopped waiting.
STANDS_FOR = 60.0

# Seconds until a policy that nobody has answered says so.
SILENT_AFTER = 15.0

Read = Callable[[str, str], guests.GuestFence | None]


def _on_record(server: str, host_id: str) -> guests.GuestFence | None:
    return guest_proofs.of(server, host_id)


@dataclasses.dataclass(frozen=True)
class _Table(compute_hosts.HostTable):
    """All hosts at one look, as far as the plan that made this request is concerned."""

    request: guests.Request | None = None
    read: Read = _on_record

    def __call__(self, server: cloud.Server) -> cloud.Host:
        host, asked = super().__call__(server), self.request
        # A server of which the host is not known is never one that was shut out.
        if asked is None or not server.host or host.state is not cloud.HostState.DOWN:
            return host
        if (server.server, server.host) != (asked.server, asked.host):
            return host
        found = self.read(server.server, server.host)
        proof = guests.proof(found, asked, host.written, clock.epoch())
        return cloud.Host(cloud.HostState.CONFIRMED_DOWN, proof) if proof else host


class FencedHosts:
    """The compute hosts as ``compute_hosts.Hosts`` shows them, for one plan alone.

    :ivar request: that of the plan; without one, no guest counts as shut out.
    """

    def __init__(self, hosts: compute_hosts.Looks, read: Read = _on_record) -> None:
        self._hosts, self._read = hosts, read
        self.request: guests.Request | None = None

    def state(self, server: cloud.Server) -> cloud.Host:
        """Look at the host of a server."""
        return self.all()(server)

    def all(self) -> compute_hosts.HostTable:
        """Look at all hosts in one call."""
        found = self._hosts.all()
        if found.sight is not cloud.Sight.SOME_SILENT:
            return found
        return _Table(found.by_id, found.otherwise, found.failure, self.request, self._read)


class _Clients:
    """The clients of a stack, with another look at the hosts and a storage that is asked."""

    def __init__(self, policy: Any, of: clients.StackClients, hosts: compute_hosts.Looks) -> None:
        self._policy, self._of, self.hosts = policy, of, hosts

    def given_up(self, server: str, volume: str, successor: str, is_over: threading.Event) -> str:
        """As ``clients.StackClients``."""
        return leftovers.end(self._policy, self._of, server, volume, successor, is_over)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


class GuestFence:
    """The fence of the guest that has what one failover hands over; ``of`` gives it.

    :ivar clients: with which the plan is carried out; the group is looked at with plain ones.
    :param policy: has the request among its data.
    :param shuts_out: whether the policy wants such a fence; else all of it does nothing.
    :param wait_until: when the policy stops waiting, on the monotonic clock.
    """

    def __init__(
        self,
        policy: Any,
        stack_clients: clients.StackClients,
        emitter: events.EventEmitter,
        wait_until: float,
        *,
        shuts_out: bool,
        read: Read = _on_record,
    ) -> None:
        self._policy, self._events, self._read = policy, emitter, read
        self._wait_until = wait_until
        self._asked_at, self._said = float('inf'), set[str]()
        self._hosts = FencedHosts(stack_clients.hosts, read) if shuts_out else None
        self.clients = stack_clients
        if self._hosts is not None:
            self.clients = typing.cast(
                clients.StackClients, _Clients(policy, stack_clients, self._hosts)
            )

    def use_for(self, plan: model.Plan) -> None:
        """Count as proved only what this plan has asked for.

        What its host has to give up otherwise, as a port, no storage shuts it out from.
        """
        if self._hosts is None:
            return
        made = _request_of(self._policy)
        if made is not None and not _volumes_of(plan) <= set(made.volumes):
            # Of what it takes beside these nobody was asked whether the guest has it.
            forget(self._policy)
            made = None
        elif made is not None and made.plan != plan.plan_id:
            # The same failover goes on with another successor; or what was asked for is over.
            if plan.old is None or plan.old.server != made.server or _has_fence(plan):
                forget(self._policy)
                made = None
            else:
                made = dataclasses.replace(made, plan=plan.plan_id)
                self._put(made)
        self._hosts.request = None if _has_fence(plan) else made

    def ask(self, server_id: str, plan: model.Plan, still_wanted: Callable[[], None]) -> None:
        """Ask the agents to shut a server out, if it has volumes that the plan still takes.

        :param still_wanted: asked right before; what it raises means that nothing is asked for.
        """
        if self._hosts is None:
            return
        server, host, _sight = former_holders.look(self.clients, server_id)
        if host.state is cloud.HostState.UP:
            return
        left = max(0.0, self._wait_until - time.monotonic())
        until = clock.epoch() + left + STANDS_FOR
        volumes, made = _volumes_of(plan), self._hosts.request
        if (
            made is not None
            and (made.server, made.host) == (server.server, server.host)
            and volumes <= set(made.volumes)
        ):
            # Another engine, or this one before, has asked for the same: its answer counts.
            made = dataclasses.replace(made, until=until)
        elif host.state is not cloud.HostState.DOWN:
            return
        elif why := _why_not(server, plan, volumes):
            text = f'server {server_id} is not shut out by the storage alone: {why}'
            self._events.progress(f'{text}. {guests.WHOLE_HOST}', plan)
            return
        else:
            made = guests.Request(
                uuid.uuid4().hex,
                plan.plan_id,
                server_id,
                server.host,
                tuple(sorted(volumes)),
                until,
            )
        still_wanted()
        self._put(made)
        self._hosts.request = made
        self._asked_at, self._said = time.monotonic(), set()
        self._events.progress(
            f'heat-ha-agent is asked to shut server {server_id} out from its volumes', plan
        )

    def _put(self, made: guests.Request) -> None:
        self._policy.data_set(guests.REQUEST, serialization.compact(serialization.encode(made)))

    def report(self, plan: model.Plan) -> None:
        """Make an event of what keeps the agents from it, once each."""
        asked = self._hosts.request if self._hosts is not None else None
        if asked is None:
            return
        found, text = self._read(asked.server, asked.host), ''
        is_answer = found is not None and asked.request_id in found.answers
        if found is not None and is_answer and found.refused:
            text = f'heat-ha-agent cannot shut server {asked.server} out: {found.refused}'
        elif found is not None and is_answer and found.waits:
            text = f'heat-ha-agent waits, before it shuts server {asked.server} out: {found.waits}'
        elif (
            not is_answer
            and not (found is not None and asked.request_id in found.proved_for)
            and time.monotonic() - self._asked_at > SILENT_AFTER
        ):
            text = (
                f'no heat-ha-agent has answered yet about server {asked.server}. See whether one '
                'runs in this region, and what its log says of that server; or fence the whole host'
            )
        if text and text not in self._said:
            self._said.add(text)
            self._events.progress(text, plan)


def of(
    policy: Any,
    wanted: options.Options,
    stack_clients: clients.StackClients,
    emitter: events.EventEmitter,
    wait_until: float,
) -> GuestFence:
    """The fence of guests for one failover of a policy, as its template wants it."""
    return GuestFence(policy, stack_clients, emitter, wait_until, shuts_out=wanted.shuts_out)


def _request_of(policy: Any) -> guests.Request | None:
    """The request among the data of a policy; None without one that is understood."""
    text = resource_data.fresh(policy).get(guests.REQUEST)
    if text is None:
        return None
    try:
        return serialization.read(guests.Request, text, 'a request')
    except exceptions.Unreadable:
        return None


def forget(policy: Any, read: Read = _on_record) -> str:
    """Ask for nothing any more; what was done is watched as long as the host is silent.

    :returns: what a person has to know of a guest that is shut out by then, '' where none is.
    """
    if guests.REQUEST not in policy.data():
        return ''
    asked = _request_of(policy)
    policy.data_delete(guests.REQUEST)
    found = read(asked.server, asked.host) if asked is not None else None
    if asked is None or found is None or not found.clients or found.is_over:
        return ''
    return (
        f'the guest of server {asked.server} is shut out from its volumes by the storage, and '
        'stays so: if the server still has them, openstack server reboot --hard gives them back, '
        'once its host answers and not before'
    )


def _why_not(server: cloud.Server, plan: model.Plan, volumes: frozenset[str]) -> str:
    """Why the agents are not asked about a server whose host is silent."""
    if plan.old is None or plan.old.server != server.server:
        return 'it is not the old active'
    if not volumes:
        return 'more than volumes, or none, is taken'
    return '' if server.host else 'its host is not known'


def _has_fence(plan: model.Plan) -> bool:
    return any(step.kind is StepKind.FENCE for step in plan.steps)


def _volumes_of(plan: model.Plan) -> frozenset[str]:
    """The volumes that a plan still takes; none where the old host has to give up something else.

    Those that were given up before, as their host still answered, need no fence.
    """
    if _has_fence(plan):
        return frozenset()
    return frozenset(
        step.target
        for step in plan.steps
        if step.kind is StepKind.DETACH
        and step.thing is model.ThingKind.VOLUME
        and step.state is not StepState.DONE
    )
