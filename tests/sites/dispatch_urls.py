"""Django's side in the tests of dispatch: one allowed prefix, one view that no prefix allows."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path, re_path, reverse


def page(request: HttpRequest, rest: str = "") -> HttpResponse:
    return JsonResponse({"path": request.path, "info": request.path_info, "home": reverse("page"), "rest": rest})


async def async_page(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"async": request.path_info})


def internal(request: HttpRequest) -> HttpResponse:
    return HttpResponse("internal")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("pages/", page, name="page"),
    path("pages/async/", async_page),
    re_path(r"^pages/(?P<rest>.+)$", page),
    path("internal/", internal),
    path("", internal, name="root"),
]
