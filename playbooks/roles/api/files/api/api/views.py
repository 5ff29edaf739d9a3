"""What is answered."""
import os

from django.conf import settings
from django.http import JsonResponse


def _only_reads(view):
    def checked(request):
        if request.method not in ("GET", "HEAD"):
            return JsonResponse({"error": "method_not_allowed"}, status=405, headers={"Allow": "GET, HEAD"})
        return view(request)

    return checked


@_only_reads
def healthz(request):
    """Whether requests should come here; needs neither the cache nor the provider."""
    if os.path.exists(settings.DRAIN_FILE):
        return JsonResponse({"status": "draining"}, status=503)
    return JsonResponse({"status": "ok"})


@_only_reads
def whoami(request):
    """What the token says, once it is verified."""
    return JsonResponse({"claims": request.claims})


def bad_request(request, exception=None):
    """A foreign host, or what Django takes for an attack."""
    return JsonResponse({"error": "bad_request"}, status=400)


def not_found(request, exception=None):
    """No such path."""
    return JsonResponse({"error": "not_found"}, status=404)


def failed(request):
    """A fault of ours, of which nothing is told."""
    return JsonResponse({"error": "internal_error"}, status=500)
