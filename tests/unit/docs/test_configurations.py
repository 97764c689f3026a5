# SPDX-License-Identifier: Apache-2.0
"""Every configuration in the guides is one: its options are there, and their values are taken.

``tests/functional/test_guides.py`` starts the agent with each.
"""

import os

import pytest

from heat_ha.agent import senders_file, web_server
from heat_ha.agent.rules import confirmation
from heat_ha.conf import agent
from heat_ha.fencing import inventory
from tests.unit.docs import configurations

SHOWN = configurations.shown()


def test_they_are_found():
    groups = {group for found in SHOWN.values() for group in found}
    assert {'heat_ha_agent', 'heat_ha_rescue', 'heat_ha_nova', 'heat_ha_health'} <= groups
    assert len(SHOWN) >= 6


@pytest.mark.parametrize('place', SHOWN)
def test_each_option_is_known_and_its_value_is_taken(place, tmp_path):
    known = configurations.known()
    for group, options in SHOWN[place].items():
        assert not options.keys() - known[group].keys(), group
    conf = configurations.read(tmp_path, SHOWN[place])
    for group, options in SHOWN[place].items():
        for key in options:
            assert conf[group][key] is not None
    own = conf[agent.GROUP]
    confirmation.parse(own.confirm, own.fail_open, own.sources, own.certain)
    web_server.places(own.listen, own.port)


def test_the_samples_are_taken(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    found = inventory.read(str(configurations.fencing_file(tmp_path)))
    found.check()
    assert found.hosts
    senders = configurations.SAMPLES / 'senders.yaml.sample'
    assert senders_file.read(str(senders), {'alertmanager', 'pacemaker'})
