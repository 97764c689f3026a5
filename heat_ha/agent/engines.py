# SPDX-License-Identifier: Apache-2.0
"""Whether Heat's engines live, asked of themselves."""

import time

from heat_ha.cloud import heat_rpc

# Seconds for which the answer whether an engine lives is believed.
VALID = 3.0


class EngineLiveness:
    """Remembers for a moment which engines answered."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[float, bool]] = {}

    def is_alive(self, engine: str) -> bool:
        """Whether an engine answers, or has answered just now."""
        asked_at, is_alive = self._answers.get(engine, (float('-inf'), False))
        if time.monotonic() - asked_at > VALID:
            is_alive = heat_rpc.is_alive(engine)
            self._answers[engine] = (time.monotonic(), is_alive)
        return is_alive
