# SPDX-License-Identifier: Apache-2.0
"""Options of the agent that fit together in form, and decide nothing as they are. Pure."""

from typing import Any


def pointless(own: Any) -> list[str]:
    """What is set and never takes effect, a sentence for each.

    :param own: the options of the group.
    """
    confirmed = {name.strip() for text in own.confirm for name in text.split('+')}
    has_domains = bool(own.storm_domains or own.storm_zones)
    found = []
    if 'webhook' in own.sources and 'webhook' not in confirmed:
        found.append(
            'webhook is in sources and not in confirm: what it reports as down makes no host '
            'count as down'
        )
    if has_domains and not own.storm_per_domain:
        found.append(
            'storm_domains or storm_zones is set and storm_per_domain is 0: failure domains have '
            'no limit'
        )
    if own.storm_per_domain and not has_domains:
        found.append(
            'storm_per_domain is set and neither storm_domains nor storm_zones: there are no '
            'failure domains'
        )
    return found
