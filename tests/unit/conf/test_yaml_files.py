# SPDX-License-Identifier: Apache-2.0
import pytest
import yaml

from heat_ha.conf import yaml_files

# What YAML 1.1 makes something else of: numbers to the bases 2, 8, 16 and 60, booleans, dates.
TEXTS = [
    '1:2', '190:20:30', '1:2.5', '010', '-010', '0b11', '0o17', '0x1F', '2_1', '1_0.5', '+3',
    '1e1', '1.5e+3', '.5', '5.', '01.5', '.inf', '.nan', 'yes', 'Yes', 'no', 'NO', 'on', 'On',
    'off', 'OFF', 'y', 'n', '2026-11-28', '2026-11-28 10:00:00', '=', 'fd00::1', 'bmc-1',
]  # fmt: skip


@pytest.mark.parametrize('text', TEXTS)
def test_what_may_be_meant_otherwise_stays_as_it_is_written(text):
    assert yaml_files.load(f'{{plug: {text}}}') == {'plug': text}
    assert yaml_files.load(f'plug: {text}') == {'plug': text}
    assert yaml_files.load(f'{{"{text}": x}}') == {text: 'x'}


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('0', 0), ('3', 3), ('-7', -7), ('10', 10), ('2.5', 2.5), ('0.5', 0.5), ('-0.25', -0.25),
        ('true', True), ('True', True), ('false', False), ('FALSE', False), ('null', None),
        ('~', None), ('', None), ('"3"', '3'), ("'true'", 'true'), ('[1, a]', [1, 'a']),
    ],
)  # fmt: skip
def test_plain_numbers_booleans_and_what_is_in_quotes_are_what_they_seem(text, value):
    found = yaml_files.load(f'plug: {text}')['plug']
    assert found == value and type(found) is type(value)


def test_a_key_that_is_there_twice_is_refused():
    with pytest.raises(yaml.YAMLError, match="'a' is there twice"):
        yaml_files.load('{a: 1, a: 2}')


@pytest.mark.parametrize(
    'merged', ['<<: *x, q: 2', 'q: 2, <<: *x', '<<: [*x], q: 2', '<<: [*y, *x]']
)
def test_a_map_may_be_merged_into_another_one(merged):
    text = f'{{a: &x {{p: 1, q: 1}}, b: &y {{q: 2}}, c: {{{merged}}}}}'
    assert yaml_files.load(text)['c'] == {'p': 1, 'q': 2}
    for twice, name in (('q: 2, q: 3', 'q'), ('<<: *x', '<<')):
        with pytest.raises(yaml.YAMLError, match=f"'{name}' is there twice"):
            yaml_files.load(f'{{a: &x {{p: 1}}, c: {{<<: *x, {twice}}}}}')


def test_other_loaders_of_yaml_are_left_as_they_are():
    assert yaml.safe_load('{a: 010, b: off}') == {'a': 8, 'b': False}
