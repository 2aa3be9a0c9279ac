"""Applications to compare with."""

import json

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from hybrid_gateway import Gateway, get
from hybrid_gateway.http import Path
from tests.comparison.new_routes import routes

gateway = Gateway(routes)
wsgi = gateway.wsgi
number = 7


@get("/slashed")
def slashed_handler(path: Path) -> dict[str, str]:
    return {"a": path}


slashed = Gateway([slashed_handler], trailing_slash="ignore")
django_asgi = get_asgi_application()
django_wsgi = get_wsgi_application()


async def nobody(scope, receive, send):
    await respond(send, {"name": ""})


async def links(scope, receive, send):
    prefix = scope["path"].removesuffix("/next")
    await respond(send, {"next": f"{'/a' if prefix == '/c' else prefix}x/more" if prefix == "/c" else f"{prefix}/more"})


async def broken(scope, receive, send):
    raise ZeroDivisionError("no")


async def respond(send, body):
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
