"""A provider on the loopback, a memcached in memory, a clock that is set, and keys."""
import base64
import dataclasses
import datetime
import functools
import http.server
import ipaddress
import json
import os
import socket
import ssl
import tempfile
import threading

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from django.conf import settings
from jwt.algorithms import RSAAlgorithm

from bearer import fetch
from bearer.keystore import KeyStore
from bearer.memory import Memory
from bearer.provider import Provider
from bearer.verify import Verifier

AUDIENCE = "api://test"
START = 1_700_000_000


class Clock:
    """Time as the tests have it."""

    def __init__(self):
        self.now = float(START)

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


@functools.lru_cache(maxsize=None)
def rsa_key(name, bits=2048):
    return rsa.generate_private_key(65537, bits)


@functools.lru_cache(maxsize=None)
def ec_key(name, curve=ec.SECP256R1):
    return ec.generate_private_key(curve())


def jwk(kid, key=None, **more):
    return {**json.loads(RSAAlgorithm.to_jwk((key or rsa_key(kid)).public_key())), "kid": kid, "use": "sig", **more}


def ec_jwk(kid, key=None, curve="P-256"):
    public = (key or ec_key(kid)).public_key()
    numbers, size = public.public_numbers(), (public.key_size + 7) // 8
    x, y = (b64(number.to_bytes(size, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": curve, "kid": kid, "x": x, "y": y}


def pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def b64(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@functools.lru_cache(maxsize=None)
def _certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.utcnow()
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def trust():
    """A context that trusts the loopback's certificate."""
    return ssl.create_default_context(cadata=_certificate()[1])


class LoopbackProvider:
    """An OpenID provider over https on the loopback."""

    def __init__(self, kids=("one",)):
        self.keys = [jwk(kid) for kid in kids]
        self.fetches = 0
        self.pages = {}
        self.silent = threading.Event()
        self.broken = False
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider._answer(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write("".join(_certificate()))
        context.load_cert_chain(file.name)
        os.unlink(file.name)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_port}/tenant/v2.0"
        self.issuer = self.url
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.silent.clear()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler):
        if self.silent.is_set():
            threading.Event().wait(3)
            return
        if handler.path in self.pages:
            status, headers, body = self.pages[handler.path]
        elif self.broken:
            status, headers, body = 500, {}, b"{}"
        elif handler.path == "/tenant/v2.0/.well-known/openid-configuration":
            address = self.url.replace("/v2.0", "/keys")
            status, headers, body = 200, {}, json.dumps({"issuer": self.issuer, "jwks_uri": address}).encode()
        elif handler.path == "/tenant/keys":
            self.fetches += 1
            status, headers, body = 200, {}, json.dumps({"keys": self.keys}).encode()
        else:
            status, headers, body = 404, {}, b"{}"
        try:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass


class StandIn:
    """What a memcached would keep, by the clock of the test, behind pymemcache's interface."""

    def __init__(self, clock):
        self.clock = clock
        self.items = {}
        self.down = False
        self.asked = 0
        self.lock = threading.Lock()

    def connect(self, server):
        return self

    def _live(self, name):
        value, until = self.items.get(name, (None, 0))
        return value if value is not None and self.clock() < until else None

    def _ask(self):
        self.asked += 1
        if self.down:
            raise socket.timeout("timed out")

    def get(self, name):
        self._ask()
        with self.lock:
            return self._live(name)

    def set(self, name, value, expire, noreply):
        self._ask()
        with self.lock:
            self.items[name] = (value, self.clock() + expire)
            return True

    def add(self, name, value, expire, noreply):
        self._ask()
        with self.lock:
            if self._live(name) is not None:
                return False
            self.items[name] = (value, self.clock() + expire)
            return True

    def delete(self, name, noreply):
        self._ask()
        with self.lock:
            return self.items.pop(name, None) is not None

    def close(self):
        pass


class Stage:
    """Instances of the API around one provider and one memcached."""

    def __init__(self, kids=("one",), memcached=True, **options):
        self.clock = Clock()
        self.provider = LoopbackProvider(kids)
        self.memcached = StandIn(self.clock)
        self.config = dataclasses.replace(
            settings.API, provider=self.provider.url, memcached=["stand-in:1"] if memcached else [], **options
        )
        self.documents = functools.partial(fetch.document, context=trust())
        self.verifier = self.instance()

    def instance(self, **options):
        """One more process."""
        config = dataclasses.replace(self.config, **options)
        memory = Memory(config.memcached, self.memcached.connect, self.clock)
        keys = KeyStore(config, Provider(config.provider, self.documents), memory, self.clock, self.clock)
        return Verifier(config, keys, self.clock)

    def close(self):
        self.provider.close()

    def claims(self, **changes):
        now = int(self.clock())
        claims = {
            "iss": self.provider.issuer, "aud": AUDIENCE, "sub": "someone", "iat": now, "nbf": now, "exp": now + 3600,
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, kid="one", key=None, algorithm="RS256", headers=None, **changes):
        headers = {"kid": kid, **(headers or {})}
        return jwt.encode(self.claims(**changes), key or rsa_key(kid), algorithm, headers)

    def raw(self, header, payload=None, signature=None):
        """A token of any bytes whatever, whose signature is a good one unless it is given."""
        payload = json.dumps(self.claims()).encode() if payload is None else payload
        text = f"{b64(header)}.{b64(payload)}"
        if signature is None:
            signature = rsa_key("one").sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{b64(signature)}"


def settle(verifier, seconds=5):
    """Waits for the flight that a request has started without waiting for it."""
    flight = verifier.keys._flight
    if flight is not None:
        assert flight.done.wait(seconds)
