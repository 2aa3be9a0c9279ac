#!/bin/sh
# django-stubs 6.1.2 with mypy 2.4.1 (PyPI; mypy_django_plugin, incremental mode, which is mypy's default) and Django 5.2.19.
#
# Most would expect an incremental run to say what a run without a cache says. What happens: when a model moves from one module of its app to
# another, the cached facts of the model at the other end of its foreign key are taken for current, and lack the relation: code that has not
# changed is told of an attribute that does not exist, until the cache is deleted. So whoever moves models about meets errors of code that is
# right, and a hook that runs mypy before each commit stops it.
#
# Seen:
#   before: rc 0; after the move: rc 1, "User" has no attribute "app_sessions"; without the cache: rc 0
# Exits 0 as long as that is what happens.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check django==5.2.19 django-stubs==6.1.2 mypy==2.4.1
mkdir "$folder/app"
cd "$folder"
touch app/__init__.py
cat > settings.py <<'PYTHON'
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "app"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
SECRET_KEY = "of nobody"
PYTHON
cat > mypy.ini <<'INI'
[mypy]
plugins = mypy_django_plugin.main
files = app
[mypy.plugins.django-stubs]
django_settings_module = settings
INI
cat > app/logins.py <<'PYTHON'
from django.contrib.auth.models import User
from django.db import models


class Login(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="app_sessions")
PYTHON
echo "from app.logins import Login as Login" > app/models.py
cat > app/views.py <<'PYTHON'
from django.contrib.auth.models import User


def count(user: User) -> int:
    return user.app_sessions.count()
PYTHON

check() {
    code=0
    output=$(PYTHONPATH=. venv/bin/mypy) || code=$?
    told=$(echo "$output" | grep -o '"User" has no attribute "app_sessions"' || true)
    printf '%s: rc %s%s' "$1" "$code" "${told:+, $told}"
}

seen=$(check before)
mv app/logins.py app/models.py
seen="$seen; $(check "after the move")"
rm -r .mypy_cache
seen="$seen; $(check "without the cache")"
echo "$seen"
[ "$seen" = 'before: rc 0; after the move: rc 1, "User" has no attribute "app_sessions"; without the cache: rc 0' ]
