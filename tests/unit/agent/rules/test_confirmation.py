# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha import exceptions
from heat_ha.agent.model import Claimed, Verdict
from heat_ha.agent.rules import confirmation

NAMES = ('a', 'b', 'c')
RULES = [
    confirmation.parse(confirm, fail_open, NAMES)
    for confirm in (['a'], ['a+b'], ['a', 'b'], ['a', 'b+c'], ['a+b+c'])
    for fail_open in ([], ['a'], ['b'], ['a', 'b'])
    if set(fail_open) <= {n for text in confirm for n in text.split('+')}
]


@pytest.mark.parametrize('rule', RULES, ids=range(len(RULES)))
def test_down_is_said_by_somebody_and_denied_by_nobody_who_must_agree(rule):
    for answers in itertools.product(Claimed, repeat=3):
        said = dict(zip(NAMES, answers, strict=True))
        verdict = confirmation.judge(rule, said).verdict
        agreeing = {
            n
            for n in rule.sources
            if said[n] is Claimed.DOWN or (said[n] is Claimed.COULD_NOT_ASK and n in rule.fail_open)
        }
        expected = any(
            alternative <= agreeing and any(said[n] is Claimed.DOWN for n in alternative)
            for alternative in rule.alternatives
        )
        assert (verdict is Verdict.DOWN) is expected, (said, verdict)
        if verdict is Verdict.UP:
            assert Claimed.DOWN not in {said[n] for n in rule.sources}, said


def test_silence_never_confirms_even_when_declared_fail_open():
    rule = confirmation.parse(['a+b'], ['a', 'b'], NAMES)
    said = {'a': Claimed.COULD_NOT_ASK, 'b': Claimed.COULD_NOT_ASK}
    assert confirmation.judge(rule, said).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize('certain', [[], ['a'], ['c'], ['b', 'c']])
def test_it_is_certain_only_when_a_certain_source_itself_agrees(certain):
    rule = confirmation.parse(['a+b', 'c'], ['a'], NAMES, certain)
    for answers in itertools.product(Claimed, repeat=3):
        said = dict(zip(NAMES, answers, strict=True))
        found = confirmation.judge(rule, said)
        assert found.is_certain is bool(found.agreed & set(certain)), (said, found)
        assert not found.is_certain or found.verdict is Verdict.DOWN
        assert all(said[name] is Claimed.DOWN for name in found.agreed)


@pytest.mark.parametrize(('certain', 'named'), [(['x'], 'x'), (['b'], 'certain names b')])
def test_only_who_is_asked_can_be_certain(certain, named):
    with pytest.raises(exceptions.Refused, match=named):
        confirmation.parse(['a'], [], NAMES, certain)


@pytest.mark.parametrize(
    ('confirm', 'fail_open', 'named'),
    [(['x'], [], 'x'), (['a'], ['b'], 'b'), ([], [], 'confirm'), (['a'], ['x'], 'x')],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(confirm, fail_open, named):
    with pytest.raises(exceptions.Refused, match=named):
        confirmation.parse(confirm, fail_open, NAMES)


def test_what_is_resolved_means_as_little_as_silence():
    rule = confirmation.parse(['a+b', 'c'], ['a'], 'abc')
    for answers in itertools.product(Claimed, repeat=3):
        said = dict(zip('abc', answers, strict=True))
        silent = {n: Claimed.SILENT if s is Claimed.RESOLVED else s for n, s in said.items()}
        found, other = confirmation.judge(rule, said), confirmation.judge(rule, silent)
        assert (found.verdict, found.agreed) == (other.verdict, other.agreed), said
