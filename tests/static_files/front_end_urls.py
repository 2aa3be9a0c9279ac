"""A URLconf with a page that no prefix of the gateway names."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"Django's {request.path}", content_type="text/plain")


urlpatterns = [path("admin/", page), path("page/", page)]
