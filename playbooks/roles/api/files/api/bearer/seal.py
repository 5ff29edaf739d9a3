"""Entries of a cache that others can write to: text, and a proof of who wrote it and what for."""
import hashlib
import hmac
import json

VERSION = 1
LARGEST = 512 * 1024


def seal(secret, name, provider, fetched, content):
    """The entry's text."""
    return json.dumps({
        "version": VERSION, "fetched": fetched, "content": content,
        "mac": _mac(secret, name, provider, fetched, content),
    })


def unseal(secret, name, provider, entry):
    """When it was fetched and what it holds; None of whatever is not ours."""
    try:
        if not isinstance(entry, bytes) or len(entry) > LARGEST:
            return None
        value = json.loads(entry.decode("utf-8"))
        fetched, content, mac = value["fetched"], value["content"], value["mac"]
        if not (isinstance(content, str) and isinstance(mac, str) and type(fetched) in (int, float)):
            return None
        expected = _mac(secret, name, provider, fetched, content)
        if not hmac.compare_digest(mac.encode("utf-8", "replace"), expected.encode("ascii")):
            return None
        return fetched, content
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


def _mac(secret, name, provider, fetched, content):
    text = json.dumps([VERSION, name, provider, fetched, content])
    return hmac.new(secret.encode("utf-8"), text.encode("ascii"), hashlib.sha256).hexdigest()
