"""GET / counts the call in memcached, which another container runs, and answers with the number."""

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def count():
    with socket.create_connection(("memcached.lxd", 11211), timeout=2) as connection:
        connection.sendall(b"add calls 0 0 1\r\n0\r\nincr calls 1\r\n")
        answers = connection.makefile("rb")
        answers.readline()  # STORED by the first call, NOT_STORED by all others
        return int(answers.readline())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, text = 200, f"hello from api, call {count()} counted by memcached\n"
        except (OSError, ValueError) as error:
            status, text = 503, f"memcached: {error}\n"
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


ThreadingHTTPServer(("", 8000), Handler).serve_forever()
