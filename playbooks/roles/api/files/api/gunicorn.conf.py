"""How gunicorn serves the API."""
import os

from api.config import load

_config = load()

bind = f"{_config.listen}:{_config.port}"
workers = _config.workers
threads = _config.threads
worker_class = "api.worker.Worker"
worker_connections = 200
worker_tmp_dir = os.environ.get("RUNTIME_DIRECTORY")
certfile = _config.tls
backlog = 512
timeout = 30
graceful_timeout = 10
keepalive = 30

limit_request_line = 4094
limit_request_fields = 64
# One header must hold the largest token that is looked at; what is larger than that is refused with a 400.
limit_request_field_size = 17 * 1024

# Nothing that a client says about where it comes from, or how, is believed.
forwarded_allow_ips = ""
secure_scheme_headers = {}

# No query string and no header: a token sent in the wrong place must not end up in the journal.
accesslog = "-"
access_log_format = '%(h)s "%(m)s %(U)s %(H)s" %(s)s %(B)s %(M)sms'
errorlog = "-"
logger_class = "api.worker.Logger"

LARGEST_BODY = 64 * 1024


def pre_request(worker, request):
    # gunicorn takes SCRIPT_NAME from a header of that name and fails if the path does not have it; and `X_Y` becomes
    # the same variable as `X-Y`, so that names with an underscore can only serve to deceive.
    request.headers = [(name, value) for name, value in request.headers if "_" not in name]
    # Nobody reads bodies here; a large one, or one of unknown length, is not worth skipping for the next request.
    headers = dict(request.headers)
    length = headers.get("CONTENT-LENGTH", "0")
    if "TRANSFER-ENCODING" in headers or not length.isdigit() or int(length) > LARGEST_BODY:
        request.force_close()


def post_worker_init(worker):
    from bearer.middleware import verifier

    # The first request of a new worker should not be the one that waits for the keys.
    verifier().keys.prepare()
