# SPDX-License-Identifier: Apache-2.0
"""The group ``heat_ha_nova``: with whose eyes the state of compute hosts is seen."""

from typing import Any

from keystoneauth1 import loading
from oslo_config import cfg

GROUP = 'heat_ha_nova'

OPTIONS = [
    cfg.StrOpt(
        'interface',
        default='public',
        help="Which of Nova's endpoints is asked for the state of hosts: public, internal or "
        'admin.',
    ),
]


def register(conf: Any) -> None:
    """Make the group known; harmless when it is already."""
    conf.register_opts(OPTIONS, group=GROUP)
    loading.register_auth_conf_options(conf, GROUP)
    loading.register_session_conf_options(conf, GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    """The group as oslo.config's generator wants it."""
    common = loading.get_auth_common_conf_options() + loading.get_session_conf_options()
    return [(GROUP, [*OPTIONS, *common, *loading.get_auth_plugin_conf_options('password')])]
