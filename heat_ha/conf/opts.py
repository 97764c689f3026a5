# SPDX-License-Identifier: Apache-2.0
"""All options, for ``oslo-config-generator --namespace heat_ha``."""

from typing import Any

from heat_ha.conf import agent, health, nova_hosts, regions


def list_opts() -> list[tuple[str, list[Any]]]:
    """Every group with its options."""
    return [
        *nova_hosts.list_opts(),
        *health.list_opts(),
        *regions.list_opts(),
        *agent.list_opts(),
    ]
