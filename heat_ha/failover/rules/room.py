# SPDX-License-Identifier: Apache-2.0
"""What a record leaves out where its entry in the database does not hold all of it.

Pure, like ``decide``. A group may have hundreds of members, and a service may answer with pages.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from heat_ha.failover import model
from heat_ha.failover.model import StepState

# Characters of a reason that are kept on record, and where there is little room.
LONGEST, BRIEF = 2000, 250

# Members of which a large plan says why they were not chosen, beside its own.
MOST_CONSIDERED = 20

# What stands for the name of those of which it does not.
OTHERS = '…'

# The part of a longer text that is kept of its end: the way out comes last.
_OF_THE_END = 3


def bounded(text: str, most: int = LONGEST) -> str:
    """A text that is kept on record; what is too much is left out in the middle."""
    if len(text) <= most:
        return text
    if not most:
        return ''
    end = most // _OF_THE_END
    return f'{text[: most - end - 1]}…{text[-end:]}'


def briefer(record: model.Record) -> Iterator[model.Record]:
    """The record as it is, and then with ever less of what can be left out.

    Invariant: each has all that a plan needs to be carried on: its ends, its steps and how far each
    is (S4). Left out is what only people read, and what can be asked for again.
    """
    yield record
    plan = record.plan
    if plan is not None:
        record = dataclasses.replace(
            record, plan=dataclasses.replace(plan, considered=_some_considered(plan))
        )
        yield record
    # The next look lists the members.
    record = dataclasses.replace(record, seen=(), seen_rows='')
    yield record
    for most in (BRIEF, 0):
        record = _with_brief_texts(record, most)
        yield record


def _some_considered(plan: model.Plan) -> Mapping[str, str]:
    own = {one.member for one in (plan.old, plan.new, *plan.tried) if one is not None}
    others = [name for name in plan.considered if name not in own]
    own.update(others[:MOST_CONSIDERED])
    found = {name: text for name, text in plan.considered.items() if name in own}
    left = len(others) - MOST_CONSIDERED
    return {**found, OTHERS: f'and {left} others'} if left > 0 else found


def _with_brief_texts(record: model.Record, of_steps: int) -> model.Record:
    """The record with short texts; a step that is done keeps none.

    :param of_steps: characters that the reason of any other step keeps.
    """
    plan = record.plan
    if plan is not None:
        steps = tuple(
            dataclasses.replace(
                s, reason=bounded(s.reason, of_steps) if s.state is not StepState.DONE else ''
            )
            for s in plan.steps
        )
        plan = dataclasses.replace(plan, considered={}, steps=steps)
    return dataclasses.replace(
        record,
        plan=plan,
        reason=bounded(record.reason, BRIEF),
        remedy=bounded(record.remedy, BRIEF),
        follow_ups=tuple(
            dataclasses.replace(one, reason=bounded(one.reason, BRIEF)) for one in record.follow_ups
        ),
        retained=tuple(
            dataclasses.replace(one, reason=bounded(one.reason, BRIEF)) for one in record.retained
        ),
    )
