"""What the operator set: one JSON file, checked as a whole before anything starts."""
import dataclasses
import json
import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# Only asymmetric algorithms: with an HMAC the public key would be the secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SHORTEST_SECRET = 16
# memcached takes a larger number of seconds for a date.
LONGEST = 30 * 86400


class ConfigError(Exception):
    """The settings cannot be used."""


@dataclass(frozen=True)
class Config:
    """The settings; the names are those of the role's variables without their prefix."""

    secret_key: str = field(repr=False)
    cache_key: str = field(repr=False)
    provider: str
    audiences: list
    hosts: list
    issuers: list = field(default_factory=list)
    algorithms: list = field(default_factory=lambda: ["RS256"])
    memcached: list = field(default_factory=list)
    key_cache: int = 86400
    key_refresh: int = 300
    key_local: int = 60
    leeway: int = 60
    listen: str = "0.0.0.0"
    port: int = 8443
    workers: int = 3
    threads: int = 4
    tls: str = "/etc/api/tls.pem"

    def __post_init__(self):
        for name in ("secret_key", "cache_key"):
            _need(_text(getattr(self, name)) and len(getattr(self, name)) >= SHORTEST_SECRET,
                  f"{name} must have at least {SHORTEST_SECRET} characters")
        for name in ("audiences", "hosts", "algorithms"):
            _need(_texts(getattr(self, name)) and getattr(self, name), f"{name} must be a list of words, not empty")
        for name in ("issuers", "memcached"):
            _need(_texts(getattr(self, name)), f"{name} must be a list of words")
        _need(https(self.provider), "provider must be an https URL")
        _need("*" not in self.hosts, "hosts must name the hosts")
        unknown = [name for name in self.algorithms if name not in ALGORITHMS]
        _need(not unknown, f"algorithms may be of {', '.join(ALGORITHMS)}")
        for server in self.memcached:
            _need(server.rpartition(":")[0] and server.rpartition(":")[2].isdigit(), "memcached must be HOST:PORT")
        for name, least, most in (
            ("key_cache", 1, LONGEST), ("key_refresh", 1, LONGEST), ("key_local", 0, LONGEST), ("leeway", 0, 600),
            ("port", 1, 65535), ("workers", 1, 64), ("threads", 1, 64),
        ):
            value = getattr(self, name)
            _need(type(value) is int and least <= value <= most, f"{name} must be a number from {least} to {most}")
        _need(self.key_refresh <= self.key_cache, "key_refresh must not be longer than key_cache")


def https(url):
    """Whether it is a URL that keys may be fetched from."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port != 0
    except (ValueError, TypeError, AttributeError):
        return False


def load(path=None):
    """The settings in the file that `API_SETTINGS` names."""
    path = path or os.environ.get("API_SETTINGS", "/etc/api/settings.json")
    with open(path, encoding="utf-8") as file:
        values = json.load(file)
    known = {item.name for item in dataclasses.fields(Config)}
    try:
        return Config(**{name: value for name, value in values.items() if name in known})
    except TypeError as error:
        raise ConfigError(str(error)) from None


def _need(holds, message):
    if not holds:
        raise ConfigError(message)


def _text(value):
    return isinstance(value, str) and bool(value)


def _texts(values):
    return isinstance(values, list) and all(_text(value) for value in values)
