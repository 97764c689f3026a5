# SPDX-License-Identifier: Apache-2.0
"""Running a program on behalf of a driver: without a shell, and not for ever."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from heat_ha.fencing import driver

# Seconds until one call of a program is given up.
CALL_LIMIT = 30.0


def run(
    command: Sequence[str], *, stdin: str = '', environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a program and wait until it ends.

    :param environment: variables beside those of this process.
    :returns: its exit status, and what it wrote.
    :raises driver.NotFenced: it could not be started, or did not end within ``CALL_LIMIT``.
    """
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=CALL_LIMIT,
            env={**os.environ, **(environment or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise driver.NotFenced(f'{command[0]}: {exc}'[:250]) from exc
    return done.returncode, (done.stdout + done.stderr).strip()
