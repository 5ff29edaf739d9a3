"""What a client sees."""
import hashlib
import hmac
import json
import os
import tempfile
from unittest import mock

from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client, SimpleTestCase, override_settings

from .support import Stage, b64, ec_jwk, ec_key, jwk, pem, rsa_key

WHOAMI = "/api/whoami"


class RequestCase(SimpleTestCase):
    options = {}

    def setUp(self):
        self.stage = Stage(**self.options)
        self.addCleanup(self.stage.close)
        patch = mock.patch("bearer.middleware.verifier", lambda: self.stage.verifier)
        patch.start()
        self.addCleanup(patch.stop)
        self.client = Client(HTTP_HOST="api.test")

    def ask(self, token=None, path=WHOAMI, method="get", **headers):
        if token is not None:
            headers["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return getattr(self.client, method)(path, secure=True, **headers)

    def assertRefused(self, response):
        self.assertEqual(response.status_code, 401, response.content)
        self.assertEqual(response["WWW-Authenticate"], 'Bearer realm="api", error="invalid_token"')
        self.assertEqual(response.json()["error"], "invalid_token")
        self.assertEqual(response["Cache-Control"], "no-store")


class Access(RequestCase):
    def test_a_valid_token_is_let_in(self):
        response = self.ask(self.stage.token(appid="client-1"))
        self.assertEqual(response.status_code, 200, response.content)
        claims = response.json()["claims"]
        self.assertEqual((claims["sub"], claims["appid"]), ("someone", "client-1"))
        self.assertEqual(response["Cache-Control"], "no-store")
        self.assertEqual(response["X-Content-Type-Options"], "nosniff")
        self.assertIn("max-age", response["Strict-Transport-Security"])

    def test_without_a_token(self):
        for method in ("get", "head", "options", "post", "put", "delete", "patch"):
            paths = (WHOAMI, "/", "/nothing", "/healthz/", "/healthz/x", "//healthz", "/HEALTHZ", "/api/../healthz")
            for path in paths:
                response = self.ask(path=path, method=method)
                self.assertEqual(response.status_code, 401, (method, path))
                self.assertEqual(response["WWW-Authenticate"], 'Bearer realm="api"')
                self.assertEqual(response["Cache-Control"], "no-store")
        self.assertEqual(self.stage.provider.fetches, 0)

    def test_other_schemes_are_no_token(self):
        for value in ("Basic YTpi", "", "bearertoken", "Digest x"):
            response = self.ask(HTTP_AUTHORIZATION=value)
            self.assertEqual((response.status_code, response["WWW-Authenticate"]), (401, 'Bearer realm="api"'))

    def test_the_scheme_is_of_any_case(self):
        self.assertEqual(self.ask(HTTP_AUTHORIZATION=f"bearer {self.stage.token()}").status_code, 200)

    def test_tokens_elsewhere_are_not_looked_at(self):
        token = self.stage.token()
        self.assertEqual(self.ask(path=f"{WHOAMI}?access_token={token}").status_code, 401)
        self.client.cookies["access_token"] = token
        self.client.cookies["Authorization"] = f"Bearer {token}"
        self.assertEqual(self.ask().status_code, 401)
        response = self.client.post(WHOAMI, {"access_token": token}, secure=True)
        self.assertEqual(response.status_code, 401)

    def test_two_tokens_are_none(self):
        token = self.stage.token()
        self.assertRefused(self.ask(HTTP_AUTHORIZATION=f"Bearer {token},Bearer {token}"))
        self.assertRefused(self.ask(HTTP_AUTHORIZATION=f"Bearer {token} {token}"))

    def test_identity_headers_count_for_nothing(self):
        names = ("HTTP_REMOTE_USER", "HTTP_X_REMOTE_USER", "HTTP_X_FORWARDED_USER", "HTTP_OIDC_CLAIM_SUB")
        headers = {name: "admin" for name in names}
        self.assertEqual(self.ask(**headers).status_code, 401)
        self.assertEqual(self.ask(self.stage.token(), **headers).json()["claims"]["sub"], "someone")

    def test_with_a_token(self):
        token = self.stage.token()
        response = self.ask(token, "/nothing")
        self.assertEqual((response.status_code, response.json()), (404, {"error": "not_found"}))
        self.assertEqual(response["Cache-Control"], "no-store")
        self.assertEqual(self.ask(token, method="head").status_code, 200)
        self.assertEqual(self.ask(token, method="post").status_code, 405)

    def test_a_foreign_host(self):
        for path in (WHOAMI, "/healthz", "/nothing"):
            response = self.ask(self.stage.token(), path, HTTP_HOST="evil.test")
            self.assertEqual((response.status_code, response.json()), (400, {"error": "bad_request"}))
            self.assertEqual(response["Cache-Control"], "no-store")

    def test_healthz(self):
        self.stage.provider.broken = self.stage.memcached.down = True
        with tempfile.TemporaryDirectory() as place, override_settings(DRAIN_FILE=os.path.join(place, "draining")):
            response = self.ask(path="/healthz")
            self.assertEqual((response.status_code, response.json()), (200, {"status": "ok"}))
            self.assertEqual(response["Cache-Control"], "no-store")
            self.assertEqual(self.ask(path="/healthz", method="post").status_code, 405)
            with open(os.path.join(place, "draining"), "w"):
                pass
            response = self.ask(path="/healthz")
            self.assertEqual((response.status_code, response.json()), (503, {"status": "draining"}))
            self.stage.provider.broken = False
            self.assertEqual(self.ask(self.stage.token()).status_code, 200)

    def test_no_keys_at_all(self):
        self.stage.provider.broken = self.stage.memcached.down = True
        for _ in range(2):
            response = self.ask(self.stage.token())
            self.assertEqual((response.status_code, response.json()), (503, {"error": "keys_unavailable"}))
            self.assertGreaterEqual(int(response["Retry-After"]), 1)
        self.stage.provider.broken = False
        self.stage.clock.pass_(10)
        self.assertEqual(self.ask(self.stage.token()).status_code, 200)


class Tokens(RequestCase):
    def test_algorithms(self):
        claims = json.dumps(self.stage.claims()).encode()
        names = ("none", "None", "NONE", "", None, 1, ["RS256"], {}, "HS256", "RS384", "PS256", "ES256", "rs256")
        for algorithm in names:
            header = json.dumps({"alg": algorithm, "kid": "one"}).encode()
            self.assertRefused(self.ask(self.stage.raw(header, claims)))
            self.assertRefused(self.ask(self.stage.raw(header, claims, b"")))
        self.assertRefused(self.ask(self.stage.raw(b'{"kid":"one"}', claims)))
        self.assertEqual(self.stage.provider.fetches, 0)

    def test_an_hmac_with_the_public_key(self):
        for secret in (pem(rsa_key("one")), json.dumps(jwk("one")).encode()):
            text = f'{b64(json.dumps({"alg": "HS256", "kid": "one"}).encode())}.' \
                   f'{b64(json.dumps(self.stage.claims()).encode())}'
            mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
            self.assertRefused(self.ask(f"{text}.{b64(mac)}"))

    def test_a_key_that_is_not_the_providers(self):
        self.assertRefused(self.ask(self.stage.token("one", rsa_key("stranger"))))

    def test_an_unknown_key(self):
        self.assertRefused(self.ask(self.stage.token("unknown")))

    def test_a_changed_payload(self):
        head, _, signature = self.stage.token().split(".")
        payload = b64(json.dumps(self.stage.claims(sub="admin")).encode())
        self.assertRefused(self.ask(f"{head}.{payload}.{signature}"))

    def test_headers_that_bring_a_key(self):
        stranger = rsa_key("stranger")
        for name, value in (
            ("jku", "https://evil.test/keys"), ("x5u", "https://evil.test/cert"), ("jwk", jwk("one", stranger)),
            ("crit", ["exp"]),
        ):
            self.assertRefused(self.ask(self.stage.token("one", stranger, headers={name: value})))
            self.assertRefused(self.ask(self.stage.token(headers={name: value})))
        self.assertEqual(self.ask(self.stage.token(headers={"x5t": "abc"})).status_code, 200)

    def test_types(self):
        self.assertEqual(self.ask(self.stage.token(headers={"typ": "at+jwt"})).status_code, 200)
        self.assertRefused(self.ask(self.stage.token(headers={"typ": "logout+jwt"})))

    def test_times(self):
        now = int(self.stage.clock())
        for claims in (
            {"exp": now - 61}, {"exp": now - 60}, {"exp": None}, {"exp": str(now + 60)}, {"exp": True}, {"exp": [now]},
            {"exp": {}}, {"nbf": now + 61}, {"nbf": "0"}, {"nbf": False}, {"nbf": []},
        ):
            self.assertRefused(self.ask(self.stage.token(**claims)))
        for claims in ({"exp": now - 59}, {"nbf": now + 59}, {"nbf": None}, {"exp": now + 60.5}, {"exp": 10**400}):
            self.assertEqual(self.ask(self.stage.token(**claims)).status_code, 200, claims)

    def test_numbers_that_are_none(self):
        for number in ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000):
            payload = json.dumps(self.stage.claims(exp=0)).replace('"exp": 0', f'"exp": {number}').encode()
            self.assertRefused(self.ask(self.stage.raw(b'{"alg":"RS256","kid":"one"}', payload)))

    def test_issuers(self):
        good = self.stage.provider.issuer
        for issuer in ("https://evil.test", None, "", 1, [good], good + "/"):
            self.assertRefused(self.ask(self.stage.token(iss=issuer)))

    def test_audiences(self):
        for audience in ("other", None, "", 1, [], [["api://test"]], {"api://test": 1}, "api://test2", ["other", 1]):
            self.assertRefused(self.ask(self.stage.token(aud=audience)))
        self.assertEqual(self.ask(self.stage.token(aud=["other", "api://test"])).status_code, 200)

    def test_subjects(self):
        for subject in (None, "", 1, ["a"]):
            self.assertRefused(self.ask(self.stage.token(sub=subject)))

    def test_names_that_are_there_twice(self):
        self.assertRefused(self.ask(self.stage.raw(b'{"alg":"RS256","kid":"two","kid":"one"}')))
        claims = json.dumps(self.stage.claims()).encode()
        self.assertRefused(self.ask(self.stage.raw(b'{"alg":"RS256","kid":"one"}', b'{"aud":"other",' + claims[1:])))
        self.assertEqual(self.ask(self.stage.raw(b'{"alg":"RS256","kid":"one"}', claims)).status_code, 200)

    def test_kids(self):
        for kid in (
            "", None, 1, 1.5, True, [], {}, ["one"], "k" * 257, "k" * 8000, "\x00\xff", "\ud800", "../one", "o\nne",
            "One",
        ):
            self.assertRefused(self.ask(self.stage.raw(json.dumps({"alg": "RS256", "kid": kid}).encode())))
        for header in (b'{"alg":"RS256"}', b'{"alg":"RS256","kid":"\xff\xfe"}', b'{"alg":"RS256","kid":"\x00"}'):
            self.assertRefused(self.ask(self.stage.raw(header)))

    def test_nonsense(self):
        for header in (
            b"[" * 9000, b"{" * 9000, b'{"a":' * 2000, b"[]", b"null", b"1", b'"x"', b"{", b"\xff", b'{"alg":"RS256"',
            b'{"alg":"RS256","kid":"one","x":' + b"[" * 8000 + b"]" * 800 + b"}",
        ):
            self.assertRefused(self.ask(self.stage.raw(header)))
        for payload in (b"[" * 9000, b"[]", b"null", b"", b"{", b"\xff\xfe"):
            self.assertRefused(self.ask(self.stage.raw(b'{"alg":"RS256","kid":"one"}', payload)))
        for token in (
            "x", "..", "a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e", "a=.b.c", "\u00e9.b.c", "a" * 16300, "%00.%00.%00",
            self.stage.token() + "=", self.stage.token() + "A", self.stage.token() + "." + self.stage.token(),
        ):
            self.assertRefused(self.ask(token))
        self.assertRefused(self.ask(HTTP_AUTHORIZATION="Bearer"))
        self.assertRefused(self.ask(HTTP_AUTHORIZATION="Bearer "))

    def test_size(self):
        self.assertRefused(self.ask(self.stage.token(padding="x" * 16384)))
        self.assertRefused(self.ask(self.stage.raw(json.dumps({"alg": "RS256", "kid": "k" * 100_000}).encode())))
        self.assertEqual(self.ask(self.stage.token(padding="x" * 10000)).status_code, 200)


class Keys(RequestCase):
    options = {"algorithms": ["RS256", "ES256"]}

    def test_another_algorithm_that_is_allowed(self):
        self.stage.provider.keys.append(ec_jwk("curve"))
        self.assertEqual(self.ask(self.stage.token("curve", ec_key("curve"), "ES256")).status_code, 200)
        self.assertRefused(self.ask(self.stage.token("one", ec_key("curve"), "ES256")))

    def test_a_curve_of_another_algorithm(self):
        key = ec_key("wide", ec.SECP384R1)
        self.stage.provider.keys.append(ec_jwk("wide", key, "P-384"))
        self.assertRefused(self.ask(self.stage.token("wide", key, "ES256")))

    def test_keys_that_are_not_for_this(self):
        weak = rsa_key("weak", 1024)
        self.stage.provider.keys = [
            jwk("encryption", use="enc"), jwk("other", alg="RS512"), jwk("weak", weak), "x", {"kid": "nothing"},
            {"kty": "oct", "kid": "shared", "k": b64(b"x" * 32)},
            {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
            {"kty": "RSA", "kid": "short", "n": "", "e": ""}, {"kty": "RSA", "kid": "bare"}, jwk("one"),
        ]
        self.assertEqual(self.ask(self.stage.token()).status_code, 200)
        for kid in ("encryption", "other", "nothing", "shared", "broken", "short", "bare"):
            self.assertRefused(self.ask(self.stage.token(kid, rsa_key("other"))))
        self.assertRefused(self.ask(self.stage.token("weak", weak)))


class Azure(RequestCase):
    def test_version_2(self):
        self.stage.provider.issuer = "https://login.microsoftonline.com/tenant/v2.0"
        response = self.ask(self.stage.token(azp="client-1", ver="2.0"))
        self.assertEqual(response.json()["claims"]["azp"], "client-1")
        self.assertRefused(self.ask(self.stage.token(iss="https://sts.windows.net/tenant/", ver="1.0")))

    def test_version_1(self):
        self.stage.provider.issuer = "https://sts.windows.net/tenant/"
        self.assertEqual(self.ask(self.stage.token(appid="client-1", ver="1.0")).status_code, 200)

    def test_an_issuer_that_is_a_template(self):
        self.stage.provider.issuer = "https://login.microsoftonline.com/{tenantid}/v2.0"
        self.assertRefused(self.ask(self.stage.token(iss="https://login.microsoftonline.com/tenant/v2.0")))

    def test_issuers_by_name(self):
        names = ["https://login.microsoftonline.com/tenant/v2.0", "https://sts.windows.net/tenant/"]
        self.stage.verifier = self.stage.instance(issuers=names)
        for name in names:
            self.assertEqual(self.ask(self.stage.token(iss=name)).status_code, 200)
        self.assertRefused(self.ask(self.stage.token()))
