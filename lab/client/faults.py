# SPDX-License-Identifier: Apache-2.0
"""A proxy that lets requests to Nova and Cinder fail, as overloaded or cut off services do.

It stands between one client, Heat, and the services, on ports of its own; everybody else talks to
the services directly. Which request fails, and how, follows from a seed and the number of the
request alone. ``rate`` may be changed while it runs.
"""

import asyncio
import collections
import contextlib
import dataclasses
import enum
import json
import random
import re
import threading
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

ADDRESS = '127.0.0.1'

# Seconds until the proxy gives a request up; longer than heat-ha's own limit.
PATIENCE = 90.0

# Seconds that a delayed request waits.
SHORTEST, LONGEST = 0.3, 4.0

# Heat asks again when the reply to one of these is lost, and never finds the first server or
# volume, with or without heat-ha: it keeps the id that the reply names and looks for no other.
_CREATES = re.compile(r'/(servers|volumes|attachments)/?$')

# What a failover calls. Heat reads the rest (flavors, images, limits) in dozens to validate the
# members at each update of a group and repeats nothing: hit at 20 %, no such update ever ends.
_HIT = re.compile(r'/(servers|volumes|attachments|os-services)(/|$)')

# These belong to one connection and not to what is sent over it; the last is computed again.
_OF_THE_CONNECTION = frozenset(
    {'connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'content-length'}
)


class Kind(enum.Enum):
    """How a request fails. The values of errors are the statuses."""

    INTERNAL_ERROR = 500
    UNAVAILABLE = 503
    CONFLICT = 409
    TOO_MANY = 429
    DELAY = 'delay'
    LOST_REPLY = 'lost_reply'


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens to one request."""

    kind: Kind
    seconds: float = 0.0


def choose(seed: int, number: int, rate: float, method: str, path: str) -> Fault | None:
    """What happens to the request of that number, None for nothing.

    Of the same seed the same numbers are hit at the same rate, in the same way. A lost reply to
    a request that creates something becomes one that is refused, and so does a conflict of a
    request that only reads.
    """
    bare = path.partition('?')[0]
    rng = random.Random(f'{seed}/{number}')
    is_hit = rng.random() < rate
    kind = rng.choice(list(Kind))
    seconds = rng.uniform(SHORTEST, LONGEST)
    if not is_hit or not _HIT.search(bare):
        return None
    if kind is Kind.LOST_REPLY and method == 'POST' and _CREATES.search(bare):
        kind = Kind.UNAVAILABLE
    if kind is Kind.CONFLICT and method in ('GET', 'HEAD'):
        kind = Kind.UNAVAILABLE
    return Fault(kind, seconds if kind is Kind.DELAY else 0.0)


class Proxy:
    """The proxy, in a thread of its own while the ``with`` lasts.

    :param targets: for each name the address of the service that it stands before.
    :ivar urls: for each name the address at which the proxy stands for the service.
    :ivar rate: how many of the requests fail, from 0 to 1.
    :ivar counts: how often each kind of fault was injected, by its name.
    :ivar passed: how many requests were answered by the service, unharmed.
    """

    def __init__(self, targets: Mapping[str, str], seed: int, rate: float = 0.0) -> None:
        self._targets = dict(targets)
        self._seed = seed
        self.rate = rate
        self.urls: dict[str, str] = {}
        self.counts: collections.Counter[str] = collections.Counter()
        self.passed = 0
        self._number = 0
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name='faults', daemon=True)

    def __enter__(self) -> 'Proxy':
        self._thread.start()
        if not self._is_up.wait(10):
            raise RuntimeError('the proxy did not start')
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @contextlib.contextmanager
    def calm(self) -> Any:
        """Let nothing fail during the body."""
        before, self.rate = self.rate, 0.0
        try:
            yield
        finally:
            self.rate = before

    def _serve(self) -> None:
        self._loop.run_until_complete(self._run())
        self._loop.close()

    async def _run(self) -> None:
        limit = aiohttp.ClientTimeout(total=PATIENCE)
        # The services' servers close each connection, and say so too late for a pool.
        pool = aiohttp.TCPConnector(force_close=True, limit=0)
        async with aiohttp.ClientSession(
            timeout=limit, connector=pool, auto_decompress=False
        ) as session:
            runners = []
            for name, target in self._targets.items():
                application = web.Application(client_max_size=64 * 2**20)
                application.router.add_route('*', '/{path:.*}', self._handler(session, target))
                runner = web.AppRunner(application, access_log=None, handler_cancellation=False)
                await runner.setup()
                site = web.TCPSite(runner, ADDRESS, 0)
                await site.start()
                port = runner.addresses[0][1]
                path = re.sub(r'^https?://[^/]+', '', target)
                self.urls[name] = f'http://{ADDRESS}:{port}{path}'
                runners.append(runner)
            self._is_up.set()
            await self._stop.wait()
            for runner in runners:
                await runner.cleanup()

    def _handler(self, session: aiohttp.ClientSession, target: str) -> Any:
        found = re.match(r'^https?://[^/]+', target)
        if found is None:
            raise ValueError(f'{target!r} is not the address of a service')
        origin = found[0]

        async def handle(request: web.Request) -> web.StreamResponse:
            self._number += 1
            fault = choose(self._seed, self._number, self.rate, request.method, request.raw_path)
            if fault is not None:
                self.counts[fault.kind.name.lower()] += 1
            body = await request.read()
            if fault is not None and isinstance(fault.kind.value, int):
                return _refusal(fault.kind.value)
            if fault is not None:
                await asyncio.sleep(fault.seconds)
            answer = await _pass_on(session, origin, request, body)
            if fault is not None and fault.kind is Kind.LOST_REPLY and request.transport:
                request.transport.abort()
            if fault is None:
                self.passed += 1
            return answer

        return handle


def _refusal(status: int) -> web.Response:
    text = json.dumps({'computeFault': {'code': status, 'message': 'injected by the proxy'}})
    more = {'Retry-After': '1'} if status == Kind.TOO_MANY.value else {}
    return web.Response(status=status, text=text, content_type='application/json', headers=more)


async def _pass_on(
    session: aiohttp.ClientSession, origin: str, request: web.Request, body: bytes
) -> web.Response:
    try:
        # With the Host of the proxy, so that links in the answer lead to the proxy again.
        async with session.request(
            request.method,
            origin + request.raw_path,
            headers=_carried(request.headers),
            data=body or None,
            allow_redirects=False,
        ) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), headers=_carried(answer.headers)
            )
    except (aiohttp.ClientError, TimeoutError) as exc:
        return web.Response(status=502, text=f'the service did not answer: {exc}')


def _carried(headers: Any) -> list[tuple[str, str]]:
    return [(k, v) for k, v in headers.items() if k.lower() not in _OF_THE_CONNECTION]
