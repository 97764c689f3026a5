# SPDX-License-Identifier: Apache-2.0
"""The agent starts with every configuration of its that the guides show, and does its work."""

import os

import pytest

from heat_ha.conf import agent
from tests.unit.docs import configurations

SHOWN = {
    place: groups[agent.GROUP]
    for place, groups in configurations.shown().items()
    if agent.GROUP in groups
}


@pytest.mark.parametrize('place', SHOWN)
def test_the_agent_works_as_the_guide_has_it(make_agent, tmp_path, monkeypatch, place):
    wanted = dict(SHOWN[place])
    # The lab has no etcd. Locks in files are shared by the agents of one machine.
    wanted.pop('coordination_url', None)
    if 'fencing_file' in wanted:
        wanted['fencing_file'] = configurations.fencing_file(tmp_path)
        monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    found = make_agent(**wanted)
    assert found.is_running
    assert found.metric('heat_ha_agent_round_seconds_count') > 0
