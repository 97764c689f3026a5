# SPDX-License-Identifier: Apache-2.0
"""The safety rules have one address, and whatever cites a rule cites one that exists."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]
RULES = ROOT / 'doc/source/contributor/safety.rst'

# A rule is cited by its number alone. This file names none, so that it counts for none.
CITATION = re.compile(r'\bS\d+\b')
DEFINITION = re.compile(r'^\.\. _(S\d+):$', re.MULTILINE)
CITING = ('heat_ha', 'tests', 'doc/source', 'chaos', 'bench')


def citations(folder):
    """The cited rules, each with the files that cite it, below a folder of the checkout."""
    found = {}
    for path in sorted((ROOT / folder).rglob('*')):
        if path.suffix in ('.py', '.rst') and path != RULES:
            for rule in CITATION.findall(path.read_text()):
                found.setdefault(rule, set()).add(str(path.relative_to(ROOT)))
    return found


def defined():
    return set(DEFINITION.findall(RULES.read_text()))


def test_every_rule_that_is_cited_is_defined():
    unknown = {
        rule: paths
        for folder in CITING
        for rule, paths in citations(folder).items()
        if rule not in defined()
    }
    assert not unknown


def test_a_test_cites_each_rule():
    assert defined() - set(citations('tests')) == set()
