# SPDX-License-Identifier: Apache-2.0
"""Which of Nova's hosts a name means that somebody else uses for it. Pure.

Monitoring systems write names of hosts as they like: with the port of an exporter, in capitals,
with or without the domain. A name counts only where it means one host and no other one.
"""

import dataclasses
import functools
import ipaddress
from collections.abc import Callable, Collection

from heat_ha import exceptions, quoting

# Names of hosts have at most 255 characters, in Nova as in the DNS.
MAX_NAME = 255

# Each name that is not Nova's own is compared with all hosts, whose names are the same each time.
_remembered = functools.lru_cache(maxsize=8192)


@dataclasses.dataclass(frozen=True)
class Form:
    """One way in which a name may differ from Nova's; ``example`` means Nova's ``known``."""

    meaning: str
    example: str
    known: str
    fits: Callable[[str, str], bool]


def match(given: str, known: Collection[str]) -> str:
    """Find the host that a name means.

    The forms are tried in the order of the table ``FORMS``; the first one that fits any host
    decides. Invariant: what is returned is one of ``known``, and the only one that the form fits.

    :param known: Nova's names of the hosts.
    :raises exceptions.Refused: the name means no host, or more than one.
    """
    if given in known:
        return given
    for form in FORMS:
        found = sorted(name for name in known if form.fits(given, name))
        if len(found) == 1:
            return found[0]
        if found:
            raise exceptions.Refused(
                f'host {quoting.shown(given)} may be {found[0]} or {found[1]}'
                + (f' ({len(found)} hosts)' if len(found) > 2 else ''),
                'Send the name that Nova has',
            )
    raise exceptions.Refused(
        f'host {quoting.shown(given)} is not one of the {len(known)} hosts of Nova',
        'Send the name that "openstack compute service list" shows',
    )


def hint(given: str, shown: Collection[str]) -> str:
    """What to do where a name means a host that is not shown now, in words; '' for nothing more.

    Only words: whether a host was given another name, or two hosts are meant, a person knows.
    """
    try:
        other = match(given, shown)
    except exceptions.Refused:
        return ''
    return f'. If it was renamed to {other}, send that name'


@_remembered
def bare(given: str) -> str:
    """Leave out the port and brackets, and the dot that ends a full name."""
    if given.startswith('['):
        address, _, rest = given[1:].partition(']')
        return address if _is_port(rest) or not rest else given
    name, mark, port = given.partition(':')
    # Without brackets, a second colon makes it an IPv6 address, which has no port then.
    if mark and _is_port(mark + port):
        given = name
    return given.removesuffix('.')


def _is_port(text: str) -> bool:
    digits = text.removeprefix(':')
    return digits != text and digits.isascii() and digits.isdigit() and len(digits) <= 5


@_remembered
def _address(text: str) -> object:
    """The address that a text is, None for names."""
    try:
        return ipaddress.ip_address(text.partition('%')[0])
    except ValueError:
        return None


def _is_same_bare(given: str, name: str) -> bool:
    return bare(given) == name


def _is_same_address(given: str, name: str) -> bool:
    found = _address(bare(given))
    return found is not None and found == _address(bare(name))


def _is_same_folded(given: str, name: str) -> bool:
    return bare(given).casefold() == bare(name).casefold()


def _is_same_but_domain(given: str, name: str) -> bool:
    """Whether one of them is the other with a domain after it.

    Two full names that differ mean two hosts, and an address is no name with dots.
    """
    if _address(bare(given)) is not None or _address(bare(name)) is not None:
        return False
    ours, theirs = _labels(name), _labels(given)
    shorter = min(len(ours), len(theirs))
    return all(ours) and all(theirs) and ours[:shorter] == theirs[:shorter]


@_remembered
def _labels(name: str) -> tuple[str, ...]:
    return tuple(bare(name).casefold().split('.'))


FORMS = (
    Form('with a port', 'compute-1:9100', 'compute-1', _is_same_bare),
    Form('an address in another form', '[FD00:0::1]:9100', 'fd00::1', _is_same_address),
    Form('in capitals', 'COMPUTE-1', 'compute-1', _is_same_folded),
    Form('full or short', 'compute-1.example.org', 'compute-1', _is_same_but_domain),
)
