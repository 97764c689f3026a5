# SPDX-License-Identifier: Apache-2.0
"""Another region's Heat: the requests to it, and its answers as values."""

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from heat_ha.regions import model
from heat_ha.regions.adapters import transport
from heat_ha.regions.model import ErrorClass
from heat_ha.regions.rules import answers, revision, steps, tags
from heat_ha.regions.rules.answers import Answer

_ACTIONS = {
    steps.Request.SUSPEND: 'suspend',
    steps.Request.RESUME: 'resume',
    # What is done there so far stays: the next request brings what is wanted instead.
    steps.Request.CANCEL: 'cancel_without_rollback',
}

# How deep the cause of a failure is looked for.
DEPTH = 5

# What changes in a resource when anything happens to it.
_MOVING = (
    'parent_resource', 'resource_name', 'physical_resource_id', 'resource_status', 'updated_time',
)  # fmt: skip

# How many of a stack's newest events are looked through, and how many resources of them shown.
EVENTS, SHOWN = 60, 8


class RemoteHeat:
    """One region's Heat as the owner of the parent stack may use it.

    :param access: called at each request; logging in may fail as the request may.
    :param is_asked_for: a person asks, so a region that was silent is tried at once.
    """

    def __init__(
        self,
        name: str,
        access: Callable[[], transport.Access],
        limits: transport.Limits,
        *,
        is_asked_for: bool = False,
    ) -> None:
        caller = transport.Transport(name, access, limits, is_asked_for=is_asked_for)
        self._call = caller.call

    # --- looks ------------------------------------------------------------------------------

    def look(
        self, part: model.Part | model.Tombstone | model.PartSnapshot, with_outputs: bool
    ) -> answers.Observation:
        """Look at one stack, by its id or else by its mark, or at a snapshot by its name."""
        try:
            if isinstance(part, model.PartSnapshot) or (
                isinstance(part, model.Tombstone) and part.snapshot
            ):
                return self._snapshot(part)
            if part.stack_id:
                return self._by_path(f'/stacks/{part.name}/{part.stack_id}', with_outputs)
            if isinstance(part, model.Part) and part.adopts and not part.may_exist:
                return self._adopted(part.adopts, with_outputs)
            return self._by_mark(part.mark)
        except transport.Unreachable as exc:
            return answers.Silent(exc.error, exc.reason, exc.is_known)

    def _by_path(self, path: str, with_outputs: bool) -> answers.Observation:
        answer = self._call('GET', f'{path}?resolve_outputs={with_outputs}')
        if answer.status == 404:
            return answers.Absent()
        return _present(answer, answer.body.get('stack'), with_outputs)

    def _adopted(self, name_or_id: str, with_outputs: bool) -> answers.Observation:
        # By a name alone Heat answers with a redirect to the path with the id.
        return self._by_path(f'/stacks/{name_or_id}', with_outputs)

    def _by_mark(self, mark: str) -> answers.Observation:
        answer = self._call('GET', f'/stacks?tags={tags.MARK}{mark}&limit=2')
        found = _maps(answer, 'stacks')
        if not found:
            return answers.Absent()
        observed = _present(answer, found[0], False)
        if observed.mark != mark:
            # What answers there ignores the filter: this is somebody else's stack.
            raise transport.Unreachable(
                ErrorClass.UNREACHABLE,
                f'answered with stack {observed.name}, which has not the tag that was asked for; '
                'look at what stands between here and the region',
                was_sent=True,
            )
        return observed

    def _snapshot(self, one: model.Tombstone | model.PartSnapshot) -> answers.Observation:
        answer = self._call('GET', f'/stacks/{one.name}/{one.stack_id}/snapshots')
        if answer.status == 404:
            return answers.Absent()
        named = (s for s in _maps(answer, 'snapshots') if s.get('name') == one.snapshot)
        shot = next(named, None)
        if shot is None:
            return answers.Absent()
        if not shot.get('id'):
            # A request about it could not name the snapshot.
            raise _not_heat(answer)
        return answers.Present(
            stack_id=one.stack_id,
            name=one.name,
            # Older releases of Heat do not show the action.
            action=str(shot.get('action') or 'CREATE'),
            status=str(shot.get('status') or ''),
            reason=str(shot.get('status_reason') or '')[:500],
            snapshot_id=str(shot['id']),
        )

    def cause(self, part: model.Part) -> str:
        """The path and the reason of the innermost resource that failed."""
        path = f'/stacks/{part.name}/{part.stack_id}'
        try:
            answer = self._call('GET', f'{path}/resources?nested_depth={DEPTH}&status=FAILED')
            found = _maps(answer, 'resources')
        except transport.Unreachable:
            return ''
        failed = [r for r in found if str(r.get('resource_status', '')).endswith('_FAILED')]
        if not failed:
            return ''
        parents = {str(r.get('parent_resource')) for r in failed}
        inner = next((r for r in failed if str(r.get('resource_name')) not in parents), failed[0])
        return f'{_path_of(inner)}: {inner.get("resource_status_reason", "")}'

    def recent_events(self, part: model.Part) -> str:
        """The ends of the resources' actions since the stack's last action began, in short."""
        path = f'/stacks/{part.name}/{part.stack_id}/events?sort_dir=desc&limit={EVENTS}'
        try:
            events = _maps(self._call('GET', path), 'events')
        except transport.Unreachable:
            return ''
        ended = []
        for event in events:
            status = str(event.get('resource_status', ''))
            is_of_stack = event.get('physical_resource_id') == part.stack_id
            if is_of_stack and status.endswith('_IN_PROGRESS'):
                break
            if not is_of_stack and status.endswith(('_COMPLETE', '_FAILED')):
                ended.append(f'{event.get("resource_name")} {status}')
        more = f' and {len(ended) - SHOWN} more' if len(ended) > SHOWN else ''
        return ', '.join(reversed(ended[:SHOWN])) + more

    def fingerprint(self, part: model.Part) -> answers.Fingerprint | None:
        """Whether anything moves in the stack: its newest event, and each of its resources."""
        path = f'/stacks/{part.name}/{part.stack_id}'
        newest = f'{path}/events?nested_depth={DEPTH}&sort_dir=desc&limit=1'
        try:
            events = _maps(self._call('GET', newest), 'events')
            found = _maps(self._call('GET', f'{path}/resources?nested_depth={DEPTH}'), 'resources')
        except transport.Unreachable:
            return None
        shown = sorted([str(r.get(key)) for key in _MOVING] for r in found)
        digest = revision.of([[str(e.get('id')) for e in events], shown])[:16]
        unfinished = (_unfinished(r) for r in found)
        return answers.Fingerprint(digest, tuple(u for u in unfinished if u.status != 'COMPLETE'))

    def is_equal(self, part: model.Part, body: Mapping[str, Any]) -> bool:
        """Whether template and parameters of a stack are those of ``body``.

        Where they cannot be compared, as with hidden parameters, the answer is False.
        """
        path = f'/stacks/{part.name}/{part.stack_id}'
        try:
            template = self._call('GET', f'{path}/template').body
            files = self._call('GET', f'{path}/files').body
            stack = self._call('GET', f'{path}?resolve_outputs=False').body.get('stack')
        except transport.Unreachable:
            return False
        there = stack.get('parameters') if isinstance(stack, Mapping) else None
        return (
            revision.of(template) == revision.of(body['template'])
            and all(files.get(name) == text for name, text in body['files'].items())
            and isinstance(there, Mapping)
            and revision.are_parameters(there, body)
        )

    # --- writes -----------------------------------------------------------------------------

    def send(
        self,
        request: steps.Request,
        part: model.Part | model.Tombstone | model.PartSnapshot,
        body: Mapping[str, Any],
    ) -> answers.Reply:
        """Send a request. :returns: whether it was accepted or refused, or may not have arrived."""
        path = f'/stacks/{part.name}/{part.stack_id}'
        wire = {**body, 'tags': ','.join(body.get('tags', ()))}
        try:
            if request is steps.Request.CREATE:
                answer = self._call('POST', '/stacks', {**wire, 'stack_name': part.name})
            elif request in (steps.Request.UPDATE, steps.Request.REPEAT):
                answer = self._call('PUT', path, wire)
            elif request is steps.Request.TAG:
                answer = self._call('PATCH', path, wire)
            elif request is steps.Request.DELETE:
                answer = self._call('DELETE', path + _of_snapshot(part))
            elif request is steps.Request.SNAPSHOT:
                answer = self._call('POST', f'{path}/snapshots', body)
            elif request is steps.Request.RESTORE and isinstance(part, model.Part):
                answer = self._call('POST', f'{path}/snapshots/{part.restore}/restore')
            else:
                answer = self._call('POST', f'{path}/actions', {_ACTIONS[request]: None})
        except transport.Unreachable as exc:
            if exc.error is not ErrorClass.UNREACHABLE:
                return answers.Reply(Answer.REFUSED, exc.reason, exc.error)
            return answers.Reply(Answer.UNKNOWN if exc.was_sent else Answer.NOT_SENT, exc.reason)
        return _reply(answer)


def _of_snapshot(part: model.Part | model.Tombstone | model.PartSnapshot) -> str:
    if isinstance(part, model.Tombstone) and part.snapshot:
        return f'/snapshots/{part.snapshot_id}'
    return ''


# --- reading answers ------------------------------------------------------------------------


def _maps(answer: transport.Response, key: str) -> list[Mapping[str, Any]]:
    """What is listed under the key. :raises Unreachable: it is not as Heat lists it."""
    found = answer.body.get(key)
    if answer.status != 200 or not _are_maps(found):
        raise _not_heat(answer)
    return found


def _present(answer: transport.Response, stack: Any, with_outputs: bool) -> answers.Present:
    """The stack as it is shown. :raises Unreachable: it is not as Heat shows it."""
    if answer.status != 200 or not isinstance(stack, Mapping) or not stack.get('id'):
        raise _not_heat(answer)
    tagged, shown = stack.get('tags'), stack.get('outputs')
    carried = [t for t in tagged if isinstance(t, str)] if isinstance(tagged, list) else []
    action, _, status = str(stack.get('stack_status', '')).partition('_')
    outputs = None
    if with_outputs:
        listed = shown or []
        if not _are_maps(listed):
            # To read this as "no outputs" would replace the values that are known.
            raise _not_heat(answer)
        outputs = {str(o.get('output_key')): o.get('output_value') for o in listed}
    return answers.Present(
        stack_id=str(stack['id']),
        name=str(stack.get('stack_name')),
        action=action,
        status=status,
        reason=str(stack.get('stack_status_reason') or '')[:500],
        changed=str(stack.get('updated_time') or ''),
        mark=_tag(carried, tags.MARK),
        revision=_tag(carried, tags.REVISION),
        outputs=outputs,
    )


def _unfinished(found: Mapping[str, Any]) -> answers.Unfinished:
    action, _, status = str(found.get('resource_status', '')).partition('_')
    links = found.get('links')
    return answers.Unfinished(
        _path_of(found),
        str(found.get('resource_type', '')),
        action,
        status,
        _are_maps(links) and any(link.get('rel') == 'nested' for link in links),
    )


def _path_of(found: Mapping[str, Any]) -> str:
    chain = (found.get('parent_resource'), found.get('resource_name'))
    return '.'.join(str(p) for p in chain if p)


def _are_maps(found: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    """Whether it is a list as Heat sends them; a proxy may have sent something else."""
    return isinstance(found, list) and all(isinstance(one, Mapping) for one in found)


def _tag(carried: list[str], prefix: str) -> str:
    return next((t.removeprefix(prefix) for t in carried if t.startswith(prefix)), '')


def _reply(answer: transport.Response) -> answers.Reply:
    if answer.status < 300:
        stack = answer.body.get('stack')
        found = str(stack.get('id', '')) if isinstance(stack, Mapping) else ''
        return answers.Reply(Answer.ACCEPTED, stack_id=found)
    if answer.status == 404:
        return answers.Reply(Answer.GONE, answer.message)
    if answer.status == 409 and answer.error == 'ActionInProgress':
        return answers.Reply(Answer.BUSY, answer.message)
    if answer.status == 409 and answer.error == 'StackExists':
        return answers.Reply(Answer.TAKEN, answer.message)
    kinds = {400: ErrorClass.INVALID, 409: ErrorClass.CONFLICT}
    error = kinds.get(answer.status, ErrorClass.REFUSED)
    return answers.Reply(Answer.REFUSED, answer.message, error)


def _not_heat(answer: transport.Response) -> transport.Unreachable:
    return transport.Unreachable(
        ErrorClass.REFUSED if answer.error else ErrorClass.UNREACHABLE,
        f'{answer.status}: {answer.message}',
        was_sent=True,
    )
