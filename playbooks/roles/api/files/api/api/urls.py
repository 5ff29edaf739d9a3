"""What there is."""
from django.urls import path

from api import views
from bearer.middleware import HEALTH

urlpatterns = [
    path(HEALTH.lstrip("/"), views.healthz),
    path("api/whoami", views.whoami),
]

handler400 = views.bad_request
handler404 = views.not_found
handler500 = views.failed
