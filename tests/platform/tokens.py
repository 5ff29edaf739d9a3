"""Tokens for the platform's tests, good and bad, made where the stand-in issuer signs: run in its instance.

Prints a JSON object: what a token is called, and the Authorization header that carries it.
"""

import base64
import json
import sys
import time
import urllib.request


def mint(**wanted):
    request = urllib.request.Request(
        "http://127.0.0.1:8081/mint", json.dumps(wanted).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["access_token"]


def part(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def with_header(token, header):
    """The token under another header; its signature no longer fits."""
    return ".".join([part(header), *token.split(".")[1:]])


now = int(time.time())
good = mint()
header = json.loads(base64.urlsafe_b64decode(good.split(".")[0] + "=="))
bad = {
    "malformed": "abc",
    "three empty parts": "..",
    "no signature": ".".join(good.split(".")[:2]) + ".",
    "a flipped signature": good[:-8] + ("A" if good[-8] != "A" else "B") + good[-7:],
    "other claims under the signature": ".".join([good.split(".")[0], part({"sub": "root"}), good.split(".")[2]]),
    "alg none": mint(header={"alg": "none"}),
    "alg NONE": with_header(good, {**header, "alg": "NONE"}),
    "HMAC with the public key": mint(header={"alg": "HS256"}),
    "a stranger's key under a known kid": mint(key="stranger"),
    "an unknown kid": mint(key="stranger", header={"kid": "made-up"}),
    "no kid, a stranger's key": mint(key="stranger", header={"kid": None}),
    "expired": mint(claims={"exp": now - 600}),
    "without exp": mint(claims={"exp": None}),
    "exp is text": mint(claims={"exp": "tomorrow"}),
    "not yet valid": mint(claims={"nbf": now + 600}),
    "another issuer": mint(claims={"iss": "https://issuer.example/"}),
    "without issuer": mint(claims={"iss": None}),
    "another audience": mint(claims={"aud": "api://other"}),
    "without audience": mint(claims={"aud": None}),
    "an empty kid": with_header(good, {**header, "kid": ""}),
    "a kid that is a number": with_header(good, {**header, "kid": 7}),
    "a kid that is a list": with_header(good, {**header, "kid": ["x"]}),
    "a kid like a path": with_header(good, {**header, "kid": "../../etc/passwd"}),
    "a binary kid": with_header(good, {**header, "kid": "\u0000\u0001\u07ff"}),
    "a long kid": with_header(good, {**header, "kid": "k" * 4000}),
    "a header that is no JSON": with_header(good, b"\xff\xfe{"),
    "a deeply nested header": with_header(good, b"[" * 2500),
    "a nested kid": with_header(good, b'{"alg":"RS256","kid":' + b"[" * 2000 + b"]" * 2000 + b"}"),
    "jku": mint(key="stranger", header={"jku": "https://issuer.lxd:8443/evil"}),
    "an embedded key": mint(key="stranger", header={"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}),
    "crit": with_header(good, {**header, "crit": ["exp"]}),
}
json.dump({"good": good, "bad": {name: f"Bearer {token}" for name, token in bad.items()}}, sys.stdout)
