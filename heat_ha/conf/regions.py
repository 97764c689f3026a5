# SPDX-License-Identifier: Apache-2.0
"""The group ``heat_ha_regions``: how long to wait for another region."""

from typing import Any

from oslo_config import cfg

GROUP = 'heat_ha_regions'

OPTIONS = [
    cfg.FloatOpt(
        'connect_timeout',
        default=3.0,
        min=0.1,
        help="Seconds until a connection to another region's Heat counts as refused.",
    ),
    cfg.FloatOpt(
        'look_timeout',
        default=8.0,
        min=1.0,
        help='Seconds until a look at a remote stack, with its whole answer, is given up. It holds '
        'a thread of the engine for that long at most.',
    ),
    cfg.FloatOpt(
        'write_timeout',
        default=30.0,
        min=1.0,
        help='Seconds until a request that changes something is given up. It may have been '
        'carried out nevertheless; the next look shows that. The remote Heat validates the '
        'template before it answers.',
    ),
    cfg.FloatOpt(
        'patience',
        default=8.0,
        min=0.0,
        help='Seconds that a region may be silent before an action goes on without it '
        '(on_unreachable: defer), or fails (fail). At least look_timeout; otherwise one slow '
        'answer counts as a cut.',
    ),
    cfg.FloatOpt(
        'pause',
        default=15.0,
        min=0.0,
        help='Seconds between two attempts to reach a region that is known to be silent. The '
        'signal sync tries at once.',
    ),
    cfg.FloatOpt(
        'standstill',
        default=180.0,
        min=60.0,
        help='Seconds without an event or a change of a resource after which a part that is in '
        'progress in its region is sent the same again, since the engine there may have died. '
        "Below a minute, the region's engines may still be waiting for one another's answers "
        '(rpc_response_timeout). A resource that rightly takes longer is left alone, but is tried '
        'again if it fails then; so choose more than the time in which a server is built.',
    ),
]


def register(conf: Any) -> None:
    """Make the group known; harmless when it is already."""
    conf.register_opts(OPTIONS, group=GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    """The group as oslo.config's generator wants it."""
    return [(GROUP, OPTIONS)]
