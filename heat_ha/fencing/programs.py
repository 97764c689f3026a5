# SPDX-License-Identifier: Apache-2.0
"""Where entry points of an older installation look for ``command`` and ``ipmi``."""

from heat_ha.fencing.command import Command
from heat_ha.fencing.ipmi import Ipmi

__all__ = ['Command', 'Ipmi']
