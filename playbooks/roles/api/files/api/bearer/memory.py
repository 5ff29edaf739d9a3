"""memcached as something that may be gone, or worse, there and silent."""
import logging
import threading
import time

from pymemcache.client.base import PooledClient
from pymemcache.exceptions import MemcacheUnexpectedCloseError

log = logging.getLogger(__name__)

SECONDS = 0.3
REST_SECONDS = 2

DOWN = object()


def connect(server):
    """A client for one server; without a serialiser it deals in bytes alone."""
    host, _, port = server.rpartition(":")
    return PooledClient(
        (host.strip("[]"), int(port)), connect_timeout=SECONDS, timeout=SECONDS, no_delay=True, max_pool_size=64
    )


class _Server:
    """One server, left alone for a while after it failed."""

    def __init__(self, name, client, tick):
        self._name = name
        self._client = client
        self._tick = tick
        self._lock = threading.Lock()
        self._rests_until = None

    def ask(self, operation, *arguments, **options):
        with self._lock:
            if self._rests_until is not None:
                if self._tick() < self._rests_until:
                    return DOWN
                # One may try; the others go on without until it has an answer.
                self._rests_until = self._tick() + REST_SECONDS
        try:
            answer = self._asked(operation, arguments, options)
        except Exception as error:  # pymemcache raises whatever its socket, its parser or the server came up with
            with self._lock:
                if self._rests_until is None:
                    log.warning("memcached %s fails: %s", self._name, type(error).__name__)
                self._rests_until = self._tick() + REST_SECONDS
            self._client.close()
            return DOWN
        with self._lock:
            if self._rests_until is not None:
                log.info("memcached %s is back", self._name)
            self._rests_until = None
        return answer


    def _asked(self, operation, arguments, options):
        try:
            return getattr(self._client, operation)(*arguments, **options)
        except (ConnectionError, MemcacheUnexpectedCloseError):
            # After a restart all connections in the pool are dead, and a new one may do. Whoever was idle meanwhile
            # must not miss what is in there.
            self._client.close()
            return getattr(self._client, operation)(*arguments, **options)


class Memory:
    """All servers hold the same: what is written goes to each, and the first one that answers is believed."""

    def __init__(self, servers, connect=connect, tick=time.monotonic):
        self._servers = [_Server(name, connect(name), tick) for name in servers]

    def get(self, name):
        """Bytes, None where there is nothing, DOWN where nobody answers."""
        return self._first("get", name)

    def add(self, name, text, seconds):
        """Whether it was not there before; DOWN where nobody answers."""
        return self._first("add", name, text.encode("utf-8"), expire=seconds, noreply=False)

    def set(self, name, text, seconds):
        """Writes it wherever that is possible."""
        for server in self._servers:
            server.ask("set", name, text.encode("utf-8"), expire=seconds, noreply=False)

    def delete(self, name):
        """Takes it away wherever that is possible."""
        for server in self._servers:
            server.ask("delete", name, noreply=False)

    def _first(self, *arguments, **options):
        for server in self._servers:
            answer = server.ask(*arguments, **options)
            if answer is not DOWN:
                return answer
        return DOWN
