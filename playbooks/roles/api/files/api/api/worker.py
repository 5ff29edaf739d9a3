"""gunicorn's threaded worker and its log, with what they lack for a service that strangers can reach."""
import ssl
import sys
from urllib.parse import quote

from gunicorn import glogging
from gunicorn.http import RequestParser
from gunicorn.workers.gthread import ThreadWorker

# A client that says nothing for so long gives its thread back; gunicorn itself waits for ever.
SILENCE_SECONDS = 5


class Worker(ThreadWorker):
    """TLS with one context for all connections, and time-outs.

    gunicorn would read the certificate again for each connection and begin TLS in the thread that accepts, where a
    connection that is broken at once ends the worker.
    """

    def init_process(self):
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self.tls.load_cert_chain(self.cfg.certfile)
        super().init_process()

    def enqueue_req(self, conn):
        self._wrap_future(self.tpool.submit(self.handle, conn), conn)

    def handle(self, conn):
        try:
            conn.sock.settimeout(SILENCE_SECONDS)
            if conn.parser is None:
                conn.sock = self.tls.wrap_socket(conn.sock, server_side=True)
                conn.parser = RequestParser(self.cfg, conn.sock, conn.client)
        except (OSError, ValueError) as error:
            self.log.debug("No TLS with %s: %s", conn.client, error)
            return (False, conn)
        return super().handle(conn)


class Logger(glogging.Logger):
    """One request, one line."""

    def atoms(self, resp, req, environ, request_time):
        atoms = super().atoms(resp, req, environ, request_time)
        # The path is decoded: a line break in it would let a client write lines of its own.
        for name in ("U", "m", "H"):
            atoms[name] = quote(str(atoms[name]), safe="/:@!$&'()*+,;=~-._", encoding="latin-1", errors="replace")
        return atoms

    def exception(self, msg, *args, **kwargs):
        if isinstance(sys.exc_info()[1], TimeoutError):
            self.debug("A client fell silent")
        else:
            super().exception(msg, *args, **kwargs)
