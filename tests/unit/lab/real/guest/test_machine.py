# SPDX-License-Identifier: Apache-2.0
from lab.real.guest import machine


def test_network_card_has_an_address_of_the_servers_own():
    one = machine.mac_of('11111111-2222-3333-4444-5555556789ab')
    assert one == '52:54:00:67:89:ab'
