"""One JSON document over https, within bounds of time and size."""
import http.client
import json
import os
import socket
import ssl
import threading
from urllib.parse import urlsplit

from api.config import https

CONNECT_SECONDS = 2
TOTAL_SECONDS = 4
LARGEST = 256 * 1024


class FetchError(Exception):
    """There is no document."""


def document(url, context=None):
    """The object at the URL; the system says which certificates are trusted. Redirects and proxies are not followed."""
    if not https(url):
        raise FetchError("not an https URL")
    parts = urlsplit(url)
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    try:
        return _parsed(_get(parts.hostname, parts.port or 443, target, context or ssl.create_default_context()))
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise FetchError(f"{parts.hostname}: {type(error).__name__}: {error}") from None


def _get(host, port, target, context):
    sock = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    # A server that sends a byte now and then would never run into the time-out of a single read. The descriptor is
    # doubled for TLS takes over the first one.
    guard_socket = socket.socket(fileno=os.dup(sock.fileno()))
    guard = threading.Timer(TOTAL_SECONDS, _shut, [guard_socket])
    guard.daemon = True
    guard.start()
    connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)
    try:
        connection.sock = context.wrap_socket(sock, server_hostname=host)
        connection.request("GET", target, headers={"Accept": "application/json", "User-Agent": "api"})
        response = connection.getresponse()
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        body = response.read(LARGEST + 1)
        if len(body) > LARGEST:
            raise ValueError("too large")
        return body
    finally:
        guard.cancel()
        guard_socket.close()
        connection.close()
        sock.close()


def _shut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _parsed(body):
    value = json.loads(body.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value
