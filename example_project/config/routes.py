"""Everything the typed API answers; Django's own pages are in `urls.py`."""

from django.contrib.auth.models import User
from msgspec import Struct

from catalog.api import routes as catalog_routes
from catalog.pages import routes as shop_routes
from hybrid_gateway import Include, get
from live.api import routes as live_routes


class Account(Struct):
    """Who is asking."""

    username: str
    email: str
    is_staff: bool


@get("/hello")
async def hello() -> dict[str, str]:
    """Say hello to everybody."""
    return {"message": "Hello, World!"}


@get("/me")
async def me(user: User) -> Account:
    """Tell who you are: a `User` parameter needs credentials, so without them the answer is 401."""
    return Account(username=user.username, email=user.email, is_staff=user.is_staff)


routes = [
    hello,
    me,
    *catalog_routes,
    *shop_routes,
    *live_routes,
    Include("/auth", "hybrid_gateway.tokens.routes", name="auth"),
    Include("", "hybrid_gateway.health.routes"),  # /livez and /readyz, for whoever restarts and routes
]
