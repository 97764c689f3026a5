# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the entries of the fencing file, by what fences answered and Nova shows. Pure.

``heat-ha-agent check`` prints it, and a running agent logs it. ``doc/source/admin/agent.rst`` has
the table for operators.
"""

import collections
import dataclasses
import enum
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from heat_ha.cloud.model import ComputeService
from heat_ha.fencing.model import Answer, Look, Power

# Seconds after a look at the power for which a report to Nova may still be from before the look.
GRACE_SECONDS = 5.0

# Seconds between two looks at most, so that a host cannot have come on and gone off between them.
CLOSE_SECONDS = 60.0

# So many reports contradict a power control. One may have been under way when the host died, and
# Nova writes it whenever it gets to it: its conductor may have been stopped for a minute.
ENOUGH_REPORTS = 2

# Identifiers that many machines have, because nobody gave them one.
_NO_IDENTIFIER = {
    '',
    '03000200-0400-0500-0006-000700080009',
    # The same with the other order of bytes.
    '00020003-0004-0005-0006-000700080009',
    'fefefefe-fefe-fefe-fefe-fefefefefefe',
    '12345678-1234-5678-90ab-cddeefaabbcc',
}


class Weight(enum.Enum):
    """How bad a finding is. WRONG: the host is not fenced by this entry, until it is corrected."""

    WRONG = 'wrong'
    PROBLEM = 'problem'
    NOTICE = 'notice'


class Kind(enum.Enum):
    """A kind of finding, with its weight and what it means."""

    OFF_WHILE_REPORTING = Weight.WRONG, 'its power is off, and it goes on reporting to Nova'
    NAME_OF_ANOTHER = Weight.WRONG, 'the BMC gave the name of another host'
    NOT_REGISTERED = (
        Weight.WRONG,
        'the storage does not know it, it goes on reporting to Nova, and no fence on record has '
        'removed it there: it was never registered, its key or devices are wrong, or the storage '
        'has lost its registrations. Register it on the host itself, once no old guest runs on it',
    )
    NO_ANSWER = Weight.PROBLEM, 'the fence cannot be asked, or its answer is not clear'
    OFF_WHILE_UP = Weight.PROBLEM, 'its power is off, and Nova shows it as up'
    FENCED_WHILE_UP = (
        Weight.PROBLEM,
        'its storage is fenced, wholly or in part, and Nova shows it as up. When no old guest runs '
        'on it: heat-ha-agent unfence HOST --by NAME',
    )
    SAME_SYSTEM = (
        Weight.PROBLEM,
        'the BMC gives the identifier (UUID) of the system of another host',
    )
    UNKNOWN_TO_NOVA = Weight.PROBLEM, 'Nova does not have a host of this name'
    NOVA_NOT_ASKED = Weight.PROBLEM, 'Nova did not answer, so nothing was compared with it'
    SAME_ADDRESS = Weight.NOTICE, 'another host has a fence at the same address'
    WITHOUT_ENTRY = Weight.NOTICE, 'it has no entry, so the default fences it'
    UNFENCED = Weight.NOTICE, 'nothing fences it: the operator chose the driver none'

    @property
    def weight(self) -> Weight:
        """How bad it is."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """What it means, in words."""
        return self.value[1]


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about the entry of one host.

    ``detail``: what was seen; '' where nothing more. ``other``: the one whose name was given.
    """

    host: str
    kind: Kind
    detail: str = ''
    other: str = ''

    def __str__(self) -> str:
        more = f' ({self.detail})' if self.detail else ''
        return f'{self.kind.weight.value}: host {self.host}: {self.kind.meaning}{more}'


def reported_while_off(looks: Sequence[Look], reports: Sequence[tuple[float, float]]) -> bool:
    """Whether a host reported while its power control showed it as off.

    Invariant: true only when looks, each close to the next one, saw the power off, and the host
    sent ``ENOUGH_REPORTS`` between the first and the last of them, later than what may have been
    under way at the first. So a host that was switched on and off again meanwhile is not meant, nor
    is one that died, however late its last report was written.

    :param looks: the oldest first.
    :param reports: of each report of the host, after which time it was written, and when that was
        seen; by the same clock.
    """
    first: Look | None = None
    for before, after in itertools.pairwise(looks):
        if not before.power is after.power is Power.OFF or after.at - before.at > CLOSE_SECONDS:
            first = None
            continue
        first = first or before
        since = first.at + GRACE_SECONDS
        sent = sum(since < written_after and seen <= after.at for written_after, seen in reports)
        if sent >= ENOUGH_REPORTS:
            return True
    return False


class Agreement(enum.Enum):
    """How far a power control that a host contradicted was seen to be that of this host after all.

    Both were on, then off, then on again, and at no look only one of them. That is hardly so of
    another machine.
    """

    NONE = 'none'
    BOTH_ON = 'both on'
    BOTH_OFF = 'both off'
    FULL = 'full'


class Reporting(enum.Enum):
    """What a host does at one look. UNKNOWN: neither is sure, or it may be switched at will."""

    REPORTS = 'reports'
    SILENT = 'silent'
    UNKNOWN = 'unknown'


def reporting(service: ComputeService | None, last: float, now: float) -> Reporting:
    """What a host does now.

    A host in maintenance is not compared: others in its rack are then switched off with it.

    :param last: after which time it has sent its last heartbeat.
    """
    if service is None or service.is_in_maintenance:
        return Reporting.UNKNOWN
    if not service.is_up:
        return Reporting.SILENT
    return Reporting.REPORTS if now - last <= CLOSE_SECONDS else Reporting.UNKNOWN


# By how far they agreed, the power and what the host does: how far they agree after that look. What
# is not here changes nothing.
_AGREEMENTS = {
    (Agreement.NONE, Power.ON, Reporting.REPORTS): Agreement.BOTH_ON,
    (Agreement.BOTH_ON, Power.OFF, Reporting.SILENT): Agreement.BOTH_OFF,
    # It has crashed; whether it is switched off now is seen at a machine that runs.
    (Agreement.BOTH_ON, Power.ON, Reporting.SILENT): Agreement.NONE,
    (Agreement.BOTH_ON, Power.OFF, Reporting.REPORTS): Agreement.NONE,
    # On and silent: it is booting.
    (Agreement.BOTH_OFF, Power.ON, Reporting.REPORTS): Agreement.FULL,
    (Agreement.BOTH_OFF, Power.OFF, Reporting.REPORTS): Agreement.NONE,
}


def next_agreement(before: Agreement, power: Power, does: Reporting) -> Agreement:
    """How far a power control and its host agree after one more look.

    Invariant: silence alone is never agreement. A host that is cut off is silent as well, and the
    machine that is off may be another one.
    """
    return _AGREEMENTS.get((before, power, does), before)


class Names:
    """Names of hosts by what they are found by, however many there are: the first one of each.

    ``whole``: without regard to upper and lower case; ``short``: without the domain as well.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.whole: dict[str, str] = {}
        self.short: dict[str, str] = {}
        for name in sorted(names):
            plain = name.casefold()
            self.whole.setdefault(plain, name)
            self.short.setdefault(_short(plain), name)


def of_answers(
    answers: Iterable[Answer], services: Mapping[str, ComputeService] | None
) -> list[Finding]:
    """What each fence's answer means, beside those of the others and what Nova shows.

    :param services: Nova's hosts by name; None when Nova did not answer.
    """
    found = list(answers)
    known = Names({answer.host for answer in found} | set(services or ()))
    return [
        *(one for answer in found for one in _of_answer(answer, services or {}, known)),
        *_shared(found, Kind.SAME_SYSTEM, _system),
        *_shared(found, Kind.SAME_ADDRESS, lambda answer: answer.address),
    ]


def _of_answer(
    answer: Answer, services: Mapping[str, ComputeService], known: Names
) -> Iterable[Finding]:
    service = services.get(answer.host)
    if not answer.is_power_control:
        return
    if answer.power is Power.UNKNOWN:
        yield Finding(answer.host, Kind.NO_ANSWER, f'{answer.driver}: {answer.detail}')
    if answer.shuts_out and service is not None and service.is_up:
        kind = Kind.OFF_WHILE_UP if answer.cuts_power else Kind.FENCED_WHILE_UP
        yield Finding(answer.host, kind, f'{answer.driver}: {answer.detail}')
    if misnamed := name_of_another(answer, known):
        yield misnamed


def name_of_another(answer: Answer, known: Names) -> Finding | None:
    """What it means when a BMC gives the name of another host; None when it gives none."""
    other = _name_of_another(answer, known)
    if not other:
        return None
    detail = f'{answer.driver}: HostName is {answer.host_name:.80}, which is host {other}'
    return Finding(answer.host, Kind.NAME_OF_ANOTHER, detail, other)


def is_own_name(answer: Answer, known: Names) -> bool:
    """Whether a BMC clearly answered, and gives the name of the host whose entry names it.

    A name that no host has, such as localhost, says nothing about that.
    """
    given = answer.host_name.strip().casefold()
    is_same = bool(given) and _short(given) == _short(answer.host.casefold())
    is_clear = answer.power is not Power.UNKNOWN
    return is_clear and is_same and not _name_of_another(answer, known)


def _name_of_another(answer: Answer, known: Names) -> str:
    """The other host whose name the BMC gives; '' when it is the right one, or nobody's."""
    given, own = answer.host_name.strip().casefold(), answer.host.casefold()
    if not given or given == own:
        return ''
    if given in known.whole:
        return known.whole[given]
    return '' if _short(given) == _short(own) else known.short.get(_short(given), '')


def _short(name: str) -> str:
    """A name without its domain; an address has none."""
    is_address = ':' in name or name.replace('.', '').isdigit()
    return name if is_address else name.split('.')[0]


def _system(answer: Answer) -> str:
    plain = answer.uuid.strip().casefold()
    is_filler = len(set(plain.replace('-', ''))) <= 1
    return '' if plain in _NO_IDENTIFIER or is_filler else plain


def _shared(answers: Sequence[Answer], kind: Kind, key: Callable[[Answer], str]) -> list[Finding]:
    hosts: dict[str, set[str]] = collections.defaultdict(set)
    for answer in answers:
        if value := key(answer):
            hosts[value].add(answer.host)
    return [
        Finding(host, kind, f'{value}: {", ".join(sorted(names - {host}))}')
        for value, names in sorted(hosts.items())
        if len(names) > 1
        for host in sorted(names)
    ]


def of_names(
    listed: Mapping[str, bool], default_fences: bool, services: Mapping[str, ComputeService] | None
) -> list[Finding]:
    """What the names of the entries mean beside Nova's list.

    :param listed: by host that has an entry, whether anything fences it.
    :param default_fences: likewise of the default.
    """
    found = [Finding(host, Kind.UNFENCED) for host, fences in sorted(listed.items()) if not fences]
    if services is None:
        return [*found, Finding('*', Kind.NOVA_NOT_ASKED)]
    known = Names(services)
    for host in sorted(set(listed) - set(services)):
        near = known.short.get(_short(host.casefold()))
        found.append(Finding(host, Kind.UNKNOWN_TO_NOVA, f'it has {near}' if near else ''))
    kind = Kind.WITHOUT_ENTRY if default_fences else Kind.UNFENCED
    return found + [Finding(host, kind) for host in sorted(set(services) - set(listed))]
