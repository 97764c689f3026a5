# SPDX-License-Identifier: Apache-2.0
"""The sample of a broker's policy fits the queue and the options that it is for."""

import json
import pathlib
import re

from heat_ha.agent import sources
from heat_ha.conf import agent as options

SAMPLE = pathlib.Path(__file__).parents[4] / 'etc' / 'heat_ha' / 'rabbitmq_policy.json.sample'


def test_the_sample_bounds_the_queue_of_the_agents_and_no_other():
    [policy] = json.loads(SAMPLE.read_text())['policies']
    assert policy['apply-to'] == 'queues'
    assert re.search(policy['pattern'], sources.QUEUE)
    for other in ('versioned_notifications.info', 'engine', 'heat-ha-agent.x'):
        assert not re.search(policy['pattern'], other), other


def test_the_broker_keeps_what_the_agent_would_still_read_and_drops_the_oldest_of_too_many():
    [policy] = json.loads(SAMPLE.read_text())['policies']
    bounds = policy['definition']
    [valid] = [o.default for o in options.OPTIONS if o.name == 'report_valid']
    assert bounds['message-ttl'] == valid * 1000
    # A queue with messages that are still to be read does not go.
    assert bounds['expires'] > bounds['message-ttl']
    assert bounds['overflow'] == 'drop-head' and bounds['max-length-bytes'] > 2**20
