# SPDX-License-Identifier: Apache-2.0
"""Signals that are kept until they can be decided, where every engine finds them.

Each is an entry of its own in the policy's data, by the member that it is about. So whoever has a
signal can keep it without the policy's lock, and nothing is lost when two do so at once: of two
signals about one member, the later one stays, with what the earlier one asks for besides.
"""

import dataclasses
import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.cloud import compare_and_set, resource_data
from heat_ha.failover import model
from heat_ha.failover.rules import room

LOG = logging.getLogger(__name__)

KEY = 'ha_signal:'

# How many members a policy keeps signals about; groups are small, and their members' names are
# looked at before.
MOST = 50

MAX_NAME = 200

# How many alarms that ask for one signal are told apart by their names, and how many that have
# asked for it are.
MOST_ALARMS = 20


def among(data: Mapping[str, str]) -> tuple[model.Remembered, ...]:
    """The signals among a policy's data, in the order in which they came."""
    found = (_of(text) for key, text in data.items() if key.startswith(KEY))
    return tuple(sorted(found, key=lambda one: (one.came, one.member)))


def readable(data: Mapping[str, str]) -> tuple[model.Remembered, ...]:
    """Those among a policy's data that this version understands, for who only looks at them."""
    found: list[model.Remembered] = []
    for key, text in data.items():
        try:
            found += among({key: text})
        except exceptions.Unreadable as exc:
            LOG.warning('%s', exc)
    return tuple(found)


class RememberedSignals:
    """The remembered signals of one policy."""

    def __init__(self, policy: Any) -> None:
        self._policy = policy

    def read(self) -> tuple[model.Remembered, ...]:
        """All of them, as the database has them now, in the order in which they came."""
        return among(resource_data.fresh(self._policy))

    def keep(self, one: model.Remembered) -> None:
        """Keep a signal, together with what another one about the same member asks for.

        :raises Refused: there are too many.
        """
        others = [other for other in self.read() if other.member != one.member]
        if len(others) >= MOST:
            raise exceptions.Refused(
                f'{len(others)} signals wait already', 'Send it again when some are decided'
            )
        while True:
            before = resource_data.fresh(self._policy).get(_key(one))
            both = one if before is None else together(_of(before), one)
            if self._swap(one, before, both):
                return

    def put_off(self, one: model.Remembered, changed: model.Remembered) -> None:
        """Keep a signal as it is now, unless another one about the member has come since."""
        self._put(one, changed)

    def forget(self, one: model.Remembered) -> None:
        """Forget this signal, unless another one about the member has come since."""
        while self._put(one, None):
            # Two engines that kept a signal about it at the same moment made two entries.
            pass

    def note_ok(self, sources: Collection[str]) -> None:
        """Note with the signals that these alarms have asked for that they say ok now.

        :param sources: '' for one without a name, which may be any: it ends nobody's.
        """
        ended = {one for one in sources if one}
        if not ended:
            return
        for one in readable(resource_data.fresh(self._policy)):
            said = tuple(alarm for alarm in one.alarms if alarm in ended)
            if said:
                left = tuple(alarm for alarm in one.alarms if alarm not in ended)
                over = (*one.over, *said)
                self.put_off(one, dataclasses.replace(one, alarms=left, over=over))

    def _put(self, one: model.Remembered, after: model.Remembered | None) -> bool:
        """Replace what is on record about the member, if ``one`` has all that it asks for.

        :returns: whether something was changed.
        """
        while True:
            before = resource_data.fresh(self._policy).get(_key(one))
            if before is None:
                # Somebody else has decided it.
                return False
            if _asks_for_more(_of(before), one):
                return False
            if self._swap(one, before, after):
                return True

    def _swap(
        self, one: model.Remembered, before: str | None, after: model.Remembered | None
    ) -> bool:
        text = None if after is None else _text(after)
        return before == text or compare_and_set.swap(self._policy, _key(one), before, text)


def together(before: model.Remembered, one: model.Remembered) -> model.Remembered:
    """What two signals about one member ask for: the later one, with what it lacks of the other.

    Invariant: a wish to replace the member, and that it was named, are never lost (S3). What was
    asked for about an earlier server of the member is over with that.
    """
    early, late = sorted((before, one), key=lambda each: each.came)
    if early.server != late.server and early.named != late.member:
        return late
    wishes = [each.chained for each in (late, early) if each.chained is not None]
    alarms = _alarms(early, late)
    return dataclasses.replace(
        late,
        chained=max(wishes, key=lambda wish: wish.count, default=None),
        is_named=late.is_named or early.is_named,
        named=late.named or early.named,
        # What one of them calls by more than its address is named.
        host='' if _is_sure(late) or _is_sure(early) else late.host or early.host,
        alarms=alarms,
        over=tuple(sorted({*early.over, *late.over} - {*alarms}))[:MOST_ALARMS],
    )


def _is_sure(one: model.Remembered) -> bool:
    return one.is_named and not one.host


def _alarms(early: model.Remembered, late: model.Remembered) -> tuple[str, ...]:
    """The alarms that ask for either of two signals and have not said ok, or none if that is open.

    A signal that does not say by whom it was sent does not end with what another alarm says.
    """
    if not any((early.alarms, early.over, late.alarms, late.over)):
        return ()
    asking = [each.alarms if each.alarms or each.over else ('',) for each in (early, late)]
    found = tuple(sorted({*asking[0], *asking[1]}))
    return found if len(found) <= MOST_ALARMS else ('',)


def _asks_for_more(known: model.Remembered, one: model.Remembered) -> bool:
    both = together(known, one)
    is_news = bool({*known.over} - {*one.over})
    return is_news or (both.came, *_wishes(both)) != (one.came, *_wishes(one))


def _wishes(one: model.Remembered) -> tuple[object, ...]:
    return (one.chained, one.is_named, one.named, one.host, frozenset(one.alarms))


def _text(one: model.Remembered) -> str:
    brief = dataclasses.replace(one, why=room.bounded(one.why))
    return serialization.compact(serialization.encode(brief))


def _of(text: str) -> model.Remembered:
    return serialization.read(model.Remembered, text, 'a remembered signal')


def _key(one: model.Remembered) -> str:
    """The key of the entry. Heat keeps 255 characters of it, and a name may be as long."""
    name = one.member
    if len(name) > MAX_NAME:
        name = hashlib.sha256(name.encode()).hexdigest()
    return KEY + name
