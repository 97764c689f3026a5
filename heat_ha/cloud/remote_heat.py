# SPDX-License-Identifier: Apache-2.0
"""Another region's Heat: bounded calls, errors told apart, answers as values.

Each call ends within its limits however the other side behaves: refuses, swallows packets,
accepts and says nothing, or sends a byte now and then.
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests
import urllib3.exceptions
from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import plugin as keystone_plugin
from keystoneauth1.access import service_catalog

from heat_ha import exceptions
from heat_ha.cloud import circuit
from heat_ha.regions import apply, model, revision
from heat_ha.regions.model import Answer, ErrorClass

_FAILURES = (keystone_exceptions.ClientException, requests.RequestException)

# A stack with all of its outputs; what is longer is no answer of Heat's.
MAX_BYTES = 16 * 1024 * 1024

OWN_HANDS = 'update the parent stack as its owner, whose own token can do it'

# Answers to a login that say nothing of the credential: too slow, too often.
_TRY_LATER = (408, 429)

_ACTIONS = {
    model.Request.SUSPEND: 'suspend',
    model.Request.RESUME: 'resume',
    # What is done there so far stays: what is wanted there instead comes with the next request.
    model.Request.CANCEL: 'cancel_without_rollback',
}

# How deep the cause of a failure is looked for.
DEPTH = 5

# How many of a stack's newest events are looked through, and how many resources of them shown.
EVENTS, SHOWN = 60, 8


@dataclasses.dataclass(frozen=True)
class Limits:
    """Seconds: to connect, until a look or a write is answered in whole; see ``heat_ha.conf``."""

    connect: float
    look: float
    write: float
    patience: float
    pause: float


@dataclasses.dataclass(frozen=True)
class Access:
    """A way into a region: a keystoneauth session that logs in, and what to look for.

    ``verify`` is how the region's certificate is checked. ``renew`` is called when the login was
    not accepted, and says whether there is another one to try.
    """

    session: Any
    region: str | None
    interface: str
    verify: bool | str = True
    renew: Callable[[], bool] = lambda: False


class BadCredential(exceptions.HaError):
    """What is to log in to a region is not to be understood."""


class _Silent(Exception):
    """No answer that says anything of the stack."""

    def __init__(self, error: ErrorClass, reason: str, *, was_sent: bool, known: bool = False):
        self.error = error
        self.reason = reason[:300]
        self.was_sent = was_sent
        self.is_known = known
        super().__init__(reason)


class _NotAccepted(_Silent):
    """The login has ended or was revoked; nothing was carried out with it."""

    def __init__(self, access: Access, reason: str) -> None:
        self.is_renewed = access.renew()
        super().__init__(ErrorClass.AUTH, reason, was_sent=False)


@dataclasses.dataclass(frozen=True)
class _Answer:
    status: int
    body: Mapping[str, Any]

    @property
    def error(self) -> str:
        found = self.body.get('error')
        return str(found.get('type', '')) if isinstance(found, Mapping) else ''

    @property
    def message(self) -> str:
        found = self.body.get('error')
        text = found.get('message') if isinstance(found, Mapping) else None
        return str(text or f'HTTP {self.status}')[:500]


class RemoteHeat:
    """One region's Heat as the owner of the parent stack may use it.

    :param access: called at each request; logging in may fail as the request may.
    :param is_asked_for: a person asks, so a region that was silent is tried at once.
    """

    def __init__(
        self, name: str, access: Callable[[], Access], limits: Limits, *, is_asked_for: bool = False
    ) -> None:
        self._name = name
        self._access = access
        self._limits = limits
        self._is_asked_for = is_asked_for

    # --- looks ------------------------------------------------------------------------------

    def look(
        self, part: model.Part | model.Tombstone | model.Shot, with_outputs: bool
    ) -> model.Seen:
        """Look at one stack, by its id or else by its mark, or at a snapshot by its name."""
        try:
            if isinstance(part, model.Shot) or (
                isinstance(part, model.Tombstone) and part.snapshot
            ):
                return self._snapshot(part)
            if part.stack_id:
                return self._by_path(f'/stacks/{part.name}/{part.stack_id}', with_outputs)
            if isinstance(part, model.Part) and part.adopts and not part.may_exist:
                return self._adopted(part.adopts, with_outputs)
            return self._by_mark(part.mark)
        except _Silent as exc:
            return model.Silent(exc.error, exc.reason, exc.is_known)

    def _by_path(self, path: str, with_outputs: bool) -> model.Seen:
        answer = self._call('GET', f'{path}?resolve_outputs={with_outputs}')
        if answer.status == 404:
            return model.Absent()
        return _present(self._stack(answer), with_outputs)

    def _adopted(self, name_or_id: str, with_outputs: bool) -> model.Seen:
        # By a name alone Heat answers with a redirect to the path with the id.
        return self._by_path(f'/stacks/{name_or_id}', with_outputs)

    def _by_mark(self, mark: str) -> model.Seen:
        answer = self._call('GET', f'/stacks?tags={apply.MARK}{mark}&limit=2')
        found = answer.body.get('stacks')
        if answer.status != 200 or not isinstance(found, list):
            raise _not_heat(answer)
        if not found:
            return model.Absent()
        return _present(found[0], False)

    def _snapshot(self, one: model.Tombstone | model.Shot) -> model.Seen:
        answer = self._call('GET', f'/stacks/{one.name}/{one.stack_id}/snapshots')
        if answer.status == 404:
            return model.Absent()
        found = answer.body.get('snapshots')
        if answer.status != 200 or not isinstance(found, list):
            raise _not_heat(answer)
        shot = next((s for s in found if s.get('name') == one.snapshot), None)
        if shot is None:
            return model.Absent()
        return model.Present(
            stack_id=one.stack_id,
            name=one.name,
            # Older releases of Heat do not say which.
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
        except _Silent:
            return ''
        found = answer.body.get('resources')
        failed = [
            r for r in found if str(r.get('resource_status', '')).endswith('_FAILED')
        ] if isinstance(found, list) else []  # fmt: skip
        if not failed:
            return ''
        parents = {r.get('parent_resource') for r in failed}
        inner = next((r for r in failed if r['resource_name'] not in parents), failed[0])
        chain = [p for p in (inner.get('parent_resource'), inner['resource_name']) if p]
        return f'{".".join(chain)}: {inner.get("resource_status_reason", "")}'

    def doings(self, part: model.Part) -> str:
        """The ends of the resources' actions since the stack's last action began, in short."""
        path = f'/stacks/{part.name}/{part.stack_id}/events?sort_dir=desc&limit={EVENTS}'
        try:
            found = self._call('GET', path).body.get('events')
        except _Silent:
            return ''
        told = []
        for event in found if isinstance(found, list) else []:
            status = str(event.get('resource_status', ''))
            is_of_stack = event.get('physical_resource_id') == part.stack_id
            if is_of_stack and status.endswith('_IN_PROGRESS'):
                break
            if not is_of_stack and status.endswith(('_COMPLETE', '_FAILED')):
                told.append(f'{event.get("resource_name")} {status}')
        more = f' and {len(told) - SHOWN} more' if len(told) > SHOWN else ''
        return ', '.join(reversed(told[:SHOWN])) + more

    def is_equal(self, part: model.Part, body: Mapping[str, Any]) -> bool:
        """Whether template and parameters of a stack are those of ``body``.

        Where that cannot be told, as of hidden parameters, they are not.
        """
        path = f'/stacks/{part.name}/{part.stack_id}'
        try:
            template = self._call('GET', f'{path}/template').body
            files = self._call('GET', f'{path}/files').body
            stack = self._call('GET', f'{path}?resolve_outputs=False').body.get('stack') or {}
        except _Silent:
            return False
        there = stack.get('parameters')
        return (
            revision.of(template) == revision.of(body['template'])
            and all(files.get(name) == text for name, text in body['files'].items())
            and isinstance(there, Mapping)
            and revision.are_parameters(there, body)
        )

    def _stack(self, answer: _Answer) -> Mapping[str, Any]:
        stack = answer.body.get('stack')
        if answer.status != 200 or not isinstance(stack, Mapping):
            raise _not_heat(answer)
        return stack

    # --- writes -----------------------------------------------------------------------------

    def send(
        self,
        request: model.Request,
        part: model.Part | model.Tombstone | model.Shot,
        body: Mapping[str, Any],
    ) -> model.Reply:
        """Send a request; tells apart what did not arrive, what may have, and what was refused."""
        path = f'/stacks/{part.name}/{part.stack_id}'
        wire = {**body, 'tags': ','.join(body.get('tags', ()))}
        try:
            if request is model.Request.CREATE:
                answer = self._call('POST', '/stacks', {**wire, 'stack_name': part.name})
            elif request is model.Request.UPDATE:
                answer = self._call('PUT', path, wire)
            elif request is model.Request.TAG:
                answer = self._call('PATCH', path, wire)
            elif request is model.Request.DELETE:
                answer = self._call('DELETE', path + _of_snapshot(part))
            elif request is model.Request.SNAPSHOT:
                answer = self._call('POST', f'{path}/snapshots', body)
            elif request is model.Request.RESTORE and isinstance(part, model.Part):
                answer = self._call('POST', f'{path}/snapshots/{part.restore}/restore')
            else:
                answer = self._call('POST', f'{path}/actions', {_ACTIONS[request]: None})
        except _Silent as exc:
            if exc.error is not ErrorClass.UNREACHABLE:
                return model.Reply(Answer.REFUSED, exc.reason, exc.error)
            return model.Reply(Answer.UNKNOWN if exc.was_sent else Answer.NOT_SENT, exc.reason)
        return _reply(answer)

    # --- one call ---------------------------------------------------------------------------

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> _Answer:
        limits = self._limits
        verdict = circuit.CIRCUIT.enter(
            self._name, limits.patience, limits.pause, self._is_asked_for
        )
        if not verdict.may_call:
            raise _Silent(
                ErrorClass.UNREACHABLE, verdict.reason, was_sent=False, known=verdict.is_known
            )
        # A person's wish opens the circuit for one call.
        self._is_asked_for = False
        began = time.monotonic()
        failure = 'the call did not end in order'
        try:
            answer = self._ask(method, path, body)
            failure = ''
            return answer
        except _Silent as exc:
            failure = exc.reason if exc.error is ErrorClass.UNREACHABLE else ''
            raise
        finally:
            # A write may rightly take longer than patience lasts, so its time is no silence.
            since = began if method == 'GET' else time.monotonic()
            circuit.CIRCUIT.leave(self._name, since, failure)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> _Answer:
        try:
            return self._ask_once(method, path, body)
        except _NotAccepted as exc:
            if not exc.is_renewed:
                raise
        return self._ask_once(method, path, body)

    def _ask_once(self, method: str, path: str, body: Mapping[str, Any] | None) -> _Answer:
        access, base = self._enter()
        whole = self._limits.look if method == 'GET' else self._limits.write
        deadline = time.monotonic() + whole
        try:
            response = access.session.request(
                base + path,
                method,
                json=body,
                headers={'Accept': 'application/json'},
                raise_exc=False,
                connect_retries=0,
                redirect=1 if method == 'GET' else 0,
                # The answer is read below, against the deadline.
                stream=True,
                log=False,
                verify=access.verify,
                timeout=(self._limits.connect, whole),
            )
            text = b''.join(_until(deadline, response))
        except keystone_exceptions.Unauthorized as exc:
            raise _NotAccepted(access, _short(exc)) from exc
        except (*_FAILURES, urllib3.exceptions.HTTPError) as exc:
            raise _Silent(
                ErrorClass.UNREACHABLE, _short(exc), was_sent=not _never_connected(exc)
            ) from exc
        answer = _Answer(response.status_code, _parsed(text))
        if answer.status == 401:
            raise _NotAccepted(access, f'the credentials are not accepted: {answer.message}')
        if answer.status >= 500 and answer.error in ('Forbidden', 'Unauthorized'):
            # Its Keystone refused it what it needs for a stack: a trust from this token.
            reason = f"the region's Heat was refused by Keystone ({answer.message}); {OWN_HANDS}"
            raise _Silent(ErrorClass.AUTH, reason, was_sent=False)
        is_heats = answer.status < 300 or bool(answer.error)
        if answer.status >= 500 or answer.status == 429 or not is_heats:
            told = answer.error or 'not as Heat does'
            raise _Silent(
                ErrorClass.UNREACHABLE, f'answered {answer.status}, {told}', was_sent=True
            )
        return answer

    def _enter(self) -> tuple[Access, str]:
        """Log in and find the service; nothing is sent to the region yet."""
        access = None
        try:
            access = self._access()
            found = _from_catalogue_of_token(access) or _from_catalogue_of_now(access)
        except BadCredential as exc:
            raise _Silent(ErrorClass.INVALID, str(exc), was_sent=False) from exc
        except keystone_exceptions.HttpError as exc:
            # A credential that was revoked is "not found" to some Keystones.
            if exc.http_status in _TRY_LATER or exc.http_status >= 500:
                raise _not_let_in(exc) from exc
            if access is not None and exc.http_status == 401:
                raise _NotAccepted(access, _short(exc)) from exc
            raise _Silent(ErrorClass.AUTH, _short(exc), was_sent=False) from exc
        except _FAILURES as exc:
            raise _not_let_in(exc) from exc
        if not found:
            raise _Silent(
                ErrorClass.INVALID,
                f'the catalogue has no orchestration service in region {access.region}; '
                'correct region_name',
                was_sent=False,
            )
        return access, str(found).rstrip('/')


def _not_let_in(exc: Exception) -> _Silent:
    reason = f'its Keystone did not let us in: {_short(exc)}'
    return _Silent(ErrorClass.UNREACHABLE, reason, was_sent=False)


def _from_catalogue_of_token(access: Access) -> str | None:
    with contextlib.suppress(keystone_exceptions.CatalogException):
        found: str | None = access.session.get_endpoint(
            service_type='orchestration', region_name=access.region, interface=access.interface
        )
        return found
    return None


def _from_catalogue_of_now(access: Access) -> str | None:
    """Heat's address in the catalogue as Keystone has it now.

    A token that Heat's API was sent comes with the catalogue of when it was first looked at there
    (keystonemiddleware keeps it for 300 s): a region that is newer is missing in it.
    """
    base = access.session.get_endpoint(interface=keystone_plugin.AUTH_INTERFACE)
    if not base:
        return None
    answer = access.session.get(f'{base.rstrip("/").removesuffix("/v3")}/v3/auth/catalog')
    catalogue = service_catalog.ServiceCatalogV3(answer.json().get('catalog') or [])
    with contextlib.suppress(keystone_exceptions.CatalogException):
        found: str | None = catalogue.url_for(
            service_type='orchestration', region_name=access.region, interface=access.interface
        )
        return found
    return None


def _of_snapshot(part: model.Part | model.Tombstone | model.Shot) -> str:
    if isinstance(part, model.Tombstone) and part.snapshot:
        return f'/snapshots/{part.snapshot_id}'
    return ''


# --- reading answers ------------------------------------------------------------------------


def _present(stack: Mapping[str, Any], with_outputs: bool) -> model.Present:
    tags = [t for t in stack.get('tags') or () if isinstance(t, str)]
    action, _, status = str(stack.get('stack_status', '')).partition('_')
    outputs = None
    if with_outputs:
        outputs = {str(o['output_key']): o.get('output_value') for o in stack.get('outputs') or ()}
    return model.Present(
        stack_id=str(stack['id']),
        name=str(stack['stack_name']),
        action=action,
        status=status,
        reason=str(stack.get('stack_status_reason') or '')[:500],
        changed=str(stack.get('updated_time') or ''),
        mark=_tag(tags, apply.MARK),
        revision=_tag(tags, apply.REVISION),
        outputs=outputs,
    )


def _tag(tags: list[str], prefix: str) -> str:
    return next((t.removeprefix(prefix) for t in tags if t.startswith(prefix)), '')


def _reply(answer: _Answer) -> model.Reply:
    if answer.status < 300:
        stack = answer.body.get('stack')
        found = str(stack.get('id', '')) if isinstance(stack, Mapping) else ''
        return model.Reply(Answer.ACCEPTED, stack_id=found)
    if answer.status == 404:
        return model.Reply(Answer.GONE, answer.message)
    if answer.status == 409 and answer.error == 'ActionInProgress':
        return model.Reply(Answer.BUSY, answer.message)
    if answer.status == 409 and answer.error == 'StackExists':
        return model.Reply(Answer.TAKEN, answer.message)
    kinds = {400: ErrorClass.INVALID, 409: ErrorClass.CONFLICT}
    error = kinds.get(answer.status, ErrorClass.REFUSED)
    return model.Reply(Answer.REFUSED, answer.message, error)


def _not_heat(answer: _Answer) -> _Silent:
    return _Silent(
        ErrorClass.REFUSED if answer.error else ErrorClass.UNREACHABLE,
        f'{answer.status}: {answer.message}',
        was_sent=True,
    )


def _parsed(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _until(deadline: float, response: Any) -> Iterator[bytes]:
    """The answer's body as it comes, but not longer than until the deadline."""
    size = 0
    # read1 gives what has come; iter_content would wait until a whole piece is full.
    while piece := response.raw.read1(64 * 1024, decode_content=True):
        size += len(piece)
        if time.monotonic() > deadline or size > MAX_BYTES:
            response.close()
            raise requests.exceptions.ReadTimeout('the answer did not end in time')
        yield piece


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """The error and those below it: keystoneauth's, requests', urllib3's, the system's."""
    waiting: list[Any] = [exc]
    for _ in range(16):
        if not waiting:
            return
        found = waiting.pop(0)
        if isinstance(found, BaseException):
            yield found
            inner = found.args[0] if found.args else None
            waiting += [found.__cause__ or found.__context__, inner, getattr(found, 'reason', None)]


def _never_connected(exc: BaseException) -> bool:
    """Whether the request surely did not reach the other side."""
    never = (
        requests.exceptions.ConnectTimeout,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
    )
    return any(isinstance(cause, never) for cause in _causes(exc))


def _short(exc: BaseException) -> str:
    """Why there was no answer, in the words of whoever looks at the network."""
    causes = list(_causes(exc))
    words = (
        (ConnectionRefusedError, 'the connection is refused'),
        (urllib3.exceptions.ConnectTimeoutError, 'no connection is made in time'),
        (TimeoutError, 'connected, but there is no answer in time'),
        (requests.exceptions.ReadTimeout, 'connected, but there is no answer in time'),
        (requests.exceptions.ConnectionError, 'the connection broke before the answer'),
    )
    for kind, told in words:
        if any(isinstance(cause, kind) for cause in causes):
            return told
    return f'{type(exc).__name__}: {exc}'[:200]
