# SPDX-License-Identifier: Apache-2.0
"""Who has held which volume at what time: the observers of a campaign and what they have seen."""

import contextlib
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from lab.client import storage


class Watch:
    """Observers, each with volumes of its own: a volume may be made in the middle of a campaign.

    :param folder: where they write.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._rest = contextlib.ExitStack()
        self._paths: list[pathlib.Path] = []
        self._summaries: list[Callable[[], dict[str, Any]]] = []
        self._known: set[str] = set()

    def __enter__(self) -> 'Watch':
        return self

    def __exit__(self, *_exc: object) -> None:
        self._rest.close()

    def observe(self, volumes: Sequence[str]) -> None:
        """Let those of them be observed that are not yet."""
        new = sorted(set(volumes) - self._known)
        if not new:
            return
        self._known.update(new)
        path = self._folder / f'observed-{len(self._paths)}.jsonl'
        path.touch()
        self._paths.append(path)
        self._summaries.append(self._rest.enter_context(storage.observed(new, path)))

    def lines(self) -> list[dict[str, Any]]:
        """All that was written so far, in the order of time."""
        found = []
        for path in self._paths:
            text = path.read_text()
            # The last line may be half written.
            found += [json.loads(line) for line in text[: text.rfind('\n') + 1].splitlines()]
        return sorted(
            (line for line in found if 'holders' in line), key=lambda line: float(line['time'])
        )

    def summary(self) -> dict[str, Any]:
        """End them: how often they have looked, the longest gap, and what was held twice."""
        seen = [summary() for summary in self._summaries]
        return {
            'samples': sum(one['samples'] for one in seen),
            'longest_gap_s': max((one['longest_gap_s'] for one in seen), default=0.0),
            'violations': [text for one in seen for text in one['violations']],
        }
