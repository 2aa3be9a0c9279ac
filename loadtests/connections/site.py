"""A synchronous and an asynchronous view, each of one query, under both applications; and the same as typed routes."""

from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

django_application = get_asgi_application()

from django.contrib.auth.models import User  # noqa: E402

from hybrid_gateway import Gateway, get  # noqa: E402


def sync_view(request: HttpRequest) -> JsonResponse:
    """Ask for a row."""
    return JsonResponse({"exists": User.objects.filter(pk=1).exists()})


async def async_view(request: HttpRequest) -> JsonResponse:
    """Ask for a row by the asynchronous ORM."""
    return JsonResponse({"exists": await User.objects.filter(pk=1).aexists()})


@get("/route/sync/")
def sync_route() -> dict[str, bool]:
    """Ask for a row."""
    return {"exists": User.objects.filter(pk=1).exists()}


@get("/route/async/")
async def async_route() -> dict[str, bool]:
    """Ask for a row by the asynchronous ORM."""
    return {"exists": await User.objects.filter(pk=1).aexists()}


urlpatterns = [path("view/sync/", sync_view), path("view/async/", async_view)]
gateway_application = Gateway([sync_route, async_route], django_routes=["/view/"])
