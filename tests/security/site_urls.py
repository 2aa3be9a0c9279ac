"""The URLconf of the site."""

from django.http import HttpResponse
from django.urls import path, re_path


def seen(request, rest=""):
    names = sorted(name for name in request.META if "USER" in name and name.startswith("HTTP_X"))
    return HttpResponse(f"django {request.method} {request.path_info!r} {names}")


def length(request):
    return HttpResponse(f"django {len(request.body)}")


urlpatterns = [
    path("admin/length/", length),
    re_path(r"^admin/(?P<rest>.*)$", seen),
    re_path(r"^static/(?P<rest>.*)$", seen),
    re_path(r"^internal/(?P<rest>.*)$", lambda request, rest: HttpResponse("internal")),
]
