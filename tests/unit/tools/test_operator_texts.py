# SPDX-License-Identifier: Apache-2.0
"""Simple rules of English that hold for every text that an operator or a tenant can read."""

import re

import pytest

from tools import operator_texts

# What is not written, and what is written instead.
RULES = {
    r'(?<!there )\b(is|are|was|were) (no|none)\b(?! (longer|more)\b)': 'is not a',
    r'\b(is|are|was|were)( not| still)? to (be|have)\b': 'must be, should be, will be',
    r'\banew\b': 'again',
    r'\bsigns?\b(?! of life)': 'characters',
    r'\b(tell|tells|telling|told)\b': 'send, report, show, say',
    r'\bheirs?\b': 'successor',
    r'\b(graves?|burials?)\b': 'tombstone',
}


@pytest.fixture(scope='module')
def texts():
    return operator_texts.all_texts([operator_texts.ROOT / 'heat_ha'])


def test_the_texts_of_exceptions_events_options_and_properties_are_among_them(texts):
    given_to = {text.given_to for text in texts}
    assert {'Refused', 'Stopped', '_add_event', 'help', '_', 'info', 'print'} <= given_to
    assert len(texts) > 500


@pytest.mark.parametrize(('wrong', 'instead'), RULES.items())
def test_every_text_is_plain_english(texts, wrong, instead):
    # Names of variables in braces are not read by anybody.
    found = [str(t) for t in texts if re.search(wrong, re.sub(r'{[^}]*}', '', t.words), re.I)]
    assert found == [], f'write instead: {instead}'
