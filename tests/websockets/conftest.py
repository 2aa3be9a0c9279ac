"""Websockets on every ASGI server take minutes: `scripts/servers` has them, the suite has those of test_servers.py."""

import os

collect_ignore = [] if os.environ.get("EVERY_SERVER") else ["test_asgi_servers.py", "test_asgi_draining.py"]
