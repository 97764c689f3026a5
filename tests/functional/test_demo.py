# SPDX-License-Identifier: Apache-2.0
"""The demo as `make demo` runs it, without a terminal."""

import json
import os
import subprocess
import sys

from lab.client import access, waiting


def test_the_demo_moves_the_volume_by_a_real_alarm_and_prints_the_figures(tenant):
    ran = subprocess.run(
        [sys.executable, '-m', 'demo.run', '--failovers', '1', '--name', f'demo-{os.getpid()}'],
        cwd=access.ROOT,
        env=os.environ | {'KEEP': '0'},
        stdout=subprocess.PIPE,
        text=True,
        timeout=900 * waiting.PATIENCE,
    )
    assert ran.returncode == 0, ran.stdout
    *shown, last = ran.stdout.splitlines()
    figures = json.loads(last)
    (failover,) = figures['failovers']
    assert failover['volume'] == figures['volume']
    assert failover['from'] != failover['to']
    assert f'$ openstack --os-cloud demo server stop {failover["from"]}' in shown
    assert 0 < failover['detection_seconds'] < 60 * waiting.PATIENCE
    assert 0 < failover['handoff_seconds'] < failover['seconds']
    assert {name.split(':')[0] for name in failover['steps']} == {
        'detach', 'attach', 'hand_over', 'replace',
    }  # fmt: skip
    assert figures['violations'] == [] and figures['observed'] > 50
    assert tenant.orchestration.get(f'/stacks/{figures["stack"]}').status_code == 404
