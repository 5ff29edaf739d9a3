"""Lets nothing through without a token that holds."""
import functools
import re

from django.conf import settings
from django.http import JsonResponse

from .errors import InvalidToken, KeysUnavailable, MissingToken
from .keystore import KeyStore
from .memory import Memory
from .provider import Provider
from .verify import Verifier

HEALTH = "/healthz"
CREDENTIALS = re.compile(r"([!-~]+) +([!-~]+)")


@functools.lru_cache(maxsize=None)
def verifier():
    """The one of this process; made in the worker, for it has threads and connections."""
    config = settings.API
    return Verifier(config, KeyStore(config, Provider(config.provider), Memory(config.memcached)))


class BearerMiddleware:
    """Sets `request.claims`; who asks is known from nowhere else."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path_info == HEALTH:
            return self.get_response(request)
        try:
            request.claims = verifier().claims(_token(request))
        except MissingToken:
            return _refusal({"error": "token_required"}, 'Bearer realm="api"')
        except InvalidToken as error:
            return _refusal(
                {"error": "invalid_token", "detail": str(error)}, 'Bearer realm="api", error="invalid_token"'
            )
        except KeysUnavailable as error:
            headers = {"Retry-After": str(error.retry_after)}
            return JsonResponse({"error": "keys_unavailable"}, status=503, headers=headers)
        return self.get_response(request)


def _token(request):
    value = request.META.get("HTTP_AUTHORIZATION", "").strip(" ")
    scheme = value.partition(" ")[0]
    if scheme.lower() != "bearer":
        raise MissingToken
    credentials = CREDENTIALS.fullmatch(value)
    if credentials is None:
        raise InvalidToken("the token cannot be read")
    return credentials[2]


def _refusal(body, challenge):
    return JsonResponse(body, status=401, headers={"WWW-Authenticate": challenge})
