# SPDX-License-Identifier: Apache-2.0
"""The agent's log of its decisions: one line for each, when it changes."""

import threading

from oslo_log import log as logging

from heat_ha.agent import metrics
from heat_ha.agent.model import Incident
from heat_ha.agent.rules import decide

LOG = logging.getLogger(__name__)


class DecisionLog:
    """Writes a line about a host only when it differs from the one before. Threads use it."""

    def __init__(self, agent_name: str) -> None:
        self._agent_name = agent_name
        self._guard = threading.Lock()
        self._last: dict[str, str] = {}

    def decision(self, host: str, incident: Incident | None, step: decide.Step) -> None:
        """Log and count a step that was chosen, unless nothing is known of the host."""
        if incident is None and isinstance(step, decide.Wait):
            return
        phase = incident.phase.value if incident else 'none'
        kind = type(step).__name__.lower()
        to = f' to={step.phase.value}' if isinstance(step, decide.Enter) else ''
        line = (
            f'agent={self._agent_name} host={host} phase={phase} step={kind}{to} '
            f'reason="{step.reason}"'
        )
        if self.line(host, line) and kind != 'wait':
            metrics.DECISIONS.labels(kind).inc()

    def line(self, about: str, text: str, level: int = logging.INFO) -> bool:
        """Log a line about a host or the agent. :returns: whether it differs from the last one."""
        with self._guard:
            if self._last.get(about) == text:
                return False
            self._last[about] = text
        LOG.log(level, '%s', text)
        return True

    def last(self, about: str) -> str:
        """The last line about a host, '' where there is none."""
        return self._last.get(about, '')
