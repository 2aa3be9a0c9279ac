"""The URLconf of the site."""

from django.http import Http404, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt

from tests.security.site_answers import views


def seen(request, rest=""):
    names = sorted(name for name in request.META if "USER" in name and name.startswith("HTTP_X"))
    return HttpResponse(f"django {request.method} {request.path_info!r} {names}")


def length(request):
    return HttpResponse(f"django {len(request.body)}")


@csrf_exempt
def upload(request):
    return HttpResponse(f"django {request.FILES['files'].size}")


def missing(request):
    raise Http404


def broken(request):
    raise LookupError("on purpose")


urlpatterns = [
    path("admin/length/", length),
    path("admin/upload/", upload),
    path("admin/django/", include(views)),
    re_path("^admin/missing", missing),
    re_path("^admin/broken", broken),
    re_path("^admin/bad", lambda request: HttpResponse(status=400)),
    re_path(r"^admin/(?P<rest>.*)$", seen),
    re_path(r"^static/(?P<rest>.*)$", seen),
    re_path(r"^internal/(?P<rest>.*)$", lambda request, rest: HttpResponse("internal")),
]
