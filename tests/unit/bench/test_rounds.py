# SPDX-License-Identifier: Apache-2.0
"""The figures of the benchmark of rescues are there whoever failed, and nobody gains by failing."""

import itertools
import json

from bench import rounds

PLANNED = ('ours', 'bare', 'peer', 'ours_told_early')


def one(name, last):
    missing, why = (0, '') if last is not None else (3, 'too slow')
    return rounds.Round(name, last and 1.0, last, missing, 12.0, 2.0, why)


def test_whoever_fails_there_are_figures_and_a_reason_for_those_that_are_not():
    for lasts in itertools.product((None, 2.0, 4.0), repeat=3):
        for has_round in itertools.product((True, False), repeat=3):
            named = dict(zip(('ours', 'bare', 'peer'), lasts, strict=True))
            found = [one(n, s) for (n, s), is_there in zip(named.items(), has_round, strict=True)
                     if is_there]  # fmt: skip
            told = json.loads(json.dumps(rounds.summary(found, PLANNED, 20)))
            for (name, last), is_there in zip(named.items(), has_round, strict=True):
                assert told[f'{name}_s'] == (last if is_there else None)
                assert (f'{name}_why' in told) is (last is None or not is_there)
            for peer in ('bare', 'peer'):
                known = told['ours_s'] is not None and told[f'{peer}_s'] is not None
                goal = told['goals'][f'ours_over_{peer}']
                assert (goal['holds'] is not None) is known, told
                if known:
                    ratio = told['ours_s'] / told[f'{peer}_s']
                    assert goal['holds'] is (ratio <= rounds.GOALS[f'ours_over_{peer}'])
            assert 'ours_over_peer_defaults' not in told
            assert len(rounds.verdicts(told)) == 2


def test_a_round_that_failed_is_not_left_out_of_the_median():
    told = rounds.summary([one('ours', 2.0), one('ours', None), one('bare', 2.0)], PLANNED, 1)
    assert told['ours_s'] is None and told['ours_not_back'] == 3
    assert told['goals']['ours_over_bare']['holds'] is None
