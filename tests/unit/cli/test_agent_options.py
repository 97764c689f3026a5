# SPDX-License-Identifier: Apache-2.0
import pytest
from oslo_config import cfg

from heat_ha.cli import agent_options
from heat_ha.conf import agent as options


@pytest.mark.parametrize(
    ('given', 'named'),
    [
        ({}, None),
        ({'sources': ['services_api', 'webhook']}, 'webhook'),
        ({'sources': ['webhook'], 'confirm': ['services_api + webhook']}, None),
        ({'storm_domains': ['r=c*']}, 'storm_per_domain is 0'),
        ({'storm_zones': True}, 'storm_per_domain is 0'),
        ({'storm_per_domain': 1}, 'no failure domains'),
        ({'storm_per_domain': 1, 'storm_zones': True}, None),
        ({'storm_per_domain': 1, 'storm_domains': ['r=c*']}, None),
    ],
)
def test_what_is_set_and_decides_nothing_is_named(given, named):
    conf = cfg.ConfigOpts()
    options.register(conf)
    conf([])
    for name, value in given.items():
        conf.set_override(name, value, options.GROUP)
    found = agent_options.pointless(conf[options.GROUP])
    assert len(found) == bool(named) and (named or '') in ' '.join(found)
