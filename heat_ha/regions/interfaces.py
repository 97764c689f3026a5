# SPDX-License-Identifier: Apache-2.0
"""What a reconciler needs: each region's Heat, a store, and what is wanted."""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from heat_ha.regions import model, record
from heat_ha.regions.rules import answers, spec, steps

# Regions that are asked side by side.
SIDE_BY_SIDE = 32

T = TypeVar('T')


class RegionHeat(Protocol):
    """One region's Heat; every call is bounded, and answers in values."""

    def look(
        self, part: model.Part | model.Tombstone | model.PartSnapshot, with_outputs: bool
    ) -> answers.Observation:
        """Look at one stack, by its id or by its mark, or at a snapshot by its name."""

    def send(
        self,
        request: steps.Request,
        part: model.Part | model.Tombstone | model.PartSnapshot,
        body: Mapping[str, Any],
    ) -> answers.Reply:
        """Send a request that changes something."""

    def cause(self, part: model.Part) -> str:
        """The path and the reason of what failed in the stack; empty if it is not known."""

    def recent_events(self, part: model.Part) -> str:
        """What the resources of the stack did in its last action; empty if it is not known."""

    def fingerprint(self, part: model.Part) -> answers.Fingerprint | None:
        """Whether anything moves in the stack; None if it is not known."""

    def is_equal(self, part: model.Part, body: Mapping[str, Any]) -> bool:
        """Whether the stack holds what ``body`` would bring; False if it is not known."""


class Store(Protocol):
    """Where the record is kept."""

    def read(self) -> model.Record | None: ...
    def write(self, record: model.Record) -> None: ...
    def outputs(self, region: str) -> record.Outputs | None: ...
    def write_outputs(self, region: str, outputs: record.Outputs) -> None: ...
    def snapshot(self) -> model.Snapshot | None: ...
    def write_snapshot(self, found: model.Snapshot) -> None: ...


@dataclasses.dataclass(frozen=True)
class DesiredState:
    """What the template wants, as a reconciler needs it.

    ``contents`` is called again after each look, since a part may need another's outputs.
    ``options`` go with each request and are not part of a revision. ``suspend_wanted`` is whether
    the stacks are to be suspended; None leaves that as it is. ``restore`` is the snapshot to go
    back to. With ``only_deletes`` nothing is sent to any part.
    """

    contents: Callable[[], Mapping[str, spec.Wanted]]
    rollout: spec.Rollout
    rules: spec.Rules
    base_name: str
    is_single: bool
    owner: str
    adopts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    places: Mapping[str, str] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    suspend_wanted: bool | None = None
    restore: model.Restore | None = None
    only_deletes: bool = False


def side_by_side(calls: Mapping[Any, Callable[[], T]]) -> dict[Any, T]:
    """Make calls at the same time, and wait for all of them."""
    if not calls:
        return {}
    with concurrent.futures.ThreadPoolExecutor(min(len(calls), SIDE_BY_SIDE)) as pool:
        waiting = {key: pool.submit(call) for key, call in calls.items()}
        return {key: future.result() for key, future in waiting.items()}
