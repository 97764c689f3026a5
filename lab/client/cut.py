# SPDX-License-Identifier: Apache-2.0
"""A cut between regions: a proxy in front of one region's Heat that misbehaves on request.

It counts the requests that come, so that a test can say "nothing was written".
"""

import contextlib
import enum
import re
import socket
import threading
import time


class Mode(enum.Enum):
    """How the way to the region is."""

    OPEN = 'open'
    # Nobody listens.
    REFUSED = 'refused'
    # Packets are swallowed: a connection is never made.
    DROPPED = 'dropped'
    # A connection is accepted, and nothing is ever said.
    SILENT = 'silent'
    # Requests that change something arrive and are carried out; the replies are lost.
    EATEN = 'eaten'
    # The same, but the connection stays open: the sender has to give up by itself.
    EATEN_HELD = 'eaten and held'
    DELAYED = 'delayed'


class When(enum.Enum):
    """When something happens to a request that comes by."""

    BEFORE = 'before it is carried out'
    AFTER = 'after it is carried out, before it is answered'


class Cut:
    """The way to ``upstream`` (host, port), on a port of its own at 127.0.0.1."""

    def __init__(self, upstream):
        self._upstream = upstream
        self._lock = threading.Lock()
        self._listener = None
        self._fillers = []
        self._open = set()
        self._flapping = threading.Event()
        self._trap = None
        self.mode = None
        self.delay = 0.0
        self.requests = []
        self.bytes = 0
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.be(Mode.OPEN)

    # --- what a test says ---------------------------------------------------------------------

    def be(self, mode, delay=0.0):
        """Change how the way is; connections that are open are cut."""
        with self._lock:
            self._close()
            self.mode, self.delay = mode, delay
            if mode is Mode.REFUSED:
                return
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(('127.0.0.1', self.port))
            if mode is Mode.DROPPED:
                listener.listen(0)
                self._listener = listener
                self._fill()
                return
            listener.listen(128)
            self._listener = listener
            threading.Thread(target=self._accept, args=(listener, mode), daemon=True).start()

    @contextlib.contextmanager
    def flapping(self, every=5.0):
        """Be cut and open in turns during the body."""
        self._flapping.clear()

        def flap():
            while not self._flapping.is_set():
                self.be(Mode.REFUSED if self.mode is Mode.OPEN else Mode.OPEN)
                self._flapping.wait(every)

        thread = threading.Thread(target=flap, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._flapping.set()
            thread.join()
            self.be(Mode.OPEN)

    @contextlib.contextmanager
    def trap(self, pattern, when, act):
        """Do something at the first request that matches; it waits for that.

        Yields an event that is set when it is done.
        """
        done = threading.Event()

        def once():
            try:
                act()
            finally:
                done.set()

        self._trap = (re.compile(pattern), when, once)
        try:
            yield done
        finally:
            self._trap = None

    def forget(self):
        """Start counting from zero."""
        self.requests = []
        self.bytes = 0

    @property
    def writes(self):
        """The requests that change something, that came since; to validate changes nothing."""
        return [r for r in self.requests if not re.match(r'GET |POST \S+/validate\b', r)]

    def close(self):
        """Be gone."""
        with self._lock:
            self._close()
            self.mode = None

    # --- inside -------------------------------------------------------------------------------

    def _close(self):
        if self._listener is not None:
            # A thread in accept() would keep the port for one more connection.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for one in [*self._fillers, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._fillers = []
        self._open = set()

    def _fill(self):
        """Fill the queue of connections, so that the kernel swallows the next one's packets."""
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(('127.0.0.1', self.port))
            self._fillers.append(one)
        time.sleep(0.1)

    def _accept(self, listener, mode):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._open.add(client)
            threading.Thread(target=self._serve, args=(client, mode), daemon=True).start()

    def _serve(self, client, mode):
        with contextlib.suppress(OSError), client:
            if mode is Mode.SILENT:
                while client.recv(65536):
                    pass
                return
            request = self._read_request(client)
            if request is None:
                return
            line = request.split(b'\r\n', 1)[0].decode()
            self.requests.append(line)
            self.bytes += len(request)
            if mode is Mode.DELAYED:
                time.sleep(self.delay)
            self._spring(When.BEFORE, line)
            self._forward(client, request, line, mode)
        self._open.discard(client)

    def _spring(self, when, line):
        with self._lock:
            trap = self._trap
            if trap is None or trap[1] is not when or not trap[0].search(line):
                return
            self._trap = None
        trap[2]()

    def _forward(self, client, request, line, mode):
        is_eaten = mode in (Mode.EATEN, Mode.EATEN_HELD) and not line.startswith('GET')
        with socket.create_connection(self._upstream, timeout=120) as server:
            server.sendall(request)
            reply = b''
            while piece := server.recv(65536):
                reply += piece
            self.bytes += len(reply)
            self._spring(When.AFTER, line)
            if not is_eaten:
                client.sendall(reply)
        if is_eaten and mode is Mode.EATEN_HELD:
            while client.recv(65536):
                pass

    @staticmethod
    def _read_request(client):
        """One request with its body; without keep-alive, so that its end is the connection's."""
        data = b''
        while b'\r\n\r\n' not in data:
            piece = client.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b'\r\n\r\n')
        lines = [x for x in head.split(b'\r\n') if not x.lower().startswith(b'connection:')]
        length = next(
            (int(x.split(b':')[1]) for x in lines if x.lower().startswith(b'content-length:')), 0
        )
        while len(body) < length:
            piece = client.recv(65536)
            if not piece:
                return None
            body += piece
        return b'\r\n'.join([*lines, b'Connection: close']) + b'\r\n\r\n' + body
