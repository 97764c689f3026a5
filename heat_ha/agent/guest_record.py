# SPDX-License-Identifier: Apache-2.0
"""What an agent puts on record about one guest that is shut out, or is to be."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from heat_ha import exceptions, serialization
from heat_ha.agent.adapters import store as agent_store
from heat_ha.fencing.rules import guests

# Seconds after which it is put down again that the images were looked at: while a policy waits for
# it, and while nobody reads it.
PUT_EVERY, PUT_SELDOM = guests.FRESH / 6, 3600.0


def fence_of(entry: agent_store.Entry) -> guests.GuestFence | None:
    """What is on record; None without anything, and where a later version wrote it."""
    if entry.value is None:
        return None
    try:
        return serialization.decode(guests.GuestFence, entry.value, 'a fence of a guest')
    except exceptions.Unreadable:
        # The agents of that version watch it.
        return None


class GuestRecord:
    """The record about one guest, in one look. Each write is over the version that was read.

    :param name: of the record, see ``guests.record_name``; ``agent`` is that of the agent.
    :ivar fence: what is on record.
    """

    def __init__(
        self,
        store: agent_store.Store,
        name: str,
        entry: agent_store.Entry,
        agent: str,
        now: Callable[[], float],
    ) -> None:
        self._store, self._name, self._entry = store, name, entry
        self._agent, self._now = agent, now
        self.fence = fence_of(entry)
        self._has_doubt = False

    @property
    def is_unreadable(self) -> bool:
        """Whether a later version wrote it."""
        return self._entry.value is not None and self.fence is None

    def put(self, fence: guests.GuestFence) -> None:
        """:raises agent_store.Changed: somebody else has written since."""
        version = self._entry.version
        self._entry = self._store.put(guests.KIND, self._name, serialization.encode(fence), version)
        self.fence = fence

    def remove(self) -> None:
        """Forget it."""
        self._store.remove(guests.KIND, self._name, self._entry.version)

    def doubt(self) -> None:
        """Let nobody rely on what was proved, before anything else is done in this look."""
        self._has_doubt = True
        if self.fence is not None and self.fence.is_watched and not self.fence.is_doubtful:
            self.put(dataclasses.replace(self.fence, is_doubtful=True))

    def done(
        self,
        clients: tuple[str, ...],
        asked: guests.Wanted | None,
        looked_at: float,
        listed: Mapping[str, float],
    ) -> None:
        """The clients are shut out, and a look of ``looked_at`` has proved it for who asks."""
        fence = self.fence
        assert fence is not None
        ids = (*fence.proved_for, *(asked.ids if asked is not None else ()))
        self.put(
            dataclasses.replace(
                fence,
                clients=clients,
                proved_for=tuple(sorted(set(ids))),
                refused='' if asked is not None else fence.refused,
                waits='' if asked is not None else fence.waits,
                at=fence.at or self._now(),
                until=min(listed[one] for one in clients),
                seen_at=looked_at,
                who=self._agent,
                is_doubtful=self._is_doubtful(fence, asked),
            )
        )

    def keep(
        self, asked: guests.Wanted | None, looked_at: float, listed: Mapping[str, float]
    ) -> None:
        """A look of ``looked_at`` has found all as it should be."""
        fence = self.fence
        assert fence is not None
        is_doubtful = self._is_doubtful(fence, asked)
        waits = fence.waits if asked is None or is_doubtful else ''
        is_news = (fence.is_doubtful, fence.waits) != (is_doubtful, waits)
        if is_news or looked_at - fence.seen_at > (PUT_SELDOM if asked is None else PUT_EVERY):
            until = min(listed[one] for one in fence.clients)
            self.put(
                dataclasses.replace(
                    fence, seen_at=looked_at, until=until, waits=waits, is_doubtful=is_doubtful
                )
            )

    def refuse(self, asked: guests.Wanted | None, host: str, reason: str) -> None:
        """It cannot be done, for this reason."""
        self._answer(asked, host, refused=reason, waits='', proved_for=())

    def wait_for(self, asked: guests.Wanted | None, host: str, reason: str) -> None:
        """It cannot be done now, for this reason."""
        self._answer(asked, host, refused='', waits=reason)

    def _answer(self, asked: guests.Wanted | None, host: str, **changes: Any) -> None:
        """Put down, once, what the policies that ask are to show."""
        server, _, host_id = self._name.partition(' ')
        fence = self.fence or guests.GuestFence(server, host_id)
        if asked is None:
            return
        changed = dataclasses.replace(fence, answers=asked.ids, **changes)
        if changed != fence:
            at = fence.seen_at if fence.at else self._now()
            self.put(
                dataclasses.replace(changed, host=fence.host or host, seen_at=at, who=self._agent)
            )

    def _is_doubtful(self, fence: guests.GuestFence, asked: guests.Wanted | None) -> bool:
        """Whether a look that found all as it should be leaves a doubt.

        Where nobody asks, Nova is not asked where the server is, which the doubt may be about.
        """
        return self._has_doubt or (asked is None and fence.is_doubtful)
