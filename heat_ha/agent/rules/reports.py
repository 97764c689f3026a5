# SPDX-License-Identifier: Apache-2.0
"""What is claimed about hosts, and Nova's notifications that claim it. Pure.

``report_senders`` reads the bodies of the webhook into the same values.
"""

import collections.abc
import dataclasses
import datetime
import re

from heat_ha.agent.model import Claimed
from heat_ha.agent.rules.host_names import MAX_NAME

# Prometheus writes nanoseconds and Z, which older Pythons do not read.
_ISO = re.compile(r'(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:\d\d)?')


@dataclasses.dataclass(frozen=True)
class ParsedReport:
    """What a sender claims about one host, which it names in its own way.

    The other fields are those of ``model.Report``; ``said_at`` is None where it is not said.
    """

    host: str
    claimed: Claimed
    detail: str = ''
    said_at: float | None = None
    sender: str = ''
    thing: str = ''
    is_event: bool = False


def of_notification(event_type: object, payload: object) -> ParsedReport | None:
    """Parse a versioned notification of Nova; None for those that are not about a host."""
    if event_type != 'service.update' or not isinstance(payload, collections.abc.Mapping):
        return None
    data = payload.get('nova_object.data')
    if not isinstance(data, collections.abc.Mapping) or data.get('binary') != 'nova-compute':
        return None
    host, forced = data.get('host'), data.get('forced_down')
    if not isinstance(host, str) or not 0 < len(host) <= MAX_NAME or not isinstance(forced, bool):
        return None
    if forced:
        return ParsedReport(host, Claimed.DOWN, 'forced_down')
    return ParsedReport(host, Claimed.SILENT, 'not forced_down')


def moment(text: object) -> float | None:
    """Parse a time in the form of ISO 8601; without a time zone it is UTC, as OpenStack writes it.

    :returns: Unix time; None for anything else, and for the year 1 that stands for "never".
    """
    parts = _ISO.fullmatch(text) if isinstance(text, str) and text.isascii() else None
    if parts is None:
        return None
    seconds, fraction, zone = parts.groups()
    # Six digits: Python 3.10 reads only three or six.
    micro = (fraction or '.0').ljust(7, '0')
    try:
        found = datetime.datetime.fromisoformat(
            f'{seconds}{micro}{(zone or "Z").replace("Z", "+00:00")}'
        )
        return found.timestamp() if found.year > 1 else None
    except (ValueError, OverflowError):
        return None
