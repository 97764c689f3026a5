# SPDX-License-Identifier: Apache-2.0
from heat_ha.cloud.model import HostState
from heat_ha.rescue.model import Method
from heat_ha.rescue.rules import methods


def test_every_method_has_a_row_and_a_sentence():
    assert set(methods.TABLE) == set(Method)
    assert all(f'{method.value} ' in methods.descriptions() for method in Method)


def test_no_method_begins_on_a_host_that_may_still_write_and_is_not_up():
    for traits in methods.TABLE.values():
        assert traits.usable_on <= {HostState.UP, HostState.CONFIRMED_DOWN}


def test_nova_moves_a_server_only_off_a_host_that_is_confirmed_down():
    for traits in methods.TABLE.values():
        if traits.is_in_nova and traits.moves_server:
            assert traits.usable_on == {HostState.CONFIRMED_DOWN}


def test_what_nova_carries_out_is_verified_by_a_look_and_keeps_the_server():
    for traits in methods.TABLE.values():
        is_looked_at = traits.verified_by is methods.VerifiedBy.LOOK
        assert is_looked_at is traits.is_in_nova
        assert not (traits.is_in_nova and traits.deletes_server)
