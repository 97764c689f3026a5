# SPDX-License-Identifier: Apache-2.0
"""Checking a group of options when a program starts, and not when one of them is first needed."""

import math
from collections.abc import Iterable
from typing import Any

from oslo_config import cfg

from heat_ha import exceptions

_NUMBERS = (cfg.FloatOpt, cfg.IntOpt, cfg.PortOpt)


def check(conf: Any, group: str, options: Iterable[Any]) -> None:
    """Check that each option of a group can be read, and that each number is one.

    oslo.config takes an empty value of a number for None, and ``nan`` and ``inf`` for numbers that
    are neither too small nor too large.

    :raises exceptions.Refused: with the option, the group and what is wrong.
    """
    for option in options:
        what = f'{option.name} in [{group}]'
        try:
            value = conf[group][option.name]
        except cfg.ConfigFileValueError as exc:
            raise exceptions.Refused(f'{what}: {exc}') from exc
        if not isinstance(option, _NUMBERS):
            continue
        if value is None or not math.isfinite(value):
            shown = 'empty' if value is None else value
            raise exceptions.Refused(
                f'{what} is {shown}, which is not a number of this kind',
                f'Set a number, or leave the line out: then it is {option.default:g}',
            )
