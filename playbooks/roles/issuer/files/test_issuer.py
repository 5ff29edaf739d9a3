"""The issuer's own tests: `python3 -m unittest discover -s /usr/local/lib/issuer` in the instance."""
import base64
import http.client
import json
import os
import ssl
import subprocess
import tempfile
import threading
import unittest
import warnings
from urllib.parse import urlencode

import issuer
import jwt

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Tests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.config = {"url": "https://localhost/trial/v2.0", "listen": "127.0.0.1", "port": 0, "admin_port": 0,
                      "tls": os.path.join(cls.dir.name, "tls.pem"), "state": cls.dir.name,
                      "audiences": ["api://one"], "clients": {"cron": "s3cret:/ä"}, "lifetime": 600}
        parts = [os.path.join(cls.dir.name, name) for name in ("key", "cert")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", parts[0],
                        "-out", parts[1]], check=True, capture_output=True)
        with open(cls.config["tls"], "w", encoding="utf-8") as bundle:
            for part in parts:
                with open(part, encoding="utf-8") as f:
                    bundle.write(f.read())
        cls.cert = parts[1]
        issuer.Handler.log_request = lambda *args: None
        cls.public, cls.admin = issuer.serve(cls.config)
        for server in (cls.public, cls.admin):
            threading.Thread(target=server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        for server in (cls.public, cls.admin):
            server.shutdown()
            server.server_close()
        cls.dir.cleanup()

    def ask(self, method, path, body=None, headers=None, admin=False, context=None):
        if admin:
            conn = http.client.HTTPConnection("127.0.0.1", self.admin.server_port, timeout=5)
        else:
            context = context or ssl.create_default_context(cafile=self.cert)
            conn = http.client.HTTPSConnection("localhost", self.public.server_port, context=context, timeout=5)
        conn.request(method, path, body, headers or {})
        answer = conn.getresponse()
        value = json.loads(answer.read())
        conn.close()
        return answer.status, value

    def token(self, form=None, headers=None, **changes):
        form = dict(form or {"grant_type": "client_credentials", "client_id": "cron", "client_secret": "s3cret:/ä",
                             "scope": "api://one/.default"}, **changes)
        form = {name: v for name, v in form.items() if v is not None}
        return self.ask("POST", "/trial/oauth2/v2.0/token", urlencode(form), {**FORM, **(headers or {})})

    def mint(self, **order):
        status, value = self.ask("POST", "/mint", json.dumps(order), admin=True)
        self.assertEqual(status, 200, value)
        return value["access_token"]

    def published(self):
        return {k["kid"]: jwt.PyJWK(k).key for k in self.ask("GET", "/trial/discovery/v2.0/keys")[1]["keys"]}

    def verify(self, token):
        key = self.published()[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(token, key, ["RS256"], audience="api://one", issuer=self.config["url"])

    def test_configuration(self):
        status, value = self.ask("GET", "/trial/v2.0/.well-known/openid-configuration")
        self.assertEqual(status, 200)
        self.assertEqual(value["issuer"], self.config["url"])
        self.assertEqual(value["jwks_uri"], "https://localhost/trial/discovery/v2.0/keys")
        self.assertNotIn("introspection_endpoint", value)

    def test_token(self):
        status, value = self.token()
        self.assertEqual(status, 200, value)
        claims = self.verify(value["access_token"])
        for name in ("sub", "azp", "tid", "iat", "nbf", "exp", "oid", "jti"):
            self.assertTrue(claims[name])
        self.assertEqual((claims["ver"], claims["azp"], claims["exp"] - claims["iat"]), ("2.0", "cron", 600))

    def test_basic(self):
        basic = "Basic " + base64.b64encode("cron:s3cret%3A%2F%C3%A4".encode()).decode()
        status, _ = self.token(headers={"Authorization": basic}, client_id=None, client_secret=None)
        self.assertEqual(status, 200)
        for wrong in ("Basic !", "Basic " + base64.b64encode(b"cron:no").decode(), "Bearer x"):
            self.assertEqual(self.token(headers={"Authorization": wrong})[0], 401, wrong)

    def test_refusals(self):
        for changes, status, error in (
                ({"client_secret": "no"}, 401, "invalid_client"),
                ({"client_secret": None}, 401, "invalid_client"),
                ({"client_id": "nobody"}, 401, "invalid_client"),
                ({"grant_type": "password"}, 400, "unsupported_grant_type"),
                ({"grant_type": None}, 400, "invalid_request"),
                ({"scope": "api://two/.default"}, 400, "invalid_scope"),
                ({"scope": "api://one"}, 400, "invalid_scope"),
                ({"scope": None}, 400, "invalid_scope")):
            got = self.token(**changes)
            self.assertEqual((got[0], got[1]["error"]), (status, error), changes)
        self.assertEqual(self.ask("POST", "/trial/oauth2/v2.0/token", "{}")[0], 400)
        self.assertEqual(self.ask("GET", "/trial/oauth2/v2.0/token")[0], 405)

    def test_admin_is_not_public(self):
        for path in ("/mint", "/rotate", "/stats", "/stats/reset", "/healthz"):
            self.assertEqual(self.ask("POST", path, "{}")[0], 404)
            self.assertEqual(self.ask("GET", path)[0], 404)
        self.assertEqual(self.admin.server_address[0], "127.0.0.1")

    def test_mint(self):
        token = self.mint(claims={"sub": "x", "nbf": None}, header={"typ": "at+jwt"})
        claims = self.verify(token)
        self.assertEqual(claims["sub"], "x")
        self.assertNotIn("nbf", claims)
        self.assertEqual(jwt.get_unverified_header(token)["typ"], "at+jwt")
        with self.assertRaises(jwt.InvalidSignatureError):
            self.verify(self.mint(key="stranger"))
        self.assertEqual(jwt.get_unverified_header(self.mint(key="stranger", header={"kid": "k"}))["kid"], "k")
        self.assertTrue(self.mint(header={"alg": "none"}).endswith("."))
        self.assertEqual(self.ask("POST", "/mint", '{"key": "no such"}', admin=True)[0], 400)
        self.assertEqual(self.ask("POST", "/mint", "[", admin=True)[0], 400)

    def test_rotation(self):
        before = self.mint()
        self.ask("POST", "/rotate", "{}", admin=True)
        self.verify(before)
        self.assertNotEqual(*(jwt.get_unverified_header(t)["kid"] for t in (before, self.mint())))
        self.verify(self.mint(key="previous"))
        self.ask("POST", "/rotate", '{"drop": true}', admin=True)
        self.assertEqual(len(self.published()), 1)
        self.assertNotIn(jwt.get_unverified_header(self.mint(key="previous"))["kid"], self.published())
        self.assertEqual([k.kid for k in issuer.Issuer(self.config).keys], [k.kid for k in self.public.issuer.keys])

    def test_stats(self):
        self.ask("POST", "/stats/reset", admin=True)
        self.published()
        self.token()
        self.assertEqual(self.ask("GET", "/stats", admin=True)[1],
                         {"keys_fetched": 1, "configuration_fetched": 0, "tokens": 1})

    def test_old_tls_is_refused(self):
        context = ssl.create_default_context(cafile=self.cert)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, OSError)):
            self.ask("GET", "/", context=context)


if __name__ == "__main__":
    unittest.main()
