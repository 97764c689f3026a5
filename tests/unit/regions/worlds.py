# SPDX-License-Identifier: Apache-2.0
"""Small clouds of several regions that can be cut, for tests without any cloud."""

import dataclasses
import enum

from heat_ha.regions import apply, model, record, revision

TEMPLATE = {'heat_template_version': '2016-10-14', 'parameters': {'text': {'default': ''}}}


def content(text='one'):
    return revision.content(TEMPLATE, {}, {'text': text}, {})


class Way(enum.Enum):
    OPEN = 'open'
    CUT = 'cut'
    EATS_REPLIES = 'eats replies'
    LOSES_REQUESTS = 'loses requests'
    BAD_TOKEN = 'bad token'


@dataclasses.dataclass
class FakeStack:
    stack_id: str
    name: str
    mark: str
    revision: str
    action: str = 'CREATE'
    status: str = 'IN_PROGRESS'
    changed: str = ''
    text: str = ''
    looks_left: int = 1


class FakeRegion:
    """A region's Heat that obeys its rules: names are unique, and an end takes a look or two."""

    def __init__(self, name):
        self.name = name
        self.way = Way.OPEN
        self.stacks = {}
        self.writes = []
        self.fails = False
        self.count = 0

    # --- the port ---------------------------------------------------------------------------

    def look(self, part, with_outputs):
        silent = self._silent()
        if silent is not None:
            return silent
        adopts = getattr(part, 'adopts', '')
        for stack in self.stacks.values():
            is_it = stack.stack_id == part.stack_id if part.stack_id else stack.mark == part.mark
            if is_it or (adopts and adopts in (stack.name, stack.stack_id)):
                return self._shown(stack, with_outputs)
        return model.Absent()

    def _shown(self, stack, with_outputs):
        if stack.status == 'IN_PROGRESS':
            stack.looks_left -= 1
            if stack.looks_left < 0:
                if stack.action == 'DELETE':
                    del self.stacks[stack.stack_id]
                    return model.Absent()
                stack.status = 'FAILED' if self.fails else 'COMPLETE'
        return model.Present(
            stack.stack_id, stack.name, stack.action, stack.status, 'boom' if self.fails else '',
            stack.changed, stack.mark, stack.revision,
            {'text': stack.text} if with_outputs else None,
        )  # fmt: skip

    def send(self, request, part, body):
        if self.way in (Way.CUT, Way.BAD_TOKEN):
            return (
                model.Reply(model.Answer.NOT_SENT, 'cut')
                if self.way is Way.CUT
                else model.Reply(model.Answer.REFUSED, '401', model.ErrorClass.AUTH)
            )
        if self.way is Way.LOSES_REQUESTS:
            return model.Reply(model.Answer.UNKNOWN, 'no answer')
        self.writes.append(request)
        reply = self._carried_out(request, part, body)
        if self.way is Way.EATS_REPLIES:
            return model.Reply(model.Answer.UNKNOWN, 'no answer')
        return reply

    def _carried_out(self, request, part, body):
        self.count += 1
        if request is model.Request.CREATE:
            if any(s.name == part.name for s in self.stacks.values()):
                return model.Reply(model.Answer.TAKEN, 'exists')
            assert all(s.mark != part.mark for s in self.stacks.values()), 'made twice'
            made = FakeStack(f'id-{self.name}-{self.count}', part.name, part.mark, '')
            self.stacks[made.stack_id] = made
        elif part.stack_id not in self.stacks:
            return model.Reply(model.Answer.GONE, 'no such stack')
        else:
            made = self.stacks[part.stack_id]
        if request is model.Request.CANCEL:
            made.status = 'FAILED'
            return model.Reply(model.Answer.ACCEPTED)
        assert made.action != 'SUSPEND' or request is not model.Request.UPDATE, 'Heat refuses it'
        made.action, made.status, made.looks_left = request.name, 'IN_PROGRESS', 1
        if request in (model.Request.CREATE, model.Request.UPDATE):
            made.changed = str(self.count)
            tag = next(t for t in body['tags'] if t.startswith(apply.REVISION))
            made.mark = next(t for t in body['tags'] if t.startswith(apply.MARK))[len(apply.MARK) :]
            made.revision = tag.removeprefix(apply.REVISION)
            made.text = body['parameters'].get('text', '')
        return model.Reply(model.Answer.ACCEPTED, stack_id=made.stack_id)

    def cause(self, part):
        return 'thing: boom' if self.fails else ''

    def doings(self, part):
        return ''

    def is_equal(self, part, body):
        return self.stacks[part.stack_id].text == body['parameters'].get('text', '')

    def _silent(self):
        if self.way is Way.CUT:
            return model.Silent(model.ErrorClass.UNREACHABLE, 'cut', is_known=True)
        if self.way is Way.BAD_TOKEN:
            return model.Silent(model.ErrorClass.AUTH, '401')
        return None

    # --- what somebody else does --------------------------------------------------------------

    def changed_by_hand(self):
        (stack,) = self.stacks.values()
        stack.action, stack.status, stack.revision = 'UPDATE', 'COMPLETE', ''
        stack.changed = 'by hand'

    def texts(self):
        return [s.text for s in self.stacks.values()]


class Killed(BaseException):
    """The engine died."""


class FakeStore:
    """A record that outlives the engine, which may die at any write."""

    def __init__(self):
        self.record = None
        self.kept = {}
        self.writes_left = None

    def read(self):
        return self.record

    def write(self, found):
        # What can be stored is what can be read again.
        found = model.Record.from_dict(found.to_dict())
        if found == self.record:
            return
        self._count()
        self.record = found

    def outputs(self, region):
        return self.kept.get(region)

    def write_outputs(self, region, outputs):
        assert isinstance(outputs, record.Outputs)
        self.kept[region] = outputs

    def _count(self):
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left < 0:
                raise Killed


class World:
    """Regions, the record, and what the template wants."""

    def __init__(self, *names, **rules):
        self.regions = {n: FakeRegion(n) for n in names}
        self.store = FakeStore()
        self.wanted = {n: content() for n in names}
        self.rules = model.Rules(patience=0.0, **rules)
        self.rollout = None
        self.adopts = {}
        self.events = []

    def want(self, text, *names):
        self.wanted = {n: content(text) for n in names or self.regions}

    def _contents(self):
        return {n: c() if callable(c) else c for n, c in self.wanted.items()}

    def work(self, sleep=None, **more):
        wishes = apply.Wishes(
            contents=self._contents,
            rollout=self.rollout or model.Rollout((tuple(self.wanted),)),
            rules=self.rules,
            base_name='stack',
            is_single=False,
            owner='A',
            adopts=self.adopts,
            sleep=sleep,
        )
        return apply.Work(
            self.store,
            wishes,
            lambda region, place: self.regions[region],
            lambda text, is_failure: self.events.append(text),
            **more,
        )

    def act(self, steps=40, **more):
        """One action to its end. :returns: what failed."""
        work = self.work(**more)
        for _ in range(steps):
            if work.step():
                return work.failures()
        raise AssertionError(f'no end after {steps} steps: {self.store.record}')

    def part(self, region):
        return self.store.record.part(region)

    def forget_writes(self):
        for region in self.regions.values():
            region.writes.clear()
