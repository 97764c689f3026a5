# SPDX-License-Identifier: Apache-2.0
"""Keep the record of a RescuePolicy where every engine, and the agent, can read it.

Everything is in the resource's data: what the policy wants under one key, and the rescue of each
server under a key of its own, so that a policy with many servers never outgrows a column.
"""

import dataclasses
import json
import operator
from collections.abc import Collection, Mapping
from typing import Any

from heat_ha import exceptions, serialization
from heat_ha.cloud import model as cloud
from heat_ha.cloud import resource_data
from heat_ha.rescue import model

PROTECTION, SERVER, HISTORY = 'ha_rescue', 'ha_rescue.', 'ha_rescue_history'

# In the resource's metadata: which engine is at work.
MARK = 'ha_rescuing'

MAX_PAST = 50

# Seconds for which the rescue of a server that the policy no longer protects stays on record. The
# agent reads there how it ended, within the incident of its host.
KEPT = 86_400.0


@dataclasses.dataclass(frozen=True)
class Protection:
    """What the agent must know of a policy without loading its stack.

    ``tops`` are the names of the resources of its stack that it protects; all if empty.
    """

    tops: tuple[str, ...]
    priority: int
    max_rescues: int
    period: float


def write_protection(resource: Any, protection: Protection) -> None:
    """Put on record what the agent must know of the policy."""
    resource.data_set(PROTECTION, text_of_protection(protection))


def text_of_protection(protection: Protection) -> str:
    """The text that :func:`wish_of` reads."""
    return json.dumps(serialization.encode(protection))


def protection_of(text: str) -> Protection:
    """What a policy has on record. :raises Unreadable: another version wrote it."""
    return serialization.read(Protection, text, 'what a RescuePolicy protects')


def progress_of(data: Mapping[str, str]) -> dict[str, model.Progress]:
    """The rescues on record, by server id."""
    return {
        key.removeprefix(SERVER): serialization.read(model.Progress, text, 'the rescue of a server')
        for key, text in data.items()
        if key.startswith(SERVER)
    }


def understood_of(data: Mapping[str, str]) -> tuple[dict[str, model.Progress], str]:
    """The rescues on record, by server id, as far as they are understood; for who does none.

    What a newer version has added is left out. A rescue that is not understood all the same is at
    work (S2).

    :returns: with them why one of them is not understood in full; '' when all are.
    """
    found: dict[str, model.Progress] = {}
    why = ''
    for key, text in data.items():
        if not key.startswith(SERVER):
            continue
        server = key.removeprefix(SERVER)
        try:
            found |= progress_of({key: text})
        except exceptions.Unreadable as exc:
            why = why or str(exc)
            found[server] = _as_understood(server, text)
    return found, why


def _as_understood(server: str, text: str) -> model.Progress:
    try:
        known = serialization.pruned(model.Progress, json.loads(text))
        return serialization.decode(model.Progress, known, 'the rescue of a server')
    except (exceptions.Unreadable, ValueError):
        before = model.Server(server, cloud.ServerStatus.COULD_NOT_ASK)
        return model.Progress(server, server, before, state=model.State.RUNNING)


def read(resource: Any) -> dict[str, model.Progress]:
    """The rescues on record now, by server id."""
    return progress_of(resource_data.fresh(resource))


def write(resource: Any, progress: model.Progress) -> None:
    """Put the rescue of one server on record; it is durable on return."""
    text = serialization.compact(serialization.encode(progress))
    resource.data_set(SERVER + progress.server, text)


def drop(resource: Any, server: str) -> None:
    """Take the rescue of one server off the record."""
    resource.data_delete(SERVER + server)


def drop_old(resource: Any, protected: Collection[str], now: float) -> None:
    """Take rescues off the record that ended long ago, of servers that are not protected now."""
    for server, known in read(resource).items():
        is_old = known.state.is_final and now - known.ended > KEPT
        if is_old and server not in protected:
            drop(resource, server)


def read_history(resource: Any) -> list[dict[str, Any]]:
    """The rescues that ended, oldest first."""
    found: list[dict[str, Any]] = json.loads(resource_data.fresh(resource).get(HISTORY, '[]'))
    return found


def add_to_history(resource: Any, ended: model.Progress) -> None:
    """Append one line, or replace the rescue's own; the oldest go when there are too many."""
    line = {
        'server': ended.server,
        'name': ended.name,
        'method': ended.method.value if ended.method else '',
        'outcome': ended.state.value,
        'reason': ended.reason,
        'began': round(ended.began, 1),
        'seconds': round(max(ended.ended - ended.began, 0.0), 2),
    }
    which = operator.itemgetter('server', 'began')
    others = [known for known in read_history(resource) if which(known) != which(line)]
    lines = [*others, line][-MAX_PAST:]
    while len(text := json.dumps(lines, separators=(',', ':'))) > resource_data.MAX_BYTES:
        lines.pop(0)
    resource.data_set(HISTORY, text)
