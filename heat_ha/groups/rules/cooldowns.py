# SPDX-License-Identifier: Apache-2.0
"""How long a group rests after a change. No clock, no client."""

import math

# Seconds: Heat's own types take any figure, and no date holds the end of some of them.
LONGEST = 30 * 86_400.0


def bounded(figure: float | None) -> float:
    """A template's figure as seconds; 0 for none, and for what is not a number."""
    if figure is None or math.isnan(figure):
        return 0.0
    return float(min(max(figure, 0.0), LONGEST))
