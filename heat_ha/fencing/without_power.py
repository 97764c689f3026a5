# SPDX-License-Identifier: Apache-2.0
"""Where entry points of an older installation look for ``none`` and ``nova_forced_down``."""

from heat_ha.fencing.none import Unfenced
from heat_ha.fencing.nova_forced_down import NovaForcedDown

__all__ = ['NovaForcedDown', 'Unfenced']
