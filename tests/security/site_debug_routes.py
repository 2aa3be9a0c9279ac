"""Routes that take whatever path there is, and others that answer with what a client sent."""

from hybrid_gateway import Router, get
from tests.security import site_answers
from tests.security.site_routes import probe


@get("/{a}/{b}")
async def two(a: str, b: str) -> str:
    return a


@get("/one/{a}/")
async def one(a: str) -> str:
    return a


@get("/{a}")
async def anything(a: str) -> str:
    return a


routes = [two, one, anything, probe, Router("/answers", site_answers.ROUTES)]
