"""One of several processes behind one limit, which counts what passes.

python -m tests.security.throttled_process LOCATION_OF_REDIS HITS
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

if __name__ == "__main__":
    location, hits = sys.argv[1], int(sys.argv[2])
    settings.configure(
        SECRET_KEY="throttled",
        ALLOWED_HOSTS=["testserver"],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location}},
    )
    import django

    django.setup()
    from hybrid_gateway import Gateway, get
    from hybrid_gateway.test import TestClient

    @get("/", throttle=["10/1000 days"])
    def limited() -> str:
        return "passed"

    gateway = Gateway([limited])
    sys.stdin.readline()  # all of them begin together
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: TestClient(gateway, protocol="wsgi").get("/").status_code, range(hits)))
    print(statuses.count(200), statuses.count(429))
