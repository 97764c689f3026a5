# SPDX-License-Identifier: Apache-2.0
"""Ask RabbitMQ, in its own protocol, whether it takes logins and who listens to a queue.

oslo.messaging does not try again after a refused login, so no service may start before the broker
answers with its user and virtual hosts. ``rabbitmqctl`` knows too, but starts an Erlang machine for
each question.
"""

import socket
import struct
import types

from lab import ports, regions

_START, _START_OK, _TUNE, _TUNE_OK = (10, 10), (10, 11), (10, 30), (10, 31)
_OPEN, _OPEN_OK, _CLOSE = (10, 40), (10, 41), (10, 50)
_CHANNEL_OPEN, _CHANNEL_OPEN_OK = (20, 10), (20, 11)
_QUEUE_DECLARE, _QUEUE_DECLARE_OK = (50, 10), (50, 11)
_METHOD_FRAME = 1
_FRAME_END = b'\xce'
_PASSIVE = 1


class Refused(Exception):
    """The broker answered something else than what was hoped for."""


class Connection:
    """One login to one virtual host."""

    def __init__(self, port: int, virtual_host: str, timeout: float = 2.0) -> None:
        self._socket = socket.create_connection((ports.ADDRESS, port), timeout)
        try:
            self._log_in(virtual_host)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> 'Connection':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        # A polite good-bye keeps the broker's log free of warnings.
        try:
            self._send(0, _CLOSE, struct.pack('>H', 200) + _short('') + struct.pack('>HH', 0, 0))
            self._receive()
        except (OSError, Refused):
            pass
        self._socket.close()

    def consumers(self, queue: str) -> int:
        """Return how many consumers a queue has.

        :raises Refused: when there is no such queue.
        """
        self._send(1, _CHANNEL_OPEN, _short(''))
        self._expect(_CHANNEL_OPEN_OK)
        arguments = struct.pack('>H', 0) + _short(queue) + bytes([_PASSIVE]) + _long(b'')
        self._send(1, _QUEUE_DECLARE, arguments)
        answer = self._expect(_QUEUE_DECLARE_OK)
        return int(struct.unpack('>I', answer[-4:])[0])

    def _log_in(self, virtual_host: str) -> None:
        self._socket.sendall(b'AMQP\x00\x00\x09\x01')
        self._expect(_START)
        secret = f'\0lab\0{regions.PASSWORD}'.encode()
        login = _long(b'') + _short('PLAIN') + _long(secret) + _short('en_US')
        self._send(0, _START_OK, login)
        limits = self._expect(_TUNE)
        self._send(0, _TUNE_OK, limits[:6] + struct.pack('>H', 0))
        self._send(0, _OPEN, _short(virtual_host) + _short('') + b'\0')
        self._expect(_OPEN_OK)

    def _send(self, channel: int, method: tuple[int, int], arguments: bytes) -> None:
        payload = struct.pack('>HH', *method) + arguments
        head = struct.pack('>BHI', _METHOD_FRAME, channel, len(payload))
        self._socket.sendall(head + payload + _FRAME_END)

    def _expect(self, method: tuple[int, int]) -> bytes:
        got, arguments = self._receive()
        if got != method:
            raise Refused(f'wanted method {method}, got {got}: {arguments!r}')
        return arguments

    def _receive(self) -> tuple[tuple[int, int], bytes]:
        kind, _channel, size = struct.unpack('>BHI', self._read(7))
        payload = self._read(size + 1)[:-1]
        if kind != _METHOD_FRAME:
            raise Refused(f'a frame of type {kind}')
        return struct.unpack('>HH', payload[:4]), payload[4:]

    def _read(self, size: int) -> bytes:
        data = b''
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise Refused('the broker closed the connection')
            data += part
        return data


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _long(data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + data


def takes_logins(port: int) -> bool:
    """Tell whether user and virtual hosts are there."""
    try:
        for name in (regions.SHARED_BUS, *(region.key for region in regions.ALL)):
            with Connection(port, name):
                pass
    except (OSError, Refused):
        return False
    return True


def has_consumer(port: int, virtual_host: str, queue: str) -> bool:
    """Say whether somebody listens to a queue."""
    try:
        with Connection(port, virtual_host) as connection:
            return connection.consumers(queue) > 0
    except (OSError, Refused):
        return False
