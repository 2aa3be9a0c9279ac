"""A project of its own with django-axes, whose receivers nobody can take back: what its doors answered, as JSON."""

import json
from base64 import b64encode

import django
from django.conf import settings
from django.core.management import call_command

from tests import settings as base

settings.configure(
    **{name: getattr(base, name) for name in dir(base) if name.isupper()}
    | {
        "INSTALLED_APPS": [*base.INSTALLED_APPS, "axes"],
        "AUTHENTICATION_BACKENDS": [
            "axes.backends.AxesStandaloneBackend",
            "django.contrib.auth.backends.ModelBackend",
        ],
        "AXES_FAILURE_LIMIT": 3,
        "AXES_LOCKOUT_PARAMETERS": [["username", "ip_address"]],
        "AXES_VERBOSE": False,
        "LOGGING_CONFIG": None,
    }
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402

from hybrid_gateway import Gateway, Include, get  # noqa: E402
from hybrid_gateway.auth import BasicAuthentication  # noqa: E402
from hybrid_gateway.test import TestClient  # noqa: E402


@get("/basic", authentication=[BasicAuthentication()])
def basic(user: User) -> str:
    return user.username


def log_in(client, name, password, prefix=""):
    return client.post(f"{prefix}/login", json={"username": name, "password": password}).status_code


def log_in_basic(client, name, password):
    value = b64encode(f"{name}:{password}".encode()).decode()
    return client.get("/basic", headers={"Authorization": f"Basic {value}"}).status_code


def told(client, name, password):
    """Below the middleware of axes, which tells who is locked out."""
    return log_in(client, name, password, "/told")


def main():
    """Try each door: the right password, three wrong ones, and the right one again."""
    call_command("migrate", verbosity=0)
    middleware = ["axes.middleware.AxesMiddleware"]
    routes = Include("", "hybrid_gateway.tokens.routes")
    gateway = Gateway([basic, routes, Include("/told", "hybrid_gateway.tokens.routes", django_middleware=middleware)])
    answers = {}
    for protocol in ("asgi", "wsgi"):
        client = TestClient(gateway, protocol=protocol)
        for door in (log_in, log_in_basic, told):
            name = f"{protocol}-{door.__name__}"
            User.objects.create_user(name, password="right")
            passwords = ["right", "wrong", "wrong", "wrong", "right"]
            answers[name] = [door(client, name, password) for password in passwords]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
