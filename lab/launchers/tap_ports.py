# SPDX-License-Identifier: Apache-2.0
"""A mechanism driver of Neutron: a port is a tap device on the host, and no agent is behind it.

It runs in Neutron's API, in the lab's environment; ``lab.real.neutron`` puts it there.
"""

from neutron.tests.unit.plugins.ml2.drivers import mech_fake_agent
from neutron_lib.api.definitions import portbindings


class TapMechanismDriver(mech_fake_agent.FakeAgentMechanismDriver):
    """Binds a port where a row of the agents table says that the host has an agent."""

    def __init__(self) -> None:
        super().__init__()
        # With the parent's kind Nova would look for Open vSwitch on the host.
        self.vif_type = portbindings.VIF_TYPE_TAP
