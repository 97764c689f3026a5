# SPDX-License-Identifier: Apache-2.0
"""Look for members that were reported sick and have been repaired since.

What counts is decided in ``rules.suspicion``; Heat and Nova are asked only about those that are
well as far as a look at the group shows.
"""

from collections.abc import Sequence
from typing import Any

from heat_ha.cloud import clients, clock, heat_db
from heat_ha.failover import model
from heat_ha.failover.rules import standbys, suspicion
from heat_ha.groups.adapters import failure_masks


def look(
    known: model.Record,
    candidates: Sequence[model.Candidate],
    group: Any,
    stack_clients: clients.StackClients,
) -> tuple[model.Record, dict[str, str]]:
    """The record with what was seen of its suspects, without those that are cleared.

    :returns: the record, and for each member that is cleared the evidence in words.
    """
    if not known.suspects:
        return known, {}
    found = suspicion.seen(known, candidates, clock.now_text('milliseconds'))
    reasons = {}
    for one, candidate in suspicion.to_ask_about(found, candidates, standbys.going(found)):
        why = suspicion.at_sight(one, candidate)
        if why is None:
            why = suspicion.by_deeds(one, _shown(one, candidate, group, stack_clients))
        if why is not None:
            reasons[one.member] = why
    return suspicion.cleared(found, reasons), reasons


def _shown(
    one: model.Suspicion,
    candidate: model.Candidate,
    group: Any,
    stack_clients: clients.StackClients,
) -> suspicion.Shown:
    checked_at = heat_db.last_check(
        group.context,
        group.resource_id,
        candidate.member.name,
        candidate.member.reference,
        failure_masks.MASKED,
    )
    return suspicion.Shown(
        checked_at, stack_clients.nova.last_action(one.server, suspicion.RESTARTS)
    )
