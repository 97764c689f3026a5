# SPDX-License-Identifier: Apache-2.0
"""The groups ``heat_ha_nova`` and ``heat_ha_rescue``: heat-ha's own credentials.

The first sees the state of compute hosts. The second is for requests that Nova allows only to an
administrator: an engine evacuates with it, and the agent lists servers and marks hosts as down.
"""

import math
from typing import Any

from keystoneauth1 import loading
from oslo_config import cfg

GROUP = 'heat_ha_nova'
RESCUE = 'heat_ha_rescue'

MARK_SETTLE = 15.0

OPTIONS = [
    cfg.StrOpt(
        'interface',
        default='public',
        help='The endpoint of Nova for this credential: public, internal or admin.',
    ),
    cfg.FloatOpt(
        'mark_settle',
        default=MARK_SETTLE,
        min=0,
        help='Seconds for which the record of a host in Nova must not have been written, before '
        'forced_down that others have set is believed. nova-compute goes on writing it while it '
        'lives, so a mark that is older than the host itself, as one that was left after '
        "maintenance, proves nothing. It must be longer than Nova's report_interval. 0 believes "
        'every mark at once. What heat-ha-agent has marked is believed at once in any case; the '
        'agent itself asks this of a mark before the fencing driver nova_forced_down takes it.',
    ),
]


def register(conf: Any, group: str = GROUP) -> None:
    """Make the group known; harmless when it is already."""
    conf.register_opts(OPTIONS, group=group)
    loading.register_auth_conf_options(conf, group)
    loading.register_session_conf_options(conf, group)


def mark_settle(conf: Any, group: str) -> float:
    """How long a mark of others must have settled, in seconds.

    An engine cannot refuse to start over it, so what is no number counts as the default.
    """
    conf.register_opts(OPTIONS, group=group)
    found = conf[group].mark_settle
    return MARK_SETTLE if found is None or math.isnan(found) else float(found)


def list_opts() -> list[tuple[str, list[Any]]]:
    """Both groups as oslo.config's generator wants them."""
    common = loading.get_auth_common_conf_options() + loading.get_session_conf_options()
    options = [*OPTIONS, *common, *loading.get_auth_plugin_conf_options('password')]
    return [(GROUP, options), (RESCUE, options)]
