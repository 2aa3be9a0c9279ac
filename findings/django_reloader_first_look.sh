#!/bin/sh
# Django 5.2.19 (PyPI; django/utils/autoreload.py, StatReloader.snapshot_files and tick), the reloader of runserver without watchman.
#
# Most would expect that what is saved while the server starts is served in the end: it restarts for every save. What happens: the time of a
# file that the reloader sees first is taken for that of the code that was imported. It looks first when the URLs are loaded, and then once a
# second; so a save between the import of a module and the first look at it, some tenths of a second after a start and up to a second for a
# module that a view imports, is passed over. The old code runs until the file is saved again. Editors that format on save, and generators
# that write several files, do just that: the first file starts the server anew, and the second comes while it starts.
#
# Seen, with a save by urls.py itself right after it has imported the module, so that nothing depends on time; the second save is a later one:
#   file: 2; served five seconds later: 1; after another save: 3
# Exits 0 as long as that is what happens.
set -eu
folder=$(mktemp -d)
trap 'kill -- "-$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check django==5.2.19
cd "$folder"
echo 'VERSION = 1' > page.py
cat > urls.py <<'PYTHON'
from pathlib import Path

import page
from django.http import HttpResponse
from django.urls import path

if page.VERSION == 1:
    Path(page.__file__).write_text("VERSION = 2\n")
urlpatterns = [path("", lambda request: HttpResponse(str(page.VERSION)))]
PYTHON
cat > site_settings.py <<'PYTHON'
DEBUG, SECRET_KEY, ROOT_URLCONF = True, "of nobody", "urls"
ALLOWED_HOSTS = ["127.0.0.1"]
PYTHON
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PYTHONPATH="$folder" PYTHONDONTWRITEBYTECODE=1 DJANGO_SETTINGS_MODULE=site_settings
setsid "$folder/venv/bin/python" -m django runserver --skip-checks "127.0.0.1:$port" > log 2>&1 &
server=$!
ask() { curl -s --retry 20 --retry-connrefused --retry-delay 1 "http://127.0.0.1:$port/" || true; }
ask > /dev/null
sleep 5
file=$(sed 's/VERSION = //' page.py)
first=$(ask)
echo 'VERSION = 3' > page.py
for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 1
    second=$(ask)
    [ "$second" = 3 ] && break
done
seen="file: $file; served five seconds later: $first; after another save: $second"
echo "$seen"
[ "$seen" = "file: 2; served five seconds later: 1; after another save: 3" ]
