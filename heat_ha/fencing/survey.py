# SPDX-License-Identifier: Apache-2.0
"""Asking fences without switching anything off: for a check, and from time to time."""

import time
from collections.abc import Callable, Iterable

from heat_ha import exceptions
from heat_ha.fencing import driver, inventory, model


def ask(
    host: str, fences: inventory.Inventory, now: Callable[[], float] = time.time
) -> list[model.Answer]:
    """Ask each fence of a host for the power. Whatever fails is part of an answer."""
    try:
        levels = fences.levels(host)
    except exceptions.Refused as exc:
        return [model.Answer(host, 1, '', model.Power.UNKNOWN, str(exc)[:200], now())]
    return [
        _answer(host, number, one, now)
        for number, level in enumerate(levels, start=1)
        for one in level
    ]


def fenced(
    fences: inventory.Inventory, answers: Iterable[model.Answer]
) -> tuple[dict[str, bool], bool]:
    """Whether anything fences each host that is listed, and whether the default does."""
    found = dict.fromkeys(fences.hosts, False)
    for answer in answers:
        found[answer.host] = found[answer.host] or answer.driver != 'none'
    default = any(one.name != 'none' for level in fences.levels('default') for one in level)
    return found, default


def _answer(host: str, level: int, made: driver.Driver, now: Callable[[], float]) -> model.Answer:
    if not made.is_power_control:
        detail = 'it is not asked: it takes the word of others'
        return model.Answer(
            host, level, made.name, model.Power.UNKNOWN, detail, now(), is_power_control=False
        )
    try:
        power, detail = driver.ask(made)
        facts = _facts(made)
    finally:
        made.close()
    return model.Answer(
        host, level, made.name, power, detail, now(),
        cuts_power=made.cuts_power, host_name=facts.host_name, uuid=facts.uuid,
        address=made.address, is_partial=made.is_partial, off_is_absence=made.off_is_absence,
        registration=made.registration,
    )  # fmt: skip


def _facts(made: driver.Driver) -> model.Facts:
    try:
        return made.facts()
    except Exception:
        # Without them less can be compared.
        return model.Facts()
