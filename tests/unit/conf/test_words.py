# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha.conf import words


@pytest.mark.parametrize(
    ('value', 'meant'),
    [
        (True, True), (False, False), ('yes', True), ('On', True), ('NO', False), ('off', False),
        ('/etc/ca.pem', '/etc/ca.pem'), ('nope', 'nope'), (1, 1), (None, None), ([], []),
    ],
)  # fmt: skip
def test_a_boolean_may_be_written_as_yaml_has_it(value, meant):
    assert words.boolean(value) is meant or words.boolean(value) == meant


@pytest.mark.parametrize(
    ('value', 'meant'),
    [
        ('30', 30), ('+30', 30), ('-3', -3), ('0', 0), ('0x1e', 30), ('0X1E', 30), ('0b11', 3),
        ('1_000', 1000), ('.5', 0.5), ('5.', 5.0), ('+1.5e+1', 15.0), (7, 7), (2.5, 2.5),
        ('010', '010'), ('1:30', '1:30'), ('five', 'five'), ('', ''), ('.', '.'), ('+', '+'),
        ('0x', '0x'), ('.inf', '.inf'), (' 3', ' 3'), (True, True), (None, None), ([3], [3]),
    ],
)  # fmt: skip
def test_a_number_may_be_written_as_yaml_has_it(value, meant):
    found = words.number(value)
    assert found == meant and type(found) is type(meant)


@pytest.mark.parametrize('text', ['1' * 5000, '1.' + '1' * 5000, '0x' + 'f' * 5000])
def test_a_number_that_no_setting_has_is_a_text(text):
    assert words.number(text) == text
