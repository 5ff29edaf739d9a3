#!/usr/bin/env python3
"""A stand-in OpenID provider of the shape of Azure AD's, for trials and tests.

    issuer.py CONFIG        CONFIG is JSON: url, port, tls, state, audiences, clients, lifetime, admin_port

Over TLS it serves the provider's configuration, its keys, and tokens for client credentials. On the loopback address
alone, over plain HTTP, tests have it sign whatever they like, change its keys, and count what was fetched.
"""
import base64
import hashlib
import hmac
import json
import os
import secrets
import socket
import ssl
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

BODY_MAX = 256 * 1024
KEYS_KEPT = 8


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


class Key:
    def __init__(self, private, published=True):
        self.private = private
        self.published = published
        numbers = private.public_key().public_numbers()
        self.n = b64(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big"))
        self.e = b64(numbers.e.to_bytes(3, "big"))
        # A thumbprint as of RFC 7638, so that a key has one name however often the service starts.
        self.kid = b64(hashlib.sha256(compact({"e": self.e, "kty": "RSA", "n": self.n})).digest())

    @classmethod
    def new(cls):
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=2048))

    def jwk(self, issuer):
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": self.n, "e": self.e, "issuer": issuer}

    def pem(self):
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()

    def public_pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, header, claims):
        """Signs as the header says; what is no RSA signature is made the way an attacker would make it."""
        text = b64(compact(header)) + "." + b64(compact(claims))
        alg = header.get("alg")
        bits = alg[2:] if isinstance(alg, str) and alg[2:] in ("256", "384", "512") else "256"
        digest = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[bits]()
        if isinstance(alg, str) and alg.lower() == "none":
            signature = b""
        elif isinstance(alg, str) and alg.startswith("HS"):
            signature = hmac.new(self.public_pem(), text.encode(), "sha" + bits).digest()
        elif isinstance(alg, str) and alg.startswith("PS"):
            signature = self.private.sign(text.encode(), padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        else:
            signature = self.private.sign(text.encode(), padding.PKCS1v15(), digest)
        return text + "." + b64(signature)


class Refused(Exception):
    def __init__(self, status, error, description, headers=()):
        super().__init__(description)
        self.status, self.error, self.description, self.headers = status, error, description, headers


class Issuer:
    def __init__(self, config):
        self.url = config["url"].rstrip("/")
        parts = urlsplit(self.url)
        self.base = f"{parts.scheme}://{parts.netloc}"
        tenant, version = parts.path.strip("/").split("/")
        if version != "v2.0":
            raise ValueError("the url must end in /TENANT/v2.0")
        self.configuration_path = f"/{tenant}/v2.0/.well-known/openid-configuration"
        self.keys_path = f"/{tenant}/discovery/v2.0/keys"
        self.token_path = f"/{tenant}/oauth2/v2.0/token"
        self.authorize_path = f"/{tenant}/oauth2/v2.0/authorize"
        self.tid = str(uuid.uuid5(uuid.NAMESPACE_URL, self.base + "/" + tenant))
        self.audiences = config["audiences"]
        self.clients = config["clients"]
        self.lifetime = int(config.get("lifetime", 3600))
        self.file = os.path.join(config["state"], "keys.json")
        self.lock = threading.Lock()
        self.stats = {}
        self.reset()
        self.stranger = Key.new()
        self.keys = self.load()  # the current one is the last

    def load(self):
        try:
            with open(self.file, encoding="utf-8") as f:
                kept = json.load(f)
        except FileNotFoundError:
            keys = [Key.new()]
            self.save(keys)
            return keys
        return [Key(serialization.load_pem_private_key(k["pem"].encode(), None), k["published"]) for k in kept]

    def save(self, keys):
        new = self.file + ".new"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
            json.dump([{"pem": k.pem(), "published": k.published} for k in keys], f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(new, self.file)

    def reset(self):
        self.stats = {"keys_fetched": 0, "configuration_fetched": 0, "tokens": 0}

    def count(self, what):
        with self.lock:
            self.stats[what] += 1

    def rotate(self, drop):
        new = Key.new()
        with self.lock:
            old = self.keys[-(KEYS_KEPT - 1):]
            if drop:
                for key in old:
                    key.published = False
            self.save(old + [new])
            self.keys = old + [new]
        return {"kid": new.kid, "published": [k.kid for k in self.keys if k.published]}

    def configuration(self):
        return {
            "token_endpoint": self.base + self.token_path,
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "jwks_uri": self.base + self.keys_path,
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": self.url,
            "request_uri_parameter_supported": False,
            "authorization_endpoint": self.base + self.authorize_path,
            "http_logout_supported": True,
            "frontchannel_logout_supported": True,
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "tid", "ver"],
            "tenant_region_scope": None,
        }

    def key_set(self):
        with self.lock:
            return {"keys": [k.jwk(self.url) for k in reversed(self.keys) if k.published]}

    def defaults(self, client, audience):
        now = int(time.time())
        subject = str(uuid.uuid5(uuid.NAMESPACE_URL, self.url + "#" + client))
        return {
            "aud": audience, "iss": self.url, "iat": now, "nbf": now, "exp": now + self.lifetime,
            "azp": client, "azpacr": "1", "oid": subject, "sub": subject, "tid": self.tid,
            "jti": secrets.token_urlsafe(16), "ver": "2.0",
        }

    def client_of(self, form, authorization):
        how = ()
        if authorization is not None:
            how = (("WWW-Authenticate", 'Basic realm="issuer"'),)
            try:
                kind, value = authorization.split(" ", 1)
                if kind.lower() != "basic":
                    raise ValueError("not Basic")
                name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
                name, secret = unquote(name), unquote(secret)
            except ValueError:
                raise Refused(401, "invalid_client", "the Authorization header is malformed", how) from None
        else:
            name, secret = form.get("client_id", ""), form.get("client_secret", "")
        # One comparison whether or not the client exists: the time tells nothing of the names either.
        known = self.clients.get(name)
        expected = known if known is not None else secrets.token_urlsafe(32)
        same = hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), hashlib.sha256(expected.encode()).digest())
        if not same or known is None:
            raise Refused(401, "invalid_client", "the client is unknown, or its secret is wrong", how)
        return name

    def token(self, form, authorization):
        if form.get("grant_type") is None:
            raise Refused(400, "invalid_request", "grant_type is missing")
        client = self.client_of(form, authorization)
        if form["grant_type"] != "client_credentials":
            raise Refused(400, "unsupported_grant_type", "only client_credentials")
        scope = form.get("scope", "")
        audience = scope[: -len("/.default")] if scope.endswith("/.default") else None
        if audience not in self.audiences:
            raise Refused(400, "invalid_scope", "the scope must be AUDIENCE/.default of an audience that is served")
        with self.lock:
            key = self.keys[-1]
        claims = self.defaults(client, audience)
        self.count("tokens")
        return {
            "token_type": "Bearer", "expires_in": self.lifetime, "ext_expires_in": self.lifetime,
            "access_token": key.sign({"typ": "JWT", "alg": "RS256", "kid": key.kid}, claims),
        }

    def mint(self, order):
        which = order.get("key", "current")
        with self.lock:
            keys = list(self.keys)
        if which == "current":
            key = keys[-1]
        elif which == "stranger":
            key = self.stranger
        elif which == "previous":
            if len(keys) < 2:
                raise Refused(400, "invalid_request", "there is no previous key: rotate first")
            key = keys[-2]
        else:
            key = next((k for k in keys if k.kid == which), None)
            if key is None:
                raise Refused(400, "invalid_request", "no such key")
        header = {"typ": "JWT", "alg": "RS256", "kid": keys[-1].kid if which == "stranger" else key.kid}
        claims = self.defaults("minted", self.audiences[0])
        for whole, part in ((header, order.get("header") or {}), (claims, order.get("claims") or {})):
            if not isinstance(part, dict):
                raise Refused(400, "invalid_request", "header and claims are objects")
            whole.update(part)
            for name in [n for n, v in whole.items() if v is None]:
                del whole[name]
        return {"access_token": key.sign(header, claims)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "issuer"
    sys_version = ""
    timeout = 15
    disable_nagle_algorithm = True  # header and body are two writes

    @property
    def issuer(self):
        return self.server.issuer

    def setup(self):
        # The handshake is this thread's: a client that is slow with it holds up nobody else.
        if self.server.tls is not None:
            self.request.settimeout(self.timeout)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self):
        super().finish()
        # The server closes what it accepted, and that is no socket any more since TLS has taken it over.
        self.request.close()

    def log_message(self, format, *args):
        pass

    def log_request(self, code="-", size="-"):
        # No query: whoever sends a secret there does not find it in the journal.
        path = urlsplit(getattr(self, "path", "-")).path
        print(f"{self.client_address[0]} {self.command or '-'} {path!r} {int(code)}", flush=True)

    def answer(self, status, value, headers=()):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if not any(name == "Cache-Control" for name, _ in headers):
            self.send_header("Cache-Control", "no-store")
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise Refused(411, "invalid_request", "a Content-Length is needed")
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if not 0 <= length <= BODY_MAX:
            self.close_connection = True
            raise Refused(413, "invalid_request", "the body is too large")
        return self.rfile.read(length)

    def handle_request(self):
        try:
            body = self.body()
            self.route(urlsplit(self.path).path, body)
        except Refused as refused:
            self.answer(refused.status, {"error": refused.error, "error_description": refused.description},
                        refused.headers)
        except (ValueError, UnicodeError, RecursionError):
            self.answer(400, {"error": "invalid_request", "error_description": "what was sent is malformed"})

    do_GET = do_POST = do_HEAD = handle_request

    def must_be(self, *methods):
        if self.command not in methods:
            raise Refused(405, "invalid_request", "not with this method", (("Allow", ", ".join(methods)),))

    def route(self, path, body):
        issuer = self.issuer
        if path == issuer.configuration_path:
            self.must_be("GET", "HEAD")
            issuer.count("configuration_fetched")
            self.answer(200, issuer.configuration(), (("Cache-Control", "max-age=86400, private"),))
        elif path == issuer.keys_path:
            self.must_be("GET", "HEAD")
            issuer.count("keys_fetched")
            self.answer(200, issuer.key_set(), (("Cache-Control", "max-age=86400, private"),))
        elif path == issuer.token_path:
            self.must_be("POST")
            kind = self.headers.get("Content-Type", "").split(";")[0].strip().lower()
            if kind != "application/x-www-form-urlencoded":
                raise Refused(400, "invalid_request", "the body must be a form")
            fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=50)
            if any(len(v) > 1 for v in fields.values()):
                raise Refused(400, "invalid_request", "a parameter is there twice")
            form = {name: v[0] for name, v in fields.items()}
            self.answer(200, issuer.token(form, self.headers.get("Authorization")), (("Pragma", "no-cache"),))
        else:
            raise Refused(404, "not_found", "nothing is here")


class Admin(Handler):
    def route(self, path, body):
        issuer = self.issuer
        if path == "/healthz":
            self.must_be("GET", "HEAD")
            self.answer(200, {"status": "ok"})
        elif path == "/stats":
            self.must_be("GET", "HEAD")
            with issuer.lock:
                stats = dict(issuer.stats)
            self.answer(200, stats)
        elif path == "/stats/reset":
            self.must_be("POST")
            with issuer.lock:
                issuer.reset()
            self.answer(200, {})
        elif path in ("/mint", "/rotate"):
            self.must_be("POST")
            order = json.loads(body or b"{}")
            if not isinstance(order, dict):
                raise Refused(400, "invalid_request", "an object is expected")
            self.answer(200, issuer.mint(order) if path == "/mint" else issuer.rotate(bool(order.get("drop"))))
        else:
            raise Refused(404, "not_found", "nothing is here")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, handler, issuer, tls=None):
        self.issuer, self.tls = issuer, tls
        super().__init__(address, handler)

    def server_bind(self):
        # HTTPServer would ask the resolver for its own name.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "issuer", self.server_address[1]

    def handle_error(self, request, client_address):
        # Broken handshakes and connections that end early are the clients' affair: a line, not a trace.
        kind = sys.exc_info()[0].__name__
        print(f"{client_address[0]} {kind}", flush=True)


def tls_context(bundle):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(bundle)
    return context


def ready():
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect("\0" + address[1:] if address[0] == "@" else address)
            s.sendall(b"READY=1")


def serve(config):
    """Both servers, listening; they are served by whoever calls their serve_forever()."""
    issuer = Issuer(config)
    public = Server((config.get("listen", "0.0.0.0"), config["port"]), Handler, issuer, tls_context(config["tls"]))
    admin = Server(("127.0.0.1", config.get("admin_port", 8081)), Admin, issuer)
    return public, admin


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        config = json.load(f)
    public, admin = serve(config)
    threading.Thread(target=admin.serve_forever, daemon=True).start()
    ready()
    print(f"serving {public.issuer.url}", flush=True)
    public.serve_forever()


if __name__ == "__main__":
    main()
