# SPDX-License-Identifier: Apache-2.0
"""What Ceph's blocklist says of a host, by the addresses that the host has for its storage. Pure.

An entry ``IP:0/0`` refuses every request of each client at that address, those of later ones as
well; ``IP:0/NONCE`` refuses one client alone. An entry ends by itself. Facts: Ceph's documentation
of ``ceph osd blocklist``, and release 16.2.15 as it answers.
"""

import dataclasses
import datetime
import ipaddress
import json
from collections.abc import Mapping, Sequence
from typing import Any

from heat_ha import exceptions, quoting
from heat_ha.fencing.model import Power

# How Ceph writes when an entry ends.
_UNTIL = '%Y-%m-%dT%H:%M:%S.%f%z'

# An entry is made to last longer once less than this share of its time is left.
RENEWED_AT = 0.5


@dataclasses.dataclass(frozen=True)
class Entry:
    """One entry: whom it refuses, and until when (Unix time, by the clock of Ceph's monitors)."""

    client: str
    until: float


def plain_address(value: Any) -> str:
    """An address of a host in the one form in which Ceph lists it.

    :raises exceptions.Refused: it is no address; a name may mean another one tomorrow.
    """
    try:
        found = ipaddress.ip_address(value if isinstance(value, str) else '')
    except ValueError as exc:
        raise exceptions.Refused(
            f'{quoting.shown(value)} is not an IP address',
            'Write the addresses that the host has on the storage network, in quotes',
        ) from exc
    return str(getattr(found, 'ipv4_mapped', None) or found)


def client_at(address: str) -> str:
    """All clients at an address, as the blocklist names them."""
    return f'[{address}]:0/0' if ':' in address else f'{address}:0/0'


def parse(text: str) -> list[Entry]:
    """Read what ``osd blocklist ls`` answers as JSON: two lists, one right after the other.

    The second one has the entries for ranges of addresses.

    :raises exceptions.CouldNotAsk: it is something else, of which nothing is known (S2).
    """
    found, rest = [], text.strip()
    try:
        while rest:
            listed, end = json.JSONDecoder().raw_decode(rest)
            found += [_entry(one) for one in listed]
            rest = rest[end:].lstrip()
    except (ValueError, TypeError, KeyError) as exc:
        raise exceptions.CouldNotAsk('ceph', 'its blocklist', quoting.shorten(text, 100)) from exc
    if not text.strip():
        raise exceptions.CouldNotAsk('ceph', 'its blocklist', 'an empty answer')
    return found


def _entry(listed: Any) -> Entry:
    until = datetime.datetime.strptime(listed['until'], _UNTIL)
    return Entry(listed['addr'], until.timestamp())


def refused(addresses: Sequence[str], entries: Sequence[Entry]) -> list[str]:
    """Those of the addresses that have an entry for all of their clients."""
    clients = {one.client for one in entries}
    return [address for address in addresses if client_at(address) in clients]


def power(addresses: Sequence[str], entries: Sequence[Entry]) -> tuple[Power, str]:
    """Whether a host is fenced: OFF when each of its addresses is refused whole, else ON.

    Invariant: OFF only when every address has an entry for all of its clients. An entry that has
    ended is not listed: whether it counts is for Ceph's clock, not for the one of who asks.
    """
    until = {one.client: one.until for one in entries}
    is_refused = set(refused(addresses, entries))
    free = [address for address in addresses if address not in is_refused]
    if free:
        return Power.ON, f"not on Ceph's blocklist: {', '.join(free)}"
    ends = min(until[client_at(address)] for address in addresses)
    at = datetime.datetime.fromtimestamp(ends, datetime.timezone.utc)
    return Power.OFF, (
        f"on Ceph's blocklist until {at:%Y-%m-%d %H:%M:%S} UTC: {', '.join(addresses)}"
    )


def ending(
    addresses: Sequence[str], entries: Sequence[Entry], now: float, duration: float
) -> list[str]:
    """The addresses whose entries are to be renewed; one that has no entry is not renewed.

    Without an entry the host may have written: that takes a fence, and not a renewal.

    :param now: Unix time. Where the clocks differ, it is renewed earlier or later by that.
    :param duration: seconds that an entry is made for.
    """
    until: Mapping[str, float] = {one.client: one.until for one in entries}
    ends = {address: until.get(client_at(address)) for address in addresses}
    return [
        address
        for address, at in ends.items()
        if at is not None and at - now < RENEWED_AT * duration
    ]
