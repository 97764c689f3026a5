# SPDX-License-Identifier: Apache-2.0
"""A short campaign of random failovers; `make chaos` runs long ones."""

import json
import subprocess
import sys

import pytest

from lab.client import access, waiting

SEED = 6


@pytest.mark.thorough
def test_failovers_end_right_while_hosts_engines_and_services_fail():
    done = subprocess.run(
        [sys.executable, '-m', 'chaos.run', '--runs', '4', '--seed', str(SEED)],
        cwd=access.ROOT,
        capture_output=True,
        text=True,
        timeout=600 * waiting.PATIENCE,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, (found, done.stderr)
    assert found['runs'] == found['done'] == 4, (found, done.stderr)
    assert found['violations'] == found['leaks'] == 0, (found, done.stderr)
    # It was not a fine day: an engine died, and requests failed.
    assert sum(found['killed_in'].values()) == 1 and sum(found['faults'].values()) >= 5, found
