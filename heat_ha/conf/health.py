# SPDX-License-Identifier: Apache-2.0
"""The group ``heat_ha_health``: in which networks the engines may ask servers for their health."""

from typing import Any

from oslo_config import cfg

GROUP = 'heat_ha_health'

OPTIONS = [
    cfg.ListOpt(
        'networks',
        default=[],
        help='Networks (CIDR, comma-separated) in which the engines may open connections for '
        'the property health of policies. Users choose the addresses of their servers, so name '
        'only networks in which no service of the cloud itself listens. Empty: the engines ask '
        'no server, and each server counts as one that could not be asked.',
    ),
]


def register(conf: Any) -> None:
    """Make the group known; harmless when it is already."""
    conf.register_opts(OPTIONS, group=GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    """The group as oslo.config's generator wants it."""
    return [(GROUP, OPTIONS)]
