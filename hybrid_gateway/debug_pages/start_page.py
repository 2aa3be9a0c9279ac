"""The page that runserver serves in the place of a gateway that cannot be built: the mistake, its place, what to do."""

from __future__ import annotations

import linecache

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from hybrid_gateway.debug_pages.page_parts import document
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.problems import TAG, link
from hybrid_gateway.problems.catalogue import find
from hybrid_gateway.problems.places import Place
from hybrid_gateway.types import ASGIApp, Receive, Scope, Send

AROUND = 5  # lines before and after the one that is shown


def start_page_application(error: ConfigurationError) -> ASGIApp:
    """Return an application that answers every request with the page."""
    page = start_page(error).encode()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(str(error))  # so servers close websockets, and take it that there is no lifespan
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page})

    return application


def start_page(error: ConfigurationError) -> str:
    """Return the page, which looks again every other second."""
    body = format_html(
        "<meta http-equiv=refresh content=2><h1>{} <span class=soft>The API cannot be built</span></h1>"
        "<pre class=says>{}</pre>{}{}<p class=soft>The server starts again when a file changes, and this page looks "
        "for it.</p>",
        type(error).__name__,
        error.text,
        mark_safe("") if error.place is None else _source(error.place),
        mark_safe("") if error.id is None else _explained(error.id),
    )
    return document(f"{type(error).__name__}: the API cannot be built", body)


def _source(place: Place) -> SafeString:
    """Return the lines around a place, that one marked."""
    numbers = range(max(1, place.line - AROUND), place.line + AROUND + 1)
    texts = [(number, linecache.getline(place.file, number).rstrip("\n")) for number in numbers]
    marks = {True: mark_safe(" class=failing"), False: ""}
    lines = format_html_join(
        "", "<li{}>{} {}</li>", ((marks[number == place.line], f"{number:4}", text) for number, text in texts)
    )
    return format_html("<h2>{}</h2><ol class=source>{}</ol>", place, lines)


def _explained(number: str) -> SafeString:
    """Return what the catalogue says of an id."""
    problem = find(number)
    if problem is None:
        return mark_safe("")
    return format_html(
        "<h2>{}.{} {}</h2><p>{}</p><h2>Why</h2><p>{}</p><h2>What to do</h2><pre class=says>{}</pre>"
        "<p><a href='{}'>{}</a></p>",
        TAG,
        number,
        problem.title,
        problem.wrong,
        problem.why,
        problem.remedy,
        link(number),
        link(number),
    )
