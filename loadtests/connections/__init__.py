"""PostgreSQL connections of the same views under Django's own ASGI handler and under the gateway."""
