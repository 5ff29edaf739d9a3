"""Django's settings: no models, no sessions, nothing but a way in for requests."""
import os

from api.config import load

API = load()

SECRET_KEY = API.secret_key
DEBUG = False
ALLOWED_HOSTS = API.hosts
ROOT_URLCONF = "api.urls"
WSGI_APPLICATION = "api.wsgi.application"
INSTALLED_APPS = []
DATABASES = {}
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
USE_L10N = False
APPEND_SLASH = False

# The first is the outermost, so that refusals have the headers as well; the host is checked before the token.
MIDDLEWARE = [
    "api.headers.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "bearer.middleware.BearerMiddleware",
]

SECURE_HSTS_SECONDS = 31536000
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"

# Whoever may write here takes the instance out of the proxy's rotation; a restart empties the directory.
DRAIN_FILE = os.path.join(os.environ.get("RUNTIME_DIRECTORY", "/run/api"), "draining")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    # Of a 503 that is meant (draining, no keys) nothing need be said; of what nobody expected, all.
    "filters": {"unexpected": {"()": "django.utils.log.CallbackFilter", "callback": lambda record: record.exc_info}},
    "formatters": {"plain": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {
        "journal": {"class": "logging.StreamHandler", "formatter": "plain"},
        "nowhere": {"class": "logging.NullHandler"},
    },
    "loggers": {
        # Refusals are in the access log; here they would only let strangers fill the journal.
        "django": {"handlers": ["journal"], "level": "ERROR", "propagate": False},
        "django.request": {"filters": ["unexpected"]},
        "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
        "bearer": {"handlers": ["journal"], "level": "INFO", "propagate": False},
    },
}
