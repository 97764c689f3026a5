# SPDX-License-Identifier: Apache-2.0
"""Which sources must agree before a host counts as down. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping

from heat_ha import exceptions
from heat_ha.agent.model import Claimed, Judgement, Verdict


@dataclasses.dataclass(frozen=True)
class Rule:
    """Alternatives, each a set of sources of which all must agree.

    ``fail_open`` are the sources that count as agreeing while they cannot be asked. ``certain`` are
    those that have made sure before they report a host as down.
    """

    alternatives: tuple[frozenset[str], ...]
    fail_open: frozenset[str] = frozenset()
    certain: frozenset[str] = frozenset()

    @property
    def sources(self) -> frozenset[str]:
        """Every source that the rule names."""
        return frozenset().union(*self.alternatives)


def parse(
    confirm: Iterable[str],
    fail_open: Iterable[str],
    known: Iterable[str],
    certain: Iterable[str] = (),
) -> Rule:
    """Read the options ``confirm``, ``fail_open`` and ``certain``.

    ``confirm`` is a list of alternatives; in each, sources that must agree are joined by ``+``.

    :raises exceptions.Refused: a name is unknown, or ``confirm`` is empty.
    """
    alternatives = tuple(
        frozenset(name.strip() for name in text.split('+')) for text in confirm if text.strip()
    )
    rule = Rule(alternatives, _names(fail_open), _names(certain))
    if not alternatives:
        raise exceptions.Refused('confirm is empty', 'Name the sources that must agree')
    options = {'fail_open': rule.fail_open, 'certain': rule.certain}
    for option, names in {'confirm': rule.sources, **options}.items():
        unknown = sorted(names - set(known))
        if unknown:
            raise exceptions.Refused(
                f'{option} names unknown sources: {", ".join(repr(n) for n in unknown)}',
                f'Enabled sources: {", ".join(sorted(known))}',
            )
    for option, names in options.items():
        pointless = sorted(names - rule.sources)
        if pointless:
            raise exceptions.Refused(
                f'{option} names {", ".join(pointless)}, which confirm does not name',
                'Leave it out',
            )
    return rule


def _names(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(text.strip() for text in texts if text.strip())


def judge(rule: Rule, claims: Mapping[str, Claimed]) -> Judgement:
    """Judge whether a host is down.

    Invariant: DOWN only when at least one source of the rule itself claims it. Silence, or a
    source that cannot be asked, never confirms alone, however it is declared.

    :param claims: by source, what it claims; a source that is absent is silent.
    """
    claimed = {name: claims.get(name, Claimed.SILENT) for name in rule.sources}
    down = sorted(n for n, s in claimed.items() if s is Claimed.DOWN)
    if not down:
        up = sorted(n for n, s in claimed.items() if s is Claimed.UP)
        if up:
            return Judgement(Verdict.UP, f'{", ".join(up)}: up')
        return Judgement(Verdict.UNKNOWN, 'no source has reported anything')
    missing = []
    for alternative in rule.alternatives:
        against = sorted(n for n in alternative if not _agrees(rule, n, claimed[n]))
        if not against and any(n in down for n in alternative):
            silent = sorted(n for n in alternative if n not in down)
            open_ = f' ({", ".join(silent)} cannot be asked: fail-open)' if silent else ''
            agreed = sorted(n for n in alternative if n in down)
            reason = f'{", ".join(agreed)}: down{open_}'
            is_certain = not rule.certain.isdisjoint(agreed)
            return Judgement(Verdict.DOWN, reason, frozenset(agreed), is_certain)
        missing += [f'{n}: {claimed[n].value}' for n in against]
    wanted = ', '.join(sorted(set(missing)))
    return Judgement(Verdict.UNKNOWN, f'{", ".join(down)}: down, but {wanted}')


def _agrees(rule: Rule, name: str, claimed: Claimed) -> bool:
    if claimed is Claimed.COULD_NOT_ASK:
        return name in rule.fail_open
    return claimed is Claimed.DOWN
