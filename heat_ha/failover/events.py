# SPDX-License-Identifier: Apache-2.0
"""The events of a failover: what an operator reads in ``openstack stack event list``."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, quoting
from heat_ha.failover import model
from heat_ha.failover.rules import decide, later

LOG = logging.getLogger(__name__)

# Characters of an event that the list of events shows.
MAX_EVENT = 230

# Characters that Heat keeps of an event, and those of its end that are kept of a longer text: the
# way out comes last.
LONGEST, _END = 255, 160

# Characters of a reason that are kept beside any remedy, and of names before a reason.
_LEAST_REASON, _NAMES = 40, 40

# The words under which events appear in `openstack stack event list`.
FAILOVER, SIGNAL = 'FAILOVER', 'SIGNAL'
IN_PROGRESS, COMPLETE, FAILED = 'IN_PROGRESS', 'COMPLETE', 'FAILED'


class EventEmitter:
    """Makes the events of one policy."""

    def __init__(self, policy: Any) -> None:
        self._policy = policy
        self._held_back: list[tuple[str, str]] | None = None

    def hold_back(self) -> None:
        """Keep events until it is known whether there is any news in them."""
        self._held_back = []

    def let_go(self, *, is_news: bool) -> None:
        """Make the events that were held back, or forget them."""
        held_back, self._held_back = self._held_back or [], None
        if is_news:
            for status, text in held_back:
                self.emit(status, text)

    def emit(self, status: str, text: str, plan: model.Plan | None = None) -> None:
        """Make one event; a failure to make it is logged."""
        prefix = f'[{plan.plan_id}] ' if plan else ''
        text = fitted(text, LONGEST - len(prefix))
        if self._held_back is not None:
            self._held_back.append((status, prefix + text))
            return
        try:
            self._policy._add_event(FAILOVER, status, prefix + text)
        except Exception:
            # The record is what counts: a failover does not end because an event could not be made.
            LOG.exception('No event was made of: %s%s', prefix, text)

    def progress(self, text: str, plan: model.Plan | None = None) -> None:
        """Make an event of something that is under way."""
        self.emit(IN_PROGRESS, text, plan)

    def cleared(self, reasons: Mapping[str, str]) -> None:
        """Report which members may take over again, and why: that is news in any case."""
        held_back, self._held_back = self._held_back, None
        for name, why in reasons.items():
            self.progress(f'member {name} is eligible again: {why}')
        self._held_back = held_back

    def start(self, plan: model.Plan) -> None:
        """Report a plan that begins, and which member takes over and why the others do not."""
        steps = ', '.join(s.name for s in plan.steps)
        why = f' because {plan.reason}' if plan.reason else ''
        self.progress(f'{goal(plan)}{why}; steps: {steps}', plan)
        if plan.cause is not model.Cause.REPLACE_STANDBY:
            self.considered(plan.considered, f'[{plan.plan_id}] ')

    def considered(self, reasons: Mapping[str, str], prefix: str) -> None:
        """Report of each member why it takes over or does not, in as few events as hold it."""
        for line in _lines(f'{name}: {text}' for name, text in reasons.items()):
            self.progress(prefix + line)

    def emit_in_parts(self, status: str, text: str) -> None:
        """Make as few events as hold a text whose parts have a semicolon between them."""
        for line in _lines(text.split('; ')):
            self.emit(status, line)

    def dry_run(self, answer: decide.Show) -> str:
        """Report why each member would take over or not; return what would be done, in words."""
        self.considered(answer.considered, 'plan: ')
        if isinstance(answer.answer, decide.Refuse):
            return f'plan: nothing would be done, {answer.answer.reason}'
        if isinstance(answer.answer, later.Remember):
            return f'plan: it would be decided again later, for now {answer.answer.why}'
        plan = answer.answer.plan
        verb = 'would go on' if isinstance(answer.answer, decide.GoOn) else 'would be done'
        steps = ' -> '.join(s.name for s in plan.steps)
        return f'plan: {goal(plan)} {verb} by {steps}'


def _lines(parts: Iterable[str]) -> Iterator[str]:
    """Put parts together, as many in a line as an event shows."""
    line = ''
    for part in parts:
        if line and len(line) + len(part) > MAX_EVENT:
            yield line
            line = ''
        line = f'{line}; {part}' if line else part
    if line:
        yield line


def of_error(intro: str, exc: exceptions.HaError) -> str:
    """An error as the text of an event, which has room for its remedy whatever the reason is."""
    remedy = getattr(exc, 'remedy', '')
    reason = getattr(exc, 'reason', '')
    return with_remedy(intro, reason, remedy) if remedy else f'{intro}{exc}'


def with_remedy(intro: str, reason: str, remedy: str) -> str:
    """A reason and the way out after it; of the two, the reason is cut to what an event holds."""
    remedy = quoting.shorten(remedy, MAX_EVENT - len(intro) - _LEAST_REASON)
    room = max(MAX_EVENT - len(intro) - len(remedy), _LEAST_REASON)
    return f'{intro}{quoting.shorten(reason, room)}. {remedy}'


def fitted(text: str, room: int = LONGEST) -> str:
    """A text that an event holds: what does not fit is left out in the middle."""
    if len(text) <= room:
        return text
    return f'{text[: room - _END - 1]}…{text[-_END:]}'


def names(of: Iterable[str]) -> str:
    """The names of members, as far as there is room beside a reason and a way out."""
    return quoting.shorten(', '.join(of), _NAMES)


def goal(plan: model.Plan) -> str:
    """What a plan is for, in words."""
    if plan.cause is model.Cause.REPLACE_STANDBY:
        return f'replacing standby {", ".join(s.target for s in plan.steps)}'
    old = plan.old.member if plan.old else 'none'
    new = plan.new.member if plan.new else 'a new member'
    return f'{plan.cause.value} from {old} to {new}'
