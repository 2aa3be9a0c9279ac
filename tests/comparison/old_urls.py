"""The side that is moved: views of Django and an API of django-ninja."""

import itertools

from django.core import mail as django_mail
from django.core.cache import cache
from django.core.mail import send_mail
from django.http import HttpResponse, JsonResponse
from django.urls import path
from ninja import NinjaAPI, Schema, Status

from tests.library.models import Author, Publisher

api = NinjaAPI(urls_namespace="old")


class PublisherOut(Schema):
    id: int
    name: str
    country: str | None


@api.get("/publishers", response=list[PublisherOut])
def list_publishers(request, country: str | None = None):
    rows = Publisher.objects.order_by("id")
    return rows if country is None else rows.filter(country=country)


@api.get("/publishers/{publisher_id}", response=PublisherOut)
def get_publisher(request, publisher_id: int):
    return Publisher.objects.get(pk=publisher_id)


@api.post("/publishers", response={201: PublisherOut})
def add_publisher(request, name: str):
    return Status(201, Publisher.objects.create(name=name))


@api.get("/strangers/{word}")
def strangers(request, word: str):
    return word


def me(request):
    return JsonResponse({"name": request.user.username})


def mail(request):
    outbox = django_mail.outbox = []  # which only the backend in memory fills
    send_mail("subject", "text", "a@example.org", ["b@example.org"])
    return JsonResponse({"kept": len(outbox) > 0})


def agent(request):
    return JsonResponse({"agent": request.headers.get("X-Agent", "")})


def both(request):
    answer = JsonResponse(
        {"a": 1, "gone": "value-that-moves", "text": "1", "many": [1, 2], "turned": [1, 2], "word": "a"}
    )
    answer["Vary"] = "Accept, Cookie"
    answer["X-Old"] = "yes"
    return answer


_NUMBERS = itertools.count()


def unsteady(request):
    return JsonResponse({"number": next(_NUMBERS), "steady": "old"})


def cached(request):
    return JsonResponse({"by": cache.get_or_set("by", "old")})


def author(request):
    return JsonResponse({"count": Author.objects.count(), "made": Author.objects.create(name="Ada").name})


urlpatterns = [
    path("api/", api.urls),
    path("me", me),
    path("mail", mail),
    path("agent", agent),
    path("both", both),
    path("unsteady", unsteady),
    path("cached", cached),
    path("told", lambda request: JsonResponse({"detail": "é"}, status=404)),
    path("author", author),
    path("same", lambda request: JsonResponse({"a": [1, {"b": None}]})),
    path("slashed/", lambda request: JsonResponse({"a": request.path})),
    path("text", lambda request: HttpResponse("old", content_type="text/plain")),
    path("lost", lambda request: JsonResponse({"detail": "Not found"}, status=404)),
    path("plain", lambda request: HttpResponse('{"b": 1, "a": 2}', content_type="application/json")),
]
