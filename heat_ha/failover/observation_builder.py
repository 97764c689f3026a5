# SPDX-License-Identifier: Apache-2.0
"""All that the answer to one signal depends on: looked at first, put together afterwards.

Nothing here changes anything, neither the record nor a resource. The two halves are apart because
the end of a plan that another engine left is written between them, by what the first half saw
and before what the second half reads of the history.
"""

import concurrent.futures
import dataclasses
import datetime
import time
from collections.abc import Callable, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clients, nested_stack
from heat_ha.cloud import model as cloud
from heat_ha.failover import executor, model, observation, options, record
from heat_ha.failover.adapters import handoff_template
from heat_ha.failover.handoff import drivers
from heat_ha.failover.rules import ways_out
from heat_ha.groups import model as groups
from heat_ha.groups.adapters import members as group_members

LOG = logging.getLogger(__name__)

# How many things are looked at while Heat lists the members.
LOOKS_AT_ONCE = 8

# The epoch of a policy that has given its things to another member than at its creation.
FIRST_AFTER_CREATION = 2

# Seconds for which a look at a server and its host holds, from there to the first step of a plan.
LOOK_HOLDS = 5.0


@dataclasses.dataclass(frozen=True)
class Findings:
    """What one look at a policy's group, and at what it hands over, has shown.

    ``looks`` are at the things that drivers hand over, by id; ``never_moved`` says why some of them
    can never change servers; ``revision`` is the SHA-256 of what is handed over; ``looked_at`` is
    when the look ended, on the monotonic clock.
    """

    observed: observation.Observed
    attachments: tuple[model.Attachment, ...]
    looks: Mapping[str, executor.Look]
    never_moved: tuple[str, ...]
    revision: str
    moves_more_than_volumes: bool
    held_by: Mapping[str, frozenset[str] | None]
    under_way: frozenset[str] = frozenset()
    others_at: Mapping[str, frozenset[str] | None] = dataclasses.field(default_factory=dict)
    asks_old_host: bool = False
    looked_at: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def has_all_moved(self) -> bool:
        """Whether nothing is left to be handed over once the drivers have moved their things."""
        return not (self.moves_more_than_volumes or self.others_at or self.asks_old_host)

    def has_looked_at(self, target: model.MemberServer | None) -> bool:
        """Whether a member's server was looked at, or there is none to look at."""
        return target is None or all(
            c.server is not None for c in self.observed.candidates if c.member.name == target.member
        )

    def server_and_host(
        self, target: model.MemberServer | None
    ) -> tuple[cloud.Server, cloud.Host] | None:
        """What was seen of a member's server and host, None where nobody looked just now."""
        if target is None or time.monotonic() - self.looked_at > LOOK_HOLDS:
            return None
        for one in self.observed.candidates:
            if one.server and one.host and one.server.server == target.server:
                return one.server, one.host
        return None

    def observation(
        self,
        known: model.Record,
        wanted: options.Options,
        *,
        past_failovers: tuple[datetime.datetime, ...],
        now: datetime.datetime,
        plan_id: str,
        requested_by: str,
        chained: groups.Chained | None,
        is_overtaken: bool,
        kept: tuple[model.Remembered, ...] = (),
        decided: model.Remembered | None = None,
        agents_failover: datetime.datetime | None = None,
    ) -> model.Observation:
        """What the decision sees.

        :param known: the record as it is now.
        :param plan_id: the id of a plan that the decision may make.
        :param requested_by: the name of the policy that was signalled.
        :param is_overtaken: whether a failover began between the signal and its turn.
        :param kept: the signals that are kept, of which ``decided`` is decided now, or none.
        :param agents_failover: as :class:`model.Observation` has it.
        """
        return model.Observation(
            record=known,
            candidates=self.observed.candidates,
            attachments=self.attachments,
            revision=self.revision,
            limits=wanted.limits_with(chained),
            past_failovers=past_failovers,
            now=now,
            plan_id=plan_id,
            requested_by=requested_by,
            chained=chained,
            is_overtaken=is_overtaken,
            quiesce=wanted.quiesce,
            on_dead_host=wanted.on_dead_host,
            never_moved=self.never_moved,
            fail_back=wanted.fail_back,
            keep_seconds=wanted.keep_seconds,
            quiesce_hook=wanted.quiesce_hook,
            activate_hook=wanted.activate_hook,
            moves_more_than_volumes=self.moves_more_than_volumes,
            held_by=self.held_by,
            under_way=self.under_way,
            others_at=self.others_at,
            asks_old_host=self.asks_old_host,
            kept=kept,
            decided=decided,
            agents_failover=agents_failover,
        )


def look(
    policy: Any,
    group: Any,
    stack_clients: clients.StackClients,
    known: model.Record,
    definition: dict[str, Any],
    wanted: options.Options,
    *,
    at_active: bool = False,
) -> Findings:
    """Look at the group and, side by side, at what the active has and drivers hand over.

    :param definition: what is to be handed over, as ``record.definition_of`` gives it.
    :param at_active: look at the active's server in any case; see ``observation.observe``.
    """
    spared = None if at_active else known.active
    with observation.begin(stack_clients, spared, known) as begun:

        def observe() -> observation.Observed:
            return observation.observe(
                group,
                stack_clients,
                active=spared,
                last=known,
                health=wanted.health,
                begun=begun,
            )

        return _look(policy, group, stack_clients, known, definition, wanted, observe)


def _look(
    policy: Any,
    group: Any,
    stack_clients: clients.StackClients,
    known: model.Record,
    definition: dict[str, Any],
    wanted: options.Options,
    observe: Callable[[], observation.Observed],
) -> Findings:
    # Another thread's failover may have changed it since this one has loaded it.
    nested = nested_stack.load_again(policy)
    active = known.active
    attachments: tuple[model.Attachment, ...] = ()
    of_active, servers = frozenset[str](), frozenset[str]()
    if active is not None:
        of_active = _of_active(group, definition, active)
        servers = frozenset({active.server, *_servers_of_open(known), *_servers_of_dropped(known)})
        attachments = handoff_template.attachments(nested, servers, of_active)
    handlers = drivers.Drivers(stack_clients)
    with concurrent.futures.ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
        running = {
            a.target: pool.submit(_look_at, handlers[a.thing], a.target) for a in attachments
        }
        observed = observe()
    looks = {target: look.result() for target, look in running.items()}
    held_by = {a.target: handlers[a.thing].holders(looks[a.target][1]) for a in attachments}
    why_nots = [handlers[a.thing].why_never_moved(looks[a.target][1]) for a in attachments]
    return Findings(
        observed=observed,
        attachments=attachments,
        looks=looks,
        never_moved=tuple(f'{why.reason}. {why.remedy}' for why in why_nots if why),
        revision=record.revision(definition),
        moves_more_than_volumes=active is not None
        and handoff_template.has_more(nested, of_active | {active.server}, frozenset(looks)),
        held_by=held_by,
        under_way=frozenset(
            a.target for a in attachments if handlers[a.thing].is_under_way(looks[a.target][1])
        ),
        others_at=_others_at(group, nested, definition, known, observed, frozenset(looks)),
        asks_old_host=handoff_template.asks_host(nested, servers, frozenset(looks)),
    )


def _servers_of_open(known: model.Record) -> frozenset[str]:
    """The servers of a failover that is not over: what the nested stack has is with any of them."""
    plan = known.plan
    if plan is None or not ways_out.is_open(known):
        return frozenset()
    return frozenset(one.server for one in (plan.old, plan.new, *plan.tried) if one is not None)


def _servers_of_dropped(known: model.Record) -> frozenset[str]:
    """The servers that may have what a dropped plan has left: only then is no plan on record."""
    if known.plan is not None or known.epoch < FIRST_AFTER_CREATION:
        return frozenset()
    left = (known.previous,) if known.previous is not None else ()
    return frozenset(one.server for one in (*known.seen, *left))


def _others_at(
    group: Any,
    nested: Any,
    definition: dict[str, Any],
    known: model.Record,
    observed: observation.Observed,
    moved: frozenset[str],
) -> dict[str, frozenset[str] | None]:
    """Where ports, addresses and the like are, while they may be elsewhere than at the active."""
    servers = _servers_of_open(known) | _servers_of_dropped(known)
    if not servers:
        return {}
    found = {server: {server} for server in servers}
    for one in observation.member_servers(observed.candidates):
        found.setdefault(one.server, {one.server})
        for value in _of_active(group, definition, one):
            found.setdefault(value, set()).add(one.server)
    # What several members have in common tells nothing.
    holders = {text: next(iter(one)) for text, one in found.items() if len(one) == 1}
    return handoff_template.others(nested, holders, moved)


def _look_at(handler: drivers.AnyDriver, target: str) -> executor.Look:
    return time.monotonic(), handler.look(target)


def _of_active(
    group: Any, definition: dict[str, Any], active: model.MemberServer
) -> frozenset[str]:
    """The values that stand for attributes of a member as the active, such as its port's id."""
    values = frozenset[str]()
    for path in handoff_template.active_attributes(definition):
        try:
            values |= {str(group_members.member_attribute(group, active.member, path))}
        except exceptions.Refused as exc:
            # A member that is gone: only the order of what hangs on it is not known then.
            LOG.info('%s: %s', group.name, exc)
    return values
