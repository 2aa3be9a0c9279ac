"""Pages of Django's that leave and show flash messages."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import path


def leave(request: HttpRequest, text: str) -> HttpResponse:
    messages.success(request, text, extra_tags="big")
    return HttpResponse()


def show(request: HttpRequest) -> HttpResponse:
    shown = [f"{message.level_tag} {message}" for message in messages.get_messages(request)]
    return HttpResponse("\n".join(shown))


urlpatterns = [path("pages/leave/<text>", leave), path("pages/show", show)]
