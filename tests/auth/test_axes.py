"""Backends that insist on a request get one: django-axes locks out whoever guesses passwords at our doors, too."""

import json
import subprocess
import sys

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest

from hybrid_gateway import Include


def test_the_right_password_comes_too_late_after_three_wrong_ones():
    pytest.importorskip("axes")
    done = subprocess.run([sys.executable, "-m", "tests.sites.axes_site"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for name, statuses in json.loads(done.stdout).items():
        good = 200 if name.endswith("basic") else 201
        late = [429, 429] if name.endswith("told") else [401, 401]
        assert statuses == [good, 401, 401, *late], name


@pytest.mark.django_db(transaction=True)
def test_receivers_see_the_request(serve):
    seen = []

    def note(request, **kwargs):
        assert isinstance(request, HttpRequest)
        seen.append((request.META["REMOTE_ADDR"], request.path))

    User.objects.create_user("ada", password="right")
    user_logged_in.connect(note)
    user_login_failed.connect(note)
    try:
        client = serve(Include("/auth", "hybrid_gateway.tokens.routes"))
        for password, status in (("right", 201), ("wrong", 401)):
            given = {"username": "ada", "password": password}
            assert client.post("/auth/login", json=given).status_code == status
    finally:
        user_logged_in.disconnect(note)
        user_login_failed.disconnect(note)
    assert seen == [("127.0.0.1", "/auth/login")] * 2
