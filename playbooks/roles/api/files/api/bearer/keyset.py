"""The keys of one fetch."""
import json
import logging

from cryptography.exceptions import UnsupportedAlgorithm
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import PyJWTError

log = logging.getLogger(__name__)

LEAST_RSA_BITS = 2048
# PyJWT does not mind which curve goes with which algorithm; RFC 7518 does.
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class KeySet:
    """Keys, whose they are, and when they were fetched."""

    def __init__(self, fetched, content):
        value = json.loads(content)
        self.fetched = fetched
        self.content = content
        self.issuer = value["issuer"]
        self._keys = value["keys"]
        self._made = {}

    def key(self, kid, algorithm):
        """The key of that name, if it is one for that algorithm."""
        if (kid, algorithm) not in self._made:
            found = next((key for key in self._keys if key["kid"] == kid and _fits(key, algorithm)), None)
            if found is None:
                # Not remembered: whoever makes kids up would fill the memory.
                return None
            self._made[kid, algorithm] = _make(found, algorithm)
        return self._made[kid, algorithm]


def _fits(key, algorithm):
    return (
        key.get("kty") == TYPES[algorithm[:2]]
        and key.get("alg", algorithm) == algorithm
        and key.get("crv") == CURVES.get(algorithm)
    )


def _make(key, algorithm):
    try:
        made = get_default_algorithms()[algorithm].from_jwk(json.dumps(key))
    except (PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm) as error:
        log.warning("A key of the provider's cannot be used: %s", type(error).__name__)
        return None
    if key["kty"] == "RSA" and made.key_size < LEAST_RSA_BITS:
        log.warning("A key of the provider's is too short")
        return None
    return made
