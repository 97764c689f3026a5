# SPDX-License-Identifier: Apache-2.0
"""Serving the agent's HTTP address by waitress.

Waitress reads requests in one thread, whatever number of senders is slow at sending them, and hands
a request over only once it is whole. It has no TLS: a proxy in front of it has.
"""

import contextlib
import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import waitress
from waitress import channel, wasyncore
from waitress import server as waitress_server

from heat_ha import exceptions

# A report is small; Alertmanager groups some dozens of alerts in a body. The application refuses
# more than that. The server reads twice as much at most: it counts the frames of chunks as well.
MAX_BODY_BYTES = 256 * 1024
MAX_HEADER_BYTES = 16 * 1024
# So much of a body is kept in memory, and the rest in a temporary file.
MEMORY_BYTES = 32 * 1024
# Seconds within which a request must have arrived, and after which a silent connection is closed.
REQUEST_SECONDS = 10
IDLE_SECONDS = 10
# Connections at once; more wait in the kernel's queue. A process may often open 1024 files.
MAX_CONNECTIONS = 500
# Requests that are answered at once.
THREADS = 8
# Seconds for which requests that are being answered are waited for at the end.
STOP_SECONDS = 3.0

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Channel(channel.HTTPChannel):  # type: ignore[misc]
    """A connection whose sender may not take as long as it likes.

    Waitress itself closes only what is silent, and a byte now and then is not silent.
    """

    _began: float | None = None

    def received(self, data: bytes) -> bool:
        now = time.monotonic()
        taken: bool = super().received(data)
        if self.request is None:
            self._began = None
        elif self._began is None:
            self._began = now
        elif now - self._began > REQUEST_SECONDS:
            # The loop closes it at its next turn.
            self.will_close = True
        return taken


def places(listen: Sequence[str], port: int) -> list[str]:
    """Read the option ``listen``: addresses as waitress takes them.

    :param port: of those that name none.
    :raises exceptions.Refused: one of them is no address.
    """
    found = [_place(text.strip(), port) for text in listen if text.strip()]
    if not found:
        raise exceptions.Refused('listen is empty', 'Name an address, such as 127.0.0.1')
    return found


def _place(text: str, port: int) -> str:
    host, mark, own = text.rpartition(':')
    bare = text[1:-1] if text.startswith('[') and text.endswith(']') else text
    if _is_ipv6(bare):
        return f'[{bare}]:{port}'
    if not mark:
        host, own = text, str(port)
    is_port = own.isascii() and own.isdigit() and int(own) < 65536
    is_bracketed = host.startswith('[') and host.endswith(']') and _is_ipv6(host[1:-1])
    if not is_port or not host or not (is_bracketed or not set(host) & set('[]:/ ')):
        raise exceptions.Refused(
            f'listen has {text!r}', 'Write ADDRESS, ADDRESS:PORT or [IPV6]:PORT'
        )
    return f'{host}:{own}'


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text.partition('%')[0]).version == 6
    except ValueError:
        return False


class Server:
    """Answers in threads, from ``start`` to ``shutdown``.

    :param listen: addresses as ``places`` returns them.
    :raises exceptions.Refused: it cannot listen there.
    """

    def __init__(self, application: Wsgi, listen: Sequence[str]) -> None:
        # Each request that waits for a thread would make a line.
        logging.getLogger('waitress.queue').setLevel(logging.ERROR)
        self._open: dict[int, Any] = {}
        try:
            self._server: Any = waitress.create_server(
                application, map=self._open, listen=' '.join(listen), threads=THREADS,
                max_request_body_size=2 * MAX_BODY_BYTES, max_request_header_size=MAX_HEADER_BYTES,
                inbuf_overflow=MEMORY_BYTES, connection_limit=MAX_CONNECTIONS,
                channel_timeout=IDLE_SECONDS, cleanup_interval=max(1, IDLE_SECONDS // 2),
                asyncore_use_poll=True, ident=None, log_socket_errors=False,
            )  # fmt: skip
        except (OSError, ValueError, OverflowError) as exc:
            wasyncore.close_all(self._open, ignore_all=True)
            raise exceptions.Refused(
                f'the agent cannot listen on {", ".join(listen)}: {exc}',
                'Set listen and port to an address of this machine that is free',
            ) from exc
        self._listening = [
            one for one in self._open.values() if isinstance(one, waitress_server.BaseWSGIServer)
        ]
        for one in self._listening:
            one.channel_class = _Channel
        self._thread = threading.Thread(target=self._server.run, name='web', daemon=True)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return [(one.effective_host, int(one.effective_port)) for one in self._listening]

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def shutdown(self) -> None:
        """Close all connections, and end."""
        if self._thread.is_alive():
            # In the thread of the loop, which ends when nothing is open any more. Where a request
            # has woken it up meanwhile, it has closed what it would be woken by.
            with contextlib.suppress(OSError):
                self._listening[0].trigger.pull_trigger(self._close)
            self._thread.join(STOP_SECONDS)
        else:
            self._close()
        self._server.task_dispatcher.shutdown(timeout=STOP_SECONDS)

    def _close(self) -> None:
        wasyncore.close_all(self._open, ignore_all=True)
