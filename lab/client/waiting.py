# SPDX-License-Identifier: Apache-2.0
"""Bounded waits.

All are scaled by one multiplier, ``HEAT_HA_PATIENCE`` (default 1), for machines that are slower
than two quiet cores.
"""

import os
import time
from collections.abc import Callable
from typing import Any

PATIENCE = float(os.environ.get('HEAT_HA_PATIENCE', '1'))


def until(look: Callable[[], Any], what: str, *, seconds: float = 60, every: float = 0.2) -> Any:
    """Look until the answer is true and return it.

    :raises AssertionError: it was not within ``seconds`` (scaled by the multiplier).
    """
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f'not seen within {seconds * PATIENCE:.0f} s: {what}')
        time.sleep(every)
