"""An API of django-ninja with a bit of everything, over the models of the library."""

from http import HTTPStatus
from typing import Annotated

from django.contrib.auth.models import User
from django.db.models import Q
from django.http import Http404, HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from ninja import (
    Field,
    File,
    FilterLookup,
    FilterSchema,
    Form,
    Header,
    ModelSchema,
    NinjaAPI,
    Query,
    Router,
    Schema,
    Status,
)
from ninja.errors import HttpError
from ninja.files import UploadedFile
from ninja.pagination import LimitOffsetPagination, PageNumberPagination, paginate
from ninja.security import HttpBearer, django_auth
from ninja.throttling import AnonRateThrottle
from pydantic import field_validator

from tests.library.models import Author, Biography, Publisher

WORDS = {"one": 1}


def shout(text):
    return text.upper()


class Bearer(HttpBearer):
    def authenticate(self, request, token):
        return token if token == "secret" else None


class AuthorOut(ModelSchema):
    class Meta:
        model = Author
        fields = ["id", "name", "born", "mentor"]


class BiographyOut(Schema):
    text: str
    author: AuthorOut
    writer: str = Field(alias="author.name")

    @staticmethod
    def resolve_text(obj):
        return obj.text


class LoudAuthor(Schema):
    id: int
    name: str

    @staticmethod
    def resolve_name(obj):
        return obj.name.upper()


class PublisherIn(Schema):
    name: str = Field(max_length=50)
    country: str | None = Field(None, max_length=2)


class StrictPublisher(Schema):
    name: str

    @field_validator("name")
    @classmethod
    def not_blank(cls, value):
        if not value.strip():
            raise ValueError("blank")
        return value


class PublisherOut(Schema):
    id: int
    name: str


class Message(Schema):
    message: str


class PublisherFilter(FilterSchema):
    name: Annotated[str | None, FilterLookup("name__icontains")] = None


class LoginForm(Schema):
    name: str


class Sold(Exception):
    pass


router = Router(tags=["authors"])
api = NinjaAPI(urls_namespace="shop")


@api.exception_handler(Sold)
def sold(request, exc):
    return api.create_response(request, {"sorry": str(exc)}, status=410)


@router.get("/authors", response=list[AuthorOut])
def list_authors(request, name: str | None = None):
    rows = Author.objects.order_by("id")  # the rows of everybody
    if name:
        rows = rows.filter(name=name)
    return rows


@router.get("/authors/{int:author_id}", response={200: AuthorOut, 404: Message})
def get_author(request, author_id: int):
    author = Author.objects.filter(pk=author_id).first()
    if author is None:
        return 404, {"message": f"no {shout('author')}"}
    return author


@router.get("/loud", response=list[LoudAuthor])
def loud(request):
    return Author.objects.order_by("id")


@router.get("/biographies", response=list[BiographyOut])
def biographies(request):
    return Biography.objects.order_by("id")


@router.get("/pages", response=list[AuthorOut])
@paginate(LimitOffsetPagination)
def pages(request):
    return Author.objects.order_by("id")


@router.get("/numbered", response=list[LoudAuthor])
@paginate(PageNumberPagination, page_size=1)
def numbered(request):
    return Author.objects.order_by("id")


@api.get("/publishers", response=list[PublisherOut])
def list_publishers(request, filters: PublisherFilter = Query(...)):  # noqa: B008
    return filters.filter(Publisher.objects.order_by("id"))


@api.post("/publishers", response={HTTPStatus.CREATED: PublisherOut}, url_name="add_publisher")
def add_publisher(request, data: PublisherIn):
    return HTTPStatus.CREATED, Publisher.objects.create(**data.dict())


@api.put("/publishers/{publisher_id}", response=PublisherOut)
def put_publisher(request, publisher_id: int, data: StrictPublisher):
    row = get_object_or_404(Publisher, pk=publisher_id)
    row.name = data.name
    row.save()
    return row


@api.delete("/publishers/{publisher_id}", response={204: None})
def delete_publisher(request, publisher_id: int):
    get_object_or_404(Publisher, pk=publisher_id).delete()
    return Status(204, None)


@api.api_operation(["PATCH", "POST"], "/touch", response=Message)
def touch(request):
    return Message(message=request.method)


@api.get("/me", auth=django_auth)
def me(request: HttpRequest):
    return {"name": request.user.username}


@api.get("/secret", auth=Bearer())
def secret(request):
    return {"token": request.auth}


@api.get("/gone")
def gone(request):
    raise Sold("gone")


@api.get("/teapot")
def teapot(request):
    raise HttpError(418, "short and stout")


@api.get("/lost")
def lost(request):
    raise Http404


@api.get("/text")
def text(request):
    return "text é"


@api.get("/django")
def django(request):
    return JsonResponse({"words": WORDS})


@api.get("/header")
def header(request, x_agent: str = Header("nobody"), page: int = Query(1, ge=1, alias="p")):
    return {"agent": x_agent, "page": page}


@api.post("/form", response=Message)
def form(request, data: Form[LoginForm]):
    return {"message": data.name}


@api.post("/upload", response=Message)
def upload(request, file: UploadedFile = File(...)):  # noqa: B008
    return {"message": file.read().decode()}


@api.post("/both", response=Message)
def both(request, data: Form[LoginForm], file: UploadedFile = File(...)):  # noqa: B008
    return {"message": data.name}


@api.get("/slow", throttle=[AnonRateThrottle("1000/m")])
async def slow(request):
    return {"slow": True}


class OwnThrottle(AnonRateThrottle):
    """One of the project's own."""


@api.get("/watched", throttle=[AnonRateThrottle("7/m"), OwnThrottle("5/m")])
def watched(request):
    return {"watched": True}


@api.get("/users/{name}", response=Message)
def user_named(request, name: str):
    found = User.objects.filter(Q(username=name)).first()
    return {"message": found.email if found else ""}


api.add_router("", router)
