# SPDX-License-Identifier: Apache-2.0
"""What may stand around the body of a sender: the services through which it is sent on."""

import collections.abc
import dataclasses
import json
from collections.abc import Callable

from heat_ha import exceptions, quoting
from heat_ha.senders import others, parts
from heat_ha.senders.model import Body


@dataclasses.dataclass(frozen=True)
class Envelope:
    """One form of envelope, and where in it the body is; texts are for the user guide."""

    name: str
    recognised_by: str
    body_at: str
    is_around: Callable[[Body], bool]


def opened(body: Body) -> Body:
    """Return what is in the envelope, or the body itself where there is none.

    :raises exceptions.Refused: there is nothing in it that could be a body, or it says a state
        and what is in it another one.
    """
    around = _around(body)
    if around is None:
        return body
    where = f'{around.body_at} of {around.name}'
    found = body.get(around.body_at)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError) as exc:
            raise exceptions.Refused(
                f'{where} is {quoting.shown(found)}, and not JSON',
                'Send what one of the known monitoring systems posts in it',
            ) from exc
    found = parts.object_of(found, where)
    if not found or _around(found) is not None:
        what = 'is empty' if not found else 'is an envelope again'
        raise exceptions.Refused(f'{where} {what}', 'Send the body in one envelope, or in none')
    if others.says_a_state(body) and others.says_a_state(found):
        raise exceptions.Refused(
            f'{around.name} and {where} both have a state', 'Send the state in one of them'
        )
    return found


def is_of_a_program(body: Body) -> bool:
    """Whether what is in an envelope is as a program of somebody's own has written it."""
    around = _around(body)
    return around is not None and around.body_at == 'body'


def _has_a_body(body: Body) -> bool:
    return isinstance(body.get('body'), collections.abc.Mapping)


def _around(body: Body) -> Envelope | None:
    return next((one for one in ENVELOPES if one.is_around(body)), None)


ENVELOPES = (
    Envelope('CloudEvents', '``specversion``', 'data', lambda body: 'specversion' in body),
    Envelope(
        'Amazon SNS',
        '``Type`` and ``TopicArn``',
        'Message',
        parts.has('Type', 'TopicArn'),
    ),
    Envelope(
        'Zaqar',
        '``body`` that is an object, with no state, occasion or flag beside it',
        'body',
        lambda body: _has_a_body(body) and not others.says_something(body),
    ),
)
