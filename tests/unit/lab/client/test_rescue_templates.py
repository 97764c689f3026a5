# SPDX-License-Identifier: Apache-2.0
import pytest
import yaml

# What the lab's clients share reads its database, and speaks to Heat as a client.
pytest.importorskip('pymysql')
pytest.importorskip('heatclient')

from lab.client import rescue_templates, stacks


def test_the_example_of_a_fence_in_the_storage_is_rescued_as_well():
    shown = yaml.safe_load((stacks.EXAMPLES / 'failover_storage_fence.yaml').read_text())
    made = yaml.safe_load(rescue_templates.fenced_in_storage())
    rescue = made['resources'].pop('rescue_group')
    assert made == shown
    assert rescue['type'] == 'OS::Heat::RescuePolicy'
    named = [*rescue['properties']['servers'], rescue['properties']['failover_policy']]
    assert {one['get_resource'] for one in named} <= set(shown['resources'])
