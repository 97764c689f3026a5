# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat_ha import exceptions
from heat_ha.agent.rules import host_names

SHORT = ('compute-1', 'compute-2', 'compute-10')
FULL = ('compute-1.example.org', 'compute-2.example.org', 'compute-10.example.org')
ADDRESSES = ('fd00::1', 'fd00::2', '10.0.0.5', '10.0.0.50')

FOUND = [
    ('compute-1', SHORT, 'compute-1'),
    ('compute-1:9100', SHORT, 'compute-1'),
    ('COMPUTE-1', SHORT, 'compute-1'),
    ('Compute-1:9100', SHORT, 'compute-1'),
    ('compute-1.', SHORT, 'compute-1'),
    ('compute-1.example.org', SHORT, 'compute-1'),
    ('compute-1.example.org.', SHORT, 'compute-1'),
    ('COMPUTE-1.Example.ORG:9100', SHORT, 'compute-1'),
    ('compute-1', FULL, 'compute-1.example.org'),
    ('compute-1.example', FULL, 'compute-1.example.org'),
    ('compute-1', ('Compute-1.Example.org',), 'Compute-1.Example.org'),
    ('fd00::1', ADDRESSES, 'fd00::1'),
    ('[fd00::1]', ADDRESSES, 'fd00::1'),
    ('[fd00::1]:9100', ADDRESSES, 'fd00::1'),
    ('FD00:0:0::1', ADDRESSES, 'fd00::1'),
    ('fd00::1%eth0', ADDRESSES, 'fd00::1'),
    ('10.0.0.5:9100', ADDRESSES, '10.0.0.5'),
    # The exact name wins, whatever else would fit.
    ('c1', ('c1', 'C1', 'c1.example.org'), 'c1'),
    ('c1.example.org', ('c1', 'c1.example.org'), 'c1.example.org'),
    ('C1', ('c1', 'c1.example.org'), 'c1'),
]
REFUSED = [
    ('compute-3', SHORT, 'not one of the 3 hosts'),
    ('compute', SHORT, 'not one of'),
    ('compute-1x', SHORT, 'not one of'),
    ('compute-1.other.org', FULL, 'not one of'),
    ('compute-1.example.net', FULL, "'compute-1.example.net'"),
    ('compute-1:x', SHORT, 'not one of'),
    ('compute-1:9100:9100', SHORT, 'not one of'),
    (':9100', SHORT, 'not one of'),
    ('.', SHORT, 'not one of'),
    ('10', ADDRESSES, 'not one of'),
    ('10.0.0', ADDRESSES, 'not one of'),
    ('fd00', ADDRESSES, 'not one of'),
    ('[fd00::1]x', ADDRESSES, 'not one of'),
    ('10.0.0.5', SHORT, 'not one of'),
    ('c1', ('c1.a.org', 'c1.b.org'), 'may be c1.a.org or c1.b.org'),
    ('C1', ('c1.a.org', 'c1.b.org', 'c1.c.org'), '3 hosts'),
    ('cC1', ('cc1', 'CC1'), 'may be CC1 or cc1'),
    ('c1.org', ('c1', 'C1'), 'may be C1 or c1'),
]


@pytest.mark.parametrize(('name', 'known', 'host'), FOUND)
def test_a_name_that_means_one_host_is_found(name, known, host):
    for order in itertools.islice(itertools.permutations(known), 6):
        assert host_names.match(name, order) == host


@pytest.mark.parametrize(('name', 'known', 'reason'), REFUSED)
def test_a_name_that_means_none_or_several_is_refused_by_its_name(name, known, reason):
    with pytest.raises(exceptions.Refused) as caught:
        host_names.match(name, known)
    assert reason in caught.value.reason and repr(name)[1:-1] in caught.value.reason


@pytest.mark.parametrize('form', host_names.FORMS, ids=lambda form: form.meaning)
def test_each_row_of_the_table_fits_its_own_example_and_no_other_host(form):
    assert form.fits(form.example, form.known)
    assert host_names.match(form.example, [form.known, 'elsewhere', '10.1.1.1']) == form.known


@given(
    st.text('cC1.:[]%-9', max_size=12),
    st.lists(st.text('cC1.:-', min_size=1, max_size=6), max_size=5),
)
def test_whatever_is_given_is_one_of_novas_hosts_or_refused(name, known):
    try:
        found = host_names.match(name, known)
    except exceptions.Refused:
        return
    assert found in known
    if name in known:
        assert found == name


@pytest.mark.parametrize(
    ('given', 'shown', 'other'),
    [
        ('c1', ['c1.example', 'c2'], 'c1.example'),
        ('c1:9100', ['c1.example', 'c2'], 'c1.example'),
        ('c1', ['c2', 'c3'], ''),
        ('c1', ['c1.example', 'c1.example2'], ''),
        ('c1', [], ''),
    ],
)
def test_a_host_that_is_not_shown_may_have_another_name_by_now(given, shown, other):
    assert host_names.hint(given, shown) == (
        f'. If it was renamed to {other}, send that name' if other else ''
    )
    # Sent so, it means that host, whatever else is remembered.
    assert not other or host_names.match(other, [*shown, 'c1']) == other
