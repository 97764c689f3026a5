# SPDX-License-Identifier: Apache-2.0
"""What is done to one stack while it fails over, besides the alarms: done and taken back.

``choice`` draws which trouble it is. Each is in a thread of its own, takes back what it has done
after its time or when the run is over, and notes whether it came to be at all: a failover may be
quicker.
"""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

from chaos import ways
from chaos.choice import HostFault, Run, TakeUp, Trouble
from chaos.database import Database
from chaos.owner import Owner
from chaos.pool import LESS, MORE, Member
from chaos.servers import Servers
from chaos.world import Hosts
from heat_ha.failover import model
from heat_ha.failover.model import StepKind, StepState
from lab.client import waiting

# Seconds between two looks at a record while a moment is waited for that may last half a second,
# and else; each of the latter may be a request to Heat.
QUICK, SLOW = 0.05, 1.0

# Seconds until a moment counts as missed: of a failover that begins, and of one that moves.
LIMIT, MOVE_LIMIT = 60.0, 240.0


@dataclasses.dataclass(frozen=True)
class World:
    """By whom things are done: the administrator, the tenant, and who lets hosts die."""

    admin: Any
    tenant: Any
    database: Database
    hosts: Hosts


class Meddler:
    """The trouble of one run; a context, in which it begins before the first signal.

    :ivar trouble: the one that came to be.
    :ivar is_busy: whether it brings the failover on by itself, so that nobody else should.
    :ivar is_through: whether all is taken back.
    :ivar ended: when that was, in seconds since the epoch.
    :ivar ways: the ways out that it has taken.
    :ivar problems: what went wrong with it, in words: the campaign has not shown what it should.
    """

    def __init__(
        self,
        run: Run,
        member: Member,
        before: model.Record,
        world: World,
        say: Callable[[str], Any],
    ) -> None:
        self._run = run
        self._member = member
        self._before = before
        self._world = world
        self._say = say
        self._is_over = threading.Event()
        self._undo = contextlib.ExitStack()
        self._owner = Owner(member)
        self._servers = Servers(world.admin, world.tenant, world.database, self._undo)
        self._thread = threading.Thread(target=self._play)
        self.trouble: Trouble | None = None
        self.is_busy = False
        self.is_through = run.trouble is None
        self.ended = 0.0
        self.ways: list[str] = []
        self.problems: list[str] = []

    def __enter__(self) -> 'Meddler':
        if self._run.trouble in (Trouble.HEIR_LOCKED, Trouble.NOBODY_CAN, Trouble.VOLUME_DELETED):
            self._guarded(self._lock_heirs)
        if not self.is_through:
            self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.finish()
        if self._thread.ident is not None:
            self._thread.join()

    def finish(self) -> None:
        """The failover is over: have it taken back now. ``is_through`` says when that is done."""
        self._is_over.set()

    @property
    def unwell(self) -> frozenset[str]:
        """The servers that were shut off and are not started again."""
        return frozenset(self._servers.unwell)

    def mend(self) -> None:
        """Start what is shut off, as its owner would once the failover is over."""
        self._guarded(lambda: [self._servers.start(s) for s in self._member.stack.servers()])

    def _play(self) -> None:
        acts = {
            Trouble.HEIR_LOCKED: self._last,
            Trouble.NOBODY_CAN: self._last,
            Trouble.OLD_LOCKED: self._lock_old,
            Trouble.VOLUME_DELETED: self._delete_volume,
            Trouble.SCALED: self._scale,
            Trouble.UPDATED: self._update,
            Trouble.ROLLED: self._update,
            Trouble.SECOND_ALARM: self._alarm_about_heir,
            Trouble.SECOND_STOPPED: self._stop_heir,
            Trouble.SECOND_FROZEN: self._freeze_heir,
        }
        assert self._run.trouble is not None
        self._guarded(acts[self._run.trouble])
        self._guarded(self._undo.close)
        self.is_busy = False
        self.ended = time.time()
        self.is_through = True

    def _guarded(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except Exception as exc:
            name = self._run.trouble.value if self._run.trouble is not None else 'afterwards'
            text = f'{name}: {type(exc).__name__}: {exc}'[:300]
            self._say(f'run {self._run.number}: {text}')
            self.problems.append(text)

    # --- what several need -------------------------------------------------------------------

    def _begun(self, what: str, trouble: Trouble | None = None) -> None:
        self.trouble = trouble or self._run.trouble
        self._say(f'run {self._run.number}: {what}')

    def _last(self) -> None:
        """Leave it as it is for its time."""
        self._is_over.wait(self._run.trouble_lasts)

    def _until(self, look: Callable[[], Any], seconds: float, every: float = QUICK) -> Any:
        """What a look finds, None when the run is over or the time is."""
        deadline = time.monotonic() + seconds * waiting.PATIENCE
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            if self._is_over.wait(every):
                return None
        return None

    def _new_plan(self) -> model.Plan | None:
        plan, old = self._member.record().plan, self._before.plan
        is_new = plan is not None and (old is None or plan.plan_id != old.plan_id)
        return plan if is_new else None

    def _heir(self) -> model.MemberServer | None:
        """The successor of the failover that runs, once there is one."""

        def look() -> model.MemberServer | None:
            plan = self._new_plan()
            return plan.new if plan is not None else None

        found: model.MemberServer | None = self._until(look, LIMIT)
        if found is not None:
            self._is_over.wait(self._run.trouble_after)
        return found

    # --- the heir cannot take over -----------------------------------------------------------

    def _lock_heirs(self) -> None:
        active = self._before.active
        assert active is not None
        heirs = [s for s in self._member.stack.servers() if s != active.server]
        locked = [s for s in heirs if self._servers.lock(s)]
        what = f'{", ".join(locked)} locked, for {self._run.trouble_lasts:.0f} s'
        if self._run.trouble is Trouble.HEIR_LOCKED:
            self._begun(what)
            return
        # A well active would get its volumes back.
        self._begun(f'{what}; {active.server} shut off', Trouble.NOBODY_CAN)
        assert self._servers.shut_off(active.server), f'{active.server} does not shut off'

    # --- the old active cannot be deleted ----------------------------------------------------

    def _lock_old(self) -> None:
        """Lock it when it has given everything up: before that Nova would not take anything."""

        def look() -> model.MemberServer | None:
            plan = self._new_plan()
            if plan is None or plan.old != self._before.active:
                return None
            taken = [s.state for s in plan.steps if s.kind is StepKind.DETACH]
            return plan.old if all(state is StepState.DONE for state in taken) else None

        old = self._until(look, MOVE_LIMIT)
        if old is not None and self._servers.lock(old.server):
            self._begun(f'{old.server}, which is to go, locked')
            # It is over only when that is replaced, so the time is not cut short.
            self._last()

    # --- a volume is gone --------------------------------------------------------------------

    def _delete_volume(self) -> None:
        """Delete the volume that nobody can get, then take the way out that there is.

        By the template, which has another one from now on; before it the plan is dropped where
        that was drawn.
        """
        (volume,) = self._member.volumes
        self.is_busy = True

        def is_free() -> bool:
            seen = self._member.record()
            held = self._world.database.holders([volume])[volume]
            return seen.state is model.State.STOPPED and not held

        if not self._until(is_free, LIMIT + self._run.trouble_lasts, SLOW):
            # A failover that engines and services are in the way of; it goes on as others do.
            self.is_busy = False
            return
        path = f'/volumes/{volume}'
        answer = self._world.admin.block_storage.post(
            f'{path}/action', json={'os-force_delete': {}}
        )
        if answer.status_code != 202:
            self._say(f'run {self._run.number}: Cinder does not delete the volume: {answer.text}')
            self.is_busy = False
            return
        self._begun(f'volume {volume} deleted')
        self._undo.close()
        if self._run.take_up is TakeUp.DROP:
            self._owner.drop()
            self.ways.append(TakeUp.DROP.value)
        self._owner.update(Trouble.VOLUME_DELETED)
        self.ways.append(ways.UPDATE)
        self._member.learn_volumes()

    # --- the group or the stack changes meanwhile --------------------------------------------

    def _scale(self) -> None:
        """One member more; it goes when the failover is over."""
        if self._is_over.wait(self._run.trouble_after):
            return
        size = self._member.shape.size
        self._undo.callback(self._owner.scale, LESS, size)
        self._begun(f'the group gets {size + 1} members')
        self._owner.scale(MORE, size + 1)
        self._is_over.wait()

    def _update(self) -> None:
        if self._is_over.wait(self._run.trouble_after):
            return
        assert self._run.trouble is not None
        self._owner.update(self._run.trouble, lambda: self._begun('a stack update'))

    # --- a second member falls sick ----------------------------------------------------------

    def _alarm_about_heir(self) -> None:
        heir = self._heir()
        if heir is not None:
            self._member.alarm({'current': 'alarm', 'member': heir.server})
            self._begun(f'an alarm about the successor {heir.member}')

    def _stop_heir(self) -> None:
        heir = self._heir()
        if heir is None:
            return
        self._undo.callback(self._servers.start, heir.server)
        self._begun(f'the successor {heir.member} shut off, and an alarm about it')
        if self._servers.shut_off(heir.server):
            self._member.alarm({'current': 'alarm', 'member': heir.server})
            self._last()

    def _freeze_heir(self) -> None:
        heir = self._heir()
        if heir is None:
            return
        host = self._world.database.hosts_of([heir.server]).get(heir.server)
        if not host:
            return
        lasts = self._run.trouble_lasts
        with self._world.hosts.dying(host, HostFault.FROZEN, None, lasts):
            self._begun(f'{host} of the successor {heir.member} frozen, and an alarm about it')
            self._member.alarm({'current': 'alarm', 'member': heir.server})
