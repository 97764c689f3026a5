# SPDX-License-Identifier: Apache-2.0
"""How many members of a group one request can replace. No clock, no client.

The ScalingPolicy asks while a template is validated, as far as the figures are known then. Which
members go is decided when a signal comes, from those that are there.
"""

import math


def is_count(value: float) -> bool:
    """Whether a figure of a template can be a number of members to replace."""
    return math.isfinite(value) and value == int(value) and value >= 1


def most_replaced(max_size: int, *, active_stays: bool) -> int:
    """The most members of a group that one request can replace.

    :param max_size: of the group, 1 or more.
    :param active_stays: whether the request comes after a failover. The member that has become the
        active stays then. In a group of one that member is made for it, so the old one can go.
    """
    return max(max_size - 1, 1) if active_stays else max_size
