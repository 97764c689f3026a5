# SPDX-License-Identifier: Apache-2.0
import pytest
import yaml

# The demo reads the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')
pytest.importorskip('rich')

from demo import real
from lab.client import stacks


def test_the_template_is_the_example_and_hears_of_crashes():
    shown = yaml.safe_load((stacks.EXAMPLES / 'failover_storage_fence.yaml').read_text())
    made = yaml.safe_load(real.template())
    assert made['resources'][real.POLICY]['properties'].pop('on_instance_failure') == 'failover'
    assert made == shown
    assert made['resources'][real.POLICY]['properties']['fencing'] == 'storage'
    assert {real.GROUP, real.POLICY, real.CHAIN} <= set(made['resources'])
