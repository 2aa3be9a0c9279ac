#!/bin/sh
# django-maintenance-mode 0.23.0 (PyPI; maintenance_mode/settings.py, the default of MAINTENANCE_MODE_STATE_FILE_PATH), Django 5.2.
#
# Django's settings may be given in code, by settings.configure(). Most would expect an app to start with them like with any others,
# all the more where its state is kept in the cache, so that it needs no file.
# What happens: the app looks for the folder of the module in the environment variable DJANGO_SETTINGS_MODULE as soon as it is imported, to
# name a file that this backend never opens. Without the variable django.setup() ends in a KeyError.
# Setting MAINTENANCE_MODE_STATE_FILE_PATH, to anything, avoids it.
#
# Seen:
#   without the path: KeyError: 'DJANGO_SETTINGS_MODULE'
#   with the path: started
# Exits 0 as long as that is what happens.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check django==5.2.19 django-maintenance-mode==0.23.0 python-fsutil==0.18.0
cat > "$folder/start.py" <<'PYTHON'
import sys

import django
from django.conf import settings

path = {"MAINTENANCE_MODE_STATE_FILE_PATH": "unused"} if sys.argv[1:] else {}
settings.configure(
    INSTALLED_APPS=["maintenance_mode"],
    MAINTENANCE_MODE_STATE_BACKEND="maintenance_mode.backends.CacheBackend",
    **path,
)
try:
    django.setup()
except KeyError as error:
    print(f"KeyError: {error}")
else:
    print("started")
PYTHON
unset DJANGO_SETTINGS_MODULE || true
without=$("$folder/venv/bin/python" "$folder/start.py")
with=$("$folder/venv/bin/python" "$folder/start.py" path)
echo "without the path: $without"
echo "with the path: $with"
[ "$without" = "KeyError: 'DJANGO_SETTINGS_MODULE'" ] && [ "$with" = "started" ]
