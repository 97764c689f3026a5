# SPDX-License-Identifier: Apache-2.0
"""What an agent does about one guest that is to be shut out from its volumes, or is.

``heat_ha.fencing.rules.guest_steps`` decides, once more after each thing that was looked at.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from heat_ha import exceptions
from heat_ha.agent import empty_answers, guest_record
from heat_ha.agent.adapters import guest_requests, nova_admin
from heat_ha.agent.adapters import store as agent_store
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing import ceph_guests
from heat_ha.fencing.rules import guest_steps, guests

# Looks and acts for one guest in a row, at most: look, ask Nova, shut out, look again, ask Nova,
# put down.
STEPS = 6


@dataclasses.dataclass(frozen=True)
class Region:
    """What the agent knows of all hosts just now.

    :ivar problem: why nothing can be concluded from it, or ''.
    :ivar held: why the agent may not act on a host of that name now, or ''.
    """

    services: Mapping[str, ComputeService]
    problem: Callable[[], str]
    held: Callable[[str], str]


class Shell(NamedTuple):
    """What all guests have in common."""

    agent: str
    nova: nova_admin.NovaAdmin
    store: agent_store.Store
    clusters: ceph_guests.Connections
    pending: Callable[[], Iterable[guest_requests.Asked]]
    now: Callable[[], float]
    say: Callable[[str, str], None]
    empty: empty_answers.EmptyAnswers


@dataclasses.dataclass(frozen=True)
class Task:
    """One guest, as one look has found it: see ``guests.record_name``."""

    name: str
    asked: tuple[guest_requests.Asked, ...]
    entry: agent_store.Entry
    region: Region


class GuestWork:
    """One guest in one look."""

    def __init__(self, shell: Shell, task: Task) -> None:
        self._shell, self._task = shell, task
        self._record = guest_record.GuestRecord(
            shell.store, task.name, task.entry, shell.agent, shell.now
        )
        self._server, _, self._host_id = task.name.partition(' ')
        self._placed: guests.Placed | None = None
        self._host = self._fence.host if self._fence is not None else ''
        self._storage: guests.Storage = guests.Storage()
        self._connection: ceph_guests.Connection | None = None
        self._opened: Mapping[str, guests.Opened] | None = None
        self._at_host: frozenset[str] | None = None
        self._listed: Mapping[str, float] = {}
        self._shut_out: tuple[str, ...] = ()
        self._looked_at = 0.0
        self._held = ''

    @property
    def _fence(self) -> guests.GuestFence | None:
        return self._record.fence

    def deal(self) -> None:
        """Look, decide and act until nothing is left to do now."""
        if self._record.is_unreadable:
            return
        asked = None
        try:
            asked = self._place()
            self._storage, self._connection = self._shell.clusters.of(self._host)
            self._held = self._task.region.held(self._host) if self._host else ''
            is_kept = self._run(asked)
            if asked is not None and not is_kept and self._fence and self._fence.is_watched:
                # What was shut out before stays so, whatever becomes of the request.
                self._opened, self._at_host, self._shut_out = None, None, ()
                self._run(None)
        except exceptions.CouldNotAsk:
            if self._opened is not None:
                # It may have been seen that all is not as it was.
                self._record.doubt()
            asked = asked or self._wanted(self._task.asked)
            self._record.wait_for(
                asked, self._host,
                'the storage or Nova did not answer heat-ha-agent, or does not let it look; its '
                'log says why',
            )  # fmt: skip
            raise

    def _place(self) -> guests.Wanted | None:
        """Ask Nova where the server is, where that matters; what is asked for about it."""
        if not (self._task.asked or self._may_live()):
            return None
        placed = self._placed = self._shell.nova.placed(self._server)
        if placed is not None and placed.host_id == self._host_id:
            self._host = placed.host
        return self._wanted(self._task.asked)

    def _wanted(self, asked: Iterable[guest_requests.Asked]) -> guests.Wanted | None:
        """What policies of the server's own project ask for (S7)."""
        project = self._placed.project if self._placed is not None else ''
        project = project or (self._fence.project if self._fence is not None else '')
        own = [one for one in asked if project in ('', one.project)]
        for one in set(asked) - set(own):
            self._shell.say(self._task.name, f'{one.policy} of {one.stack_name}: not its project')
        return guests.wanted((one.request for one in own), self._shell.now())

    def _may_live(self) -> bool:
        """Whether a host that is watched may have given a sign of life."""
        fence = self._fence
        return fence is not None and (fence.is_void or guest_steps.has_life(self._seen(None)))

    def _seen(self, asked: guests.Wanted | None) -> guests.Seen:
        region = self._task.region
        return guests.Seen(
            now=self._shell.now(),
            wanted=asked,
            host_id=self._host_id,
            fence=self._fence,
            placed=self._placed,
            service=region.services.get(self._host),
            problem=region.problem(),
            held=self._held,
            storage=self._storage,
            opened=self._opened,
            at_host=self._at_host,
            shut_out=self._shut_out,
            listed=self._listed,
        )

    def _run(self, asked: guests.Wanted | None) -> bool:
        """Do what is to be done now; whether it is proved for who asks."""
        for _ in range(STEPS):
            step = guest_steps.next_step(self._seen(asked))
            match step:
                case guest_steps.Look():
                    self._look(asked)
                case guest_steps.AskNova():
                    self._ask_nova()
                case guest_steps.ShutOut(clients):
                    if not self._act(clients, asked):
                        return False
                case guest_steps.Proved(clients):
                    self._record.done(clients, asked, self._looked_at, self._listed)
                    return True
                case guest_steps.Keep():
                    # Nobody new is there, so that the next one is a question of its own.
                    self._shell.empty.is_believed(
                        self._task.name, 0.0, is_empty=False, now=self._shell.now()
                    )
                    self._record.keep(asked, self._looked_at, self._listed)
                    return True
                case _:
                    self._end(step, asked)
                    return False
        raise exceptions.HaError('new clients open its volumes again and again')

    def _end(self, step: guest_steps.Step, asked: guests.Wanted | None) -> None:
        """Put down why nothing is done, or nothing any more."""
        fence, say = self._fence, self._shell.say
        match step:
            case guest_steps.Refuse(reason, detail):
                say(self._task.name, f'it is not shut out: {reason} ({detail})')
                self._record.refuse(asked, self._host, reason)
            case guest_steps.Wait(reason, detail):
                say(self._task.name, f'waiting: {reason} ({detail})')
                self._record.wait_for(asked, self._host, reason)
            case guest_steps.Doubt(reason, detail):
                say(self._task.name, f'it is doubtful, and waiting: {reason} ({detail})')
                self._record.doubt()
                self._record.wait_for(asked, self._host, reason)
            case guest_steps.Void(up_since):
                assert fence is not None
                say(self._task.name, 'its host has given a sign of life')
                self._record.put(
                    dataclasses.replace(fence, proved_for=(), is_void=True, up_since=up_since)
                )
            case guest_steps.End(reason):
                assert fence is not None
                self._record.put(dataclasses.replace(fence, proved_for=(), is_over=True))
                say(self._task.name, f'it is watched no longer: {reason}')
            case guest_steps.Forget():
                self._record.remove()

    def _look(self, asked: guests.Wanted | None) -> None:
        assert self._connection is not None
        self._looked_at, self._at_host = self._shell.now(), None
        self._opened = self._connection.opened(sorted(self._volumes(asked)), self._task.name)
        self._listed = self._connection.listed(self._task.name)

    def _ask_nova(self) -> None:
        assert self._fence is not None
        self._placed = self._shell.nova.placed(self._server)
        if not self._fence.is_void:
            self._at_host = frozenset()
            return
        found = self._shell.nova.volumes_at(self._host)
        since, now = self._fence.written or 0.0, self._shell.now()
        if not self._shell.empty.is_believed(self._task.name, since, found is None, now):
            raise exceptions.CouldNotAsk(
                'nova', f'the servers on {self._host}', 'an empty list, not believed yet'
            )
        self._at_host = found or frozenset()

    def _volumes(self, asked: guests.Wanted | None) -> frozenset[str]:
        """Those whose images are looked at: all that the server has, and those it had before."""
        fence, placed = self._fence, self._placed
        found = frozenset(placed.volumes) if asked is not None and placed is not None else None
        if fence is None or not fence.is_watched:
            return found or frozenset()
        if found is not None and (fence.is_void or guest_steps.has_life(self._seen(asked))):
            # What it had before that may be somebody else's by now.
            return found
        return (found or frozenset()) | set(fence.volumes)

    def _act(self, clients: tuple[str, ...], asked: guests.Wanted | None) -> bool:
        """Shut them out, unless it is seen now that it must not be; whether that was done."""
        assert self._connection is not None
        seen = self._task.region.services.get(self._host)
        now = self._shell.nova.compute_services().get(self._host)
        if now is None or now != seen or not self._is_still_wanted(asked):
            self._shell.say(self._task.name, 'nothing is done: its host or the request has changed')
            self._record.doubt()
            return False
        # Before the first side effect (S4): who dies in between leaves the names of the clients.
        self._record.put(self._intent(clients, asked, now))
        self._shell.say(self._task.name, f'is shut out from its volumes: {", ".join(clients)}')
        self._connection.shut_out(clients, self._storage.duration, self._task.name)
        self._shut_out = clients
        self._look(asked)
        return True

    def _intent(
        self, clients: tuple[str, ...], asked: guests.Wanted | None, service: ComputeService
    ) -> guests.GuestFence:
        fence = self._fence or guests.GuestFence(self._server, self._host_id)
        is_first = asked is not None and not set(asked.ids) <= set(fence.proved_for)
        known = {*clients, *(() if fence.is_over else fence.clients)}
        changed = dataclasses.replace(
            fence,
            volumes=tuple(sorted(self._volumes(asked))),
            clients=tuple(sorted(known)),
            # Nobody takes it for a proof before the next look.
            seen_at=0.0 if fence.proved_for and not is_first else self._shell.now(),
        )
        if not is_first:
            return changed
        assert self._placed is not None
        return dataclasses.replace(
            changed,
            host=self._host,
            project=self._placed.project,
            proved_for=(),
            written=service.heartbeat_at,
            at=0.0 if fence.is_over else fence.at,
            is_void=False,
            up_since=0.0,
            is_over=False,
        )

    def _is_still_wanted(self, asked: guests.Wanted | None) -> bool:
        if asked is None:
            return True
        left = {one.request.request_id for one in self._shell.pending()}
        return set(asked.ids) <= left and not self._task.region.problem()
