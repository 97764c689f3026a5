# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha.fencing.rules import words


@pytest.mark.parametrize(
    ('value', 'meant'),
    [
        (True, True), (False, False), ('yes', True), ('On', True), ('NO', False), ('off', False),
        ('/etc/ca.pem', '/etc/ca.pem'), ('nope', 'nope'), (1, 1), (None, None), ([], []),
    ],
)  # fmt: skip
def test_a_boolean_may_be_written_as_yaml_has_it(value, meant):
    assert words.boolean(value) is meant or words.boolean(value) == meant
