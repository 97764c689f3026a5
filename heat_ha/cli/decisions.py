# SPDX-License-Identifier: Apache-2.0
"""What a person decides about a failed host, put on record beside the agents that work on it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.agent import model
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.rules import by_hand, decide
from heat_ha.agent.rules.dispatch_rules import DispatchState
from heat_ha.cloud.model import ComputeService
from heat_ha.rescue.rules import held_back

LOG = logging.getLogger(__name__)

# How often a decision is tried again when an agent writes at the same moment, and the seconds in
# between. An agent that fences or signals writes every half second at most.
ATTEMPTS, PAUSE = 10, 0.3

Services = Callable[[], Mapping[str, ComputeService]]

# In these nobody signals policies any more, before the host fails again.
_OVER = (model.Phase.QUARANTINED, model.Phase.CLOSED, model.Phase.DROPPED)

# In these a policy that was dropped can still be released.
_BEING_RESCUED = (model.Phase.RESCUING, model.Phase.DONE)

# The turns of policies that are held back, and of those that are not at their end.
_HELD = ('deferred',)
_OPEN_TURNS = ('waiting', 'signalled', 'deferred')


def decided(store: agent_store.Store, verb: str, host: str, by: str, services: Services) -> str:
    """Do what a person decides about a host. :returns: the phase of its incident then.

    An agent may write at the same moment. Then it is decided again, from what is on record then.

    :param services: asks Nova for its hosts.
    :raises exceptions.Refused: there is nothing to decide.
    :raises exceptions.TryAgain: agents wrote each time.
    """
    for _attempt in range(ATTEMPTS):
        try:
            return _decide_once(store, verb, host, by, services)
        except agent_store.Changed as exc:
            LOG.info('host=%s %s by=%s: %s, again', host, verb, by, exc)
            time.sleep(PAUSE)
    raise exceptions.TryAgain(
        f'{verb} {host} is not done, or not in full: an agent has changed the record of the host '
        f'{ATTEMPTS} times meanwhile. Look at it (heat-ha-agent show {host}), and do it again'
    )


def _decide_once(
    store: agent_store.Store, verb: str, host: str, by: str, services: Services
) -> str:
    """Decide from what is on record now; done twice, it is harmless, and goes on where it ended.

    :raises store.Changed: an agent wrote meanwhile.
    """
    incidents = store.all(agent_store.INCIDENT)
    if host not in incidents:
        raise exceptions.Refused(f'host {host!r} has no incident', 'heat-ha-agent show lists them')
    if verb == 'confirm':
        return _confirm(store, host, incidents[host], by, services)
    rescues = store.all(agent_store.RESCUE).get(host)
    if rescues and rescues.value['opened'] != incidents[host].value['opened']:
        # They are those of an earlier failure.
        rescues = None
    if verb == 'end':
        return _end(store, host, incidents[host], rescues, by)
    return _decide(store, host, incidents[host], rescues, verb == 'release', by)


def _end(store: Any, host: str, entry: Any, rescues: Any, by: str) -> str:
    """Do nothing more about a host until it is back. :returns: its phase then.

    :raises exceptions.Refused: its incident is over already.
    """
    old = serialization.decode(model.Incident, entry.value, f'the incident of host {host}')
    new = decide.ended(old, by, time.time())
    changed = _with_turns(rescues.value, _OPEN_TURNS, DispatchState.DROPPED) if rescues else None
    # An end that was not done in full has left turns open.
    has_turns = rescues and changed != rescues.value and old.phase is not model.Phase.CLOSED
    if new == old and not has_turns:
        raise exceptions.Refused(f'the incident of host {host} is over: it is {old.phase.value}')
    # The incident first: whoever works on it finds that it was ended, and signals nobody.
    if new != old:
        store.put(agent_store.INCIDENT, host, serialization.encode(new), entry.version)
    if has_turns:
        store.put(agent_store.RESCUE, host, changed, rescues.version)
    return str(new.phase.value)


def _decide(store: Any, host: str, entry: Any, rescues: Any, is_release: bool, by: str) -> str:
    """Release or drop what the storm guard holds back of a host. :returns: its phase then.

    :raises exceptions.Refused: nothing is held back, or nobody would signal it.
    """
    old = serialization.decode(model.Incident, entry.value, f'the incident of host {host}')
    now = time.time()
    new = decide.released(old, by, now) if is_release else decide.dropped(old, by, now)
    state = DispatchState.WAITING if is_release else DispatchState.DROPPED
    is_dropped_too = is_release and old.phase in _BEING_RESCUED
    changed = _with_turns(rescues.value, _HELD, state, is_dropped_too) if rescues else None
    if is_release and old.phase in _OVER and rescues and changed != rescues.value:
        raise exceptions.Refused(
            f'host {host} is {old.phase.value}, so nobody rescues its servers any more',
            f'Look whether they run (heat-ha-agent show {host}), and evacuate those that do not by '
            f'hand; heat-ha-agent drop {host} takes them off the list',
        )
    if is_release and new == old and changed and _has_turns(changed, ('waiting', 'signalled')):
        # None is open in this phase, but those that are released now, or before an interruption.
        new = decide.with_more_rescues(old, by, now)
    if rescues and changed != rescues.value:
        store.put(agent_store.RESCUE, host, changed, rescues.version)
    elif new == old:
        raise exceptions.Refused(f'nothing of host {host} is held back: it is {old.phase.value}')
    if new != old:
        store.put(agent_store.INCIDENT, host, serialization.encode(new), entry.version)
    return str(new.phase.value)


def _confirm(store: Any, host: str, entry: Any, by: str, services: Services) -> str:
    """Put a person's word that a host is off on record as the proof. :returns: its phase then.

    :raises exceptions.HaError: it is not taken, or could not be compared with what Nova shows.
    """
    old = serialization.decode(model.Incident, entry.value, f'the incident of host {host}')
    new = by_hand.confirmed(old, services().get(host), by, time.time())
    store.put(agent_store.INCIDENT, host, serialization.encode(new), entry.version)
    return str(new.phase.value)


def _has_turns(value: dict[str, Any], states: tuple[str, ...]) -> bool:
    """Whether a policy on the record of rescues is in one of these states."""
    return any(row['turn'] in states for row in value['rows'])


def _with_turns(
    value: dict[str, Any], old: tuple[str, ...], new: Any, is_dropped_too: bool = False
) -> dict[str, Any]:
    """The record of rescues with the policies of some states in another one.

    :param is_dropped_too: also those that the storm guard has held back, and that a person has
        dropped since: the guard still refuses their signals, and nobody else can take that back.
    """
    # Why one was held back is no reason any more once it is released.
    changes = {'turn': new.value} | ({'reason': ''} if new is DispatchState.WAITING else {})
    rows = [
        {key: row[key] for key in row if key != 'in_vain'} | changes
        if row['turn'] in old or (is_dropped_too and _is_dropped_by_hand(row))
        else row
        for row in value['rows']
    ]
    return value | {'rows': rows}


def _is_dropped_by_hand(row: dict[str, Any]) -> bool:
    is_dropped = row['turn'] == DispatchState.DROPPED.value
    return is_dropped and held_back.level_of(row.get('reason', '')) is not None
