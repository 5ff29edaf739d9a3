"""The provider: who it says it is, and its keys."""
import json

from api.config import https

from . import fetch

MOST_KEYS = 200
LONGEST_KID = 256
# Public members alone: nothing else is needed, and nothing else should lie in a cache.
MEMBERS = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")


class Provider:
    """Asked for its configuration and its keys, both anew each time, since either may move."""

    def __init__(self, url, document=fetch.document):
        self._url = url.rstrip("/") + "/.well-known/openid-configuration"
        self._document = document

    def fetch(self):
        """Issuer and keys as text, as `KeySet` reads it."""
        configuration = self._document(self._url)
        issuer, address = configuration.get("issuer"), configuration.get("jwks_uri")
        if not isinstance(issuer, str) or not https(address):
            raise fetch.FetchError("the configuration has no issuer, or no jwks_uri of https")
        keys = self._document(address).get("keys")
        if not isinstance(keys, list) or len(keys) > MOST_KEYS:
            raise fetch.FetchError("no list of keys")
        return json.dumps({"issuer": issuer, "keys": [_public(key) for key in keys if _usable(key)]}, sort_keys=True)


def _usable(key):
    return (
        isinstance(key, dict)
        and isinstance(key.get("kid"), str)
        and 0 < len(key["kid"]) <= LONGEST_KID
        and key.get("kty") in ("RSA", "EC", "OKP")
        and key.get("use", "sig") == "sig"
    )


def _public(key):
    return {name: key[name] for name in MEMBERS if isinstance(key.get(name), str)}
