"""What a token must be."""
import base64
import json
import logging
import math
import re
import time

from jwt import api_jws
from jwt.exceptions import PyJWTError

from .errors import InvalidToken

log = logging.getLogger(__name__)

LARGEST_TOKEN = 16 * 1024
LONGEST_KID = 256
TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# They would have the token say which key it is to be checked with, or how; `crit` is refused for we know no extension.
REFUSED = ("jku", "jwk", "x5u", "crit")
TYPES = ("jwt", "at+jwt", "application/at+jwt")


class Verifier:
    """Says what a token claims, if it holds."""

    def __init__(self, config, keys, wall=time.time):
        self._config = config
        self._wall = wall
        self.keys = keys

    def claims(self, token):
        """The claims; what is wrong with the token is an InvalidToken, whatever it is."""
        if len(token) > LARGEST_TOKEN:
            raise InvalidToken("the token is too large")
        parts = TOKEN.fullmatch(token)
        if parts is None:
            raise InvalidToken("the token is not a signed JWT")
        algorithm, kid = self._header(_object(parts[1]))
        claims = _object(parts[2])
        # Before the key is looked for, so that a token that cannot hold costs no fetch.
        self._check(claims)
        key, issuer = self.keys.find(kid, algorithm)
        if claims["iss"] not in (self._config.issuers or [issuer]):
            raise InvalidToken("the issuer is not accepted")
        try:
            api_jws.decode(token, key, algorithms=[algorithm])
        except PyJWTError:
            raise InvalidToken("the signature does not hold") from None
        except Exception as error:
            log.warning("A signature could not be checked: %s", type(error).__name__)
            raise InvalidToken("the signature does not hold") from None
        return claims

    def _header(self, header):
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._config.algorithms:
            raise InvalidToken("the algorithm is not accepted")
        if any(name in header for name in REFUSED):
            raise InvalidToken("the header has what is not accepted")
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower() not in TYPES:
            raise InvalidToken("the type is not accepted")
        kid = header.get("kid")
        if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_KID:
            raise InvalidToken("the header names no key")
        return algorithm, kid

    def _check(self, claims):
        now, leeway = self._wall(), self._config.leeway
        if now >= _time(claims, "exp") + leeway:
            raise InvalidToken("the token has expired")
        if "nbf" in claims and now < _time(claims, "nbf") - leeway:
            raise InvalidToken("the token is not valid yet")
        for name in ("iss", "sub"):
            if not isinstance(claims.get(name), str) or not claims[name]:
                raise InvalidToken(f"the claim {name} is missing")
        audiences = claims.get("aud")
        audiences = audiences if isinstance(audiences, list) else [audiences]
        if not any(isinstance(audience, str) and audience in self._config.audiences for audience in audiences):
            raise InvalidToken("the audience is not accepted")


def _time(claims, name):
    value = claims.get(name)
    if not (type(value) is int or (type(value) is float and math.isfinite(value))):
        raise InvalidToken(f"the claim {name} is missing")
    return value


def _object(part):
    try:
        text = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode("utf-8")
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_constant)
    except (ValueError, RecursionError):
        raise InvalidToken("the token cannot be read") from None
    if not isinstance(value, dict):
        raise InvalidToken("the token cannot be read")
    return value


def _once(pairs):
    # Of a name that is there twice, every reader may see another one.
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name is there twice")
    return value


def _constant(name):
    raise ValueError(f"{name} is not JSON")
