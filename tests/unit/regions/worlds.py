# SPDX-License-Identifier: Apache-2.0
"""Small clouds of several regions that can be cut, for tests without any cloud."""

import dataclasses
import enum

from heat_ha import serialization
from heat_ha.regions import interfaces, model, reconciler, record, snapshot_action
from heat_ha.regions.rules import answers, revision, spec, steps, tags

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
    # Whether the engine that works on it has died, so that nothing moves any more.
    is_left: bool = False
    snapshots: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class FakeSnapshot:
    snapshot_id: str
    text: str
    revision: str
    action: str = 'CREATE'
    status: str = 'IN_PROGRESS'


class FakeRegion:
    """A region's Heat that obeys its rules: names are unique, and an end takes a look or two."""

    def __init__(self, name):
        self.name = name
        self.way = Way.OPEN
        self.stacks = {}
        self.writes = []
        self.fails = False
        # Whether the region's engine dies with each request that it takes.
        self.dies = False
        self.unfinished = ()
        self.count = 0

    # --- its Heat ---------------------------------------------------------------------------

    def look(self, part, with_outputs):
        silent = self._silent()
        if silent is not None:
            return silent
        if getattr(part, 'snapshot', ''):
            return self._snapshot(part)
        adopts = getattr(part, 'adopts', '')
        for stack in self.stacks.values():
            is_it = stack.stack_id == part.stack_id if part.stack_id else stack.mark == part.mark
            if stack.action == 'DELETE' and stack.status == 'COMPLETE' and not part.stack_id:
                # Heat shows it by its id only.
                continue
            if is_it or (adopts and adopts in (stack.name, stack.stack_id)):
                return self._shown(stack, with_outputs)
        return answers.Absent()

    def _snapshot(self, one):
        stack = self.stacks.get(one.stack_id)
        found = stack and stack.snapshots.get(one.snapshot)
        if not found:
            return answers.Absent()
        if found.status == 'IN_PROGRESS':
            if found.action == 'DELETE':
                del stack.snapshots[one.snapshot]
                return answers.Absent()
            found.status = 'FAILED' if self.fails else 'COMPLETE'
            stack.status = found.status
        return answers.Present(
            one.stack_id, one.name, found.action, found.status, snapshot_id=found.snapshot_id
        )

    def _shown(self, stack, with_outputs):
        if stack.status == 'IN_PROGRESS' and not stack.is_left:
            stack.looks_left -= 1
            if stack.looks_left < 0:
                if stack.action == 'DELETE':
                    del self.stacks[stack.stack_id]
                    return answers.Absent()
                stack.status = 'FAILED' if self.fails else 'COMPLETE'
        return answers.Present(
            stack.stack_id, stack.name, stack.action, stack.status, 'boom' if self.fails else '',
            stack.changed, stack.mark, stack.revision,
            {'text': stack.text} if with_outputs else None,
        )  # fmt: skip

    def send(self, request, part, body):
        if self.way in (Way.CUT, Way.BAD_TOKEN):
            return (
                answers.Reply(answers.Answer.NOT_SENT, 'cut')
                if self.way is Way.CUT
                else answers.Reply(answers.Answer.REFUSED, '401', model.ErrorClass.AUTH)
            )
        if self.way is Way.LOSES_REQUESTS:
            return answers.Reply(answers.Answer.UNKNOWN, 'no answer')
        self.writes.append(request)
        reply = self._carried_out(request, part, body)
        if self.way is Way.EATS_REPLIES:
            return answers.Reply(answers.Answer.UNKNOWN, 'no answer')
        return reply

    def _carried_out(self, request, part, body):
        self.count += 1
        if request is steps.Request.CREATE:
            there = [s for s in self.stacks.values() if s.action != 'DELETE']
            if any(s.name == part.name for s in there):
                return answers.Reply(answers.Answer.TAKEN, 'exists')
            assert all(s.mark != part.mark for s in there), 'made twice'
            made = FakeStack(f'id-{self.name}-{self.count}', part.name, part.mark, '')
            self.stacks[made.stack_id] = made
        elif part.stack_id not in self.stacks:
            return answers.Reply(answers.Answer.GONE, 'no such stack')
        else:
            made = self.stacks[part.stack_id]
        if isinstance(part, model.Tombstone) and part.snapshot:
            found = made.snapshots[part.snapshot]
            assert found.snapshot_id == part.snapshot_id and found.status != 'IN_PROGRESS'
            found.action, found.status = 'DELETE', 'IN_PROGRESS'
            return answers.Reply(answers.Answer.ACCEPTED)
        if request is steps.Request.SNAPSHOT:
            assert body['name'] not in made.snapshots, 'taken twice'
            made.snapshots[body['name']] = FakeSnapshot(
                f'snap-{self.name}-{self.count}', made.text, made.revision
            )
        if request is steps.Request.RESTORE:
            found = [s for s in made.snapshots.values() if s.snapshot_id == part.restore]
            if not found:
                return answers.Reply(answers.Answer.GONE, 'no such snapshot')
            # The tags are lost by that.
            made.text, made.mark, made.revision = found[0].text, '', ''
            made.changed = str(self.count)
        if request is steps.Request.TAG:
            assert made.action == 'RESTORE'
            self._take_tags(made, body)
            made.action, made.status, made.looks_left = 'UPDATE', 'IN_PROGRESS', 1
            return answers.Reply(answers.Answer.ACCEPTED)
        if request is steps.Request.CANCEL:
            made.status = 'FAILED'
            return answers.Reply(answers.Answer.ACCEPTED)
        assert made.action != 'SUSPEND' or request is not steps.Request.UPDATE, 'Heat refuses it'
        is_repeat = request is steps.Request.REPEAT
        made.action = steps.Request.UPDATE.name if is_repeat else request.name
        made.status, made.looks_left, made.is_left = 'IN_PROGRESS', 1, self.dies
        if request in (steps.Request.CREATE, steps.Request.UPDATE, steps.Request.REPEAT):
            self._take_tags(made, body)
            made.text = body['parameters'].get('text', '')
        return answers.Reply(answers.Answer.ACCEPTED, stack_id=made.stack_id)

    def _take_tags(self, made, body):
        made.changed = str(self.count)
        tag = next(t for t in body['tags'] if t.startswith(tags.REVISION))
        made.mark = next(t for t in body['tags'] if t.startswith(tags.MARK))[len(tags.MARK) :]
        made.revision = tag.removeprefix(tags.REVISION)

    def cause(self, part):
        return 'thing: boom' if self.fails else ''

    def recent_events(self, part):
        return ''

    def fingerprint(self, part):
        if self._silent() is not None:
            return None
        stack = self.stacks[part.stack_id]
        return answers.Fingerprint(f'{stack.changed} {stack.looks_left}', self.unfinished)

    def is_equal(self, part, body):
        return self.stacks[part.stack_id].text == body['parameters'].get('text', '')

    def _silent(self):
        if self.way is Way.CUT:
            return answers.Silent(model.ErrorClass.UNREACHABLE, 'cut', is_known=True)
        if self.way is Way.BAD_TOKEN:
            return answers.Silent(model.ErrorClass.AUTH, '401')
        return None

    # --- what somebody else does --------------------------------------------------------------

    def changed_by_hand(self):
        (stack,) = self.stacks.values()
        stack.action, stack.status, stack.revision = 'UPDATE', 'COMPLETE', ''
        stack.changed = 'by hand'

    def deleted_by_hand(self):
        for stack in self.stacks.values():
            stack.action, stack.status = 'DELETE', 'COMPLETE'

    def texts(self):
        return [s.text for s in self.stacks.values()]


class Killed(BaseException):
    """The engine died."""


class FakeStore:
    """A record that outlives the engine, which may die at any write."""

    def __init__(self):
        self.record = None
        self.known_outputs = {}
        self.parent_snapshot = None
        self.writes_left = None

    def read(self):
        return self.record

    def write(self, found):
        # What can be stored is what can be read again.
        found = serialization.decode(model.Record, serialization.encode(found), 'it')
        if found == self.record:
            return
        self._count()
        self.record = found

    def outputs(self, region):
        return self.known_outputs.get(region)

    def write_outputs(self, region, outputs):
        assert isinstance(outputs, record.Outputs)
        self.known_outputs[region] = outputs

    def snapshot(self):
        return self.parent_snapshot

    def write_snapshot(self, found):
        found = serialization.decode(model.Snapshot, serialization.encode(found), 'it')
        if found != self.parent_snapshot:
            self._count()
            self.parent_snapshot = found

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
        self.rules = spec.Rules(patience=0.0, **rules)
        self.rollout = None
        self.adopts = {}
        self.events = []

    def want(self, text, *names):
        self.wanted = {n: content(text) for n in names or self.regions}

    def _contents(self):
        return {n: c() if callable(c) else c for n, c in self.wanted.items()}

    def work(self, suspend_wanted=None, restore=None, only_deletes=False, **more):
        desired = interfaces.DesiredState(
            contents=self._contents,
            rollout=self.rollout or spec.Rollout((tuple(self.wanted),)),
            rules=self.rules,
            base_name='stack',
            is_single=False,
            owner='A',
            adopts=self.adopts,
            suspend_wanted=suspend_wanted,
            restore=restore,
            only_deletes=only_deletes,
        )
        return reconciler.Reconciler(self.store, desired, self._region_heat, self._emit, **more)

    def _region_heat(self, region, place):
        return self.regions[region]

    def _emit(self, text, is_failure):
        self.events.append(text)

    def snapshot_action(self):
        return snapshot_action.SnapshotAction(
            self.store, self._region_heat, self._emit, 0.0, lambda: self.work(only_deletes=True)
        )

    def snapshot(self, steps=40):
        """Take a snapshot. :returns: what failed, and what was taken."""
        work = self.snapshot_action()
        for _ in range(steps):
            if work.step():
                return work.failures(), self.store.parent_snapshot
        raise AssertionError(f'no end after {steps} steps: {self.store.parent_snapshot}')

    def snapshots(self):
        """How many snapshots each region holds."""
        return {
            name: sum(len(s.snapshots) for s in region.stacks.values())
            for name, region in self.regions.items()
        }

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
