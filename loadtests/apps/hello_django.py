"""Django alone: one synchronous view, the kind most projects are made of."""

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path


def hello(request: HttpRequest) -> JsonResponse:
    """Say hello in the same bytes as every other application here."""
    return JsonResponse({"message": "Hello, World!"}, json_dumps_params={"separators": (",", ":")})


urlpatterns = [path("page/", hello)]

application = get_asgi_application()
wsgi_application = get_wsgi_application()
