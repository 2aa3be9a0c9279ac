"""A project's own pages in the tests of FALLTHROUGH: some that routes and the document's pages stand beside."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path


def page(request: HttpRequest, **values: str) -> HttpResponse:
    return HttpResponse(f"django {request.path_info} {values}")


urlpatterns = [
    path("docs/", page),
    path("openapi.json", page),
    path("things/", page),
    path("slashed", page),
    path("both/", page),
    path("people/<int:pk>/", page),
    path("tag/<path:name>", page),
    path("shop/", include([path("cart/", page), path("<slug:name>/", page)])),
    re_path(r"^old/(?P<year>[0-9]{4})/$", page),
]
