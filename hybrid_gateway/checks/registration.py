"""System checks: what is wrong with a project's configuration, before the first request finds out.

Every message has a hint and an id, by which ``SILENCED_SYSTEM_CHECKS`` silences it; all have the tag
``hybrid_gateway``. Projects that build their ``Gateway`` in code, without ``HYBRID_GATEWAY``, are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from django.core.checks import CheckMessage, register

from hybrid_gateway.checks.both_sides import clashing_paths, front_page_alone
from hybrid_gateway.checks.deploy import (
    old_packages,
    public_documentation,
    single_threaded_sqlite,
    transport_in_clear,
    unchecked_connections,
)
from hybrid_gateway.checks.logins import closed_doors
from hybrid_gateway.checks.messages import TAG
from hybrid_gateway.checks.missed_middleware import missed_middleware
from hybrid_gateway.checks.served_applications import other_applications, other_runserver
from hybrid_gateway.checks.settings_checks import (
    broken_configuration,
    current_gateway,
    pooled_persistent_connections,
    whitenoise_under_asgi,
)
from hybrid_gateway.checks.tenants import missed_tenants
from hybrid_gateway.checks.unreachable_patterns import unreachable_patterns
from hybrid_gateway.gateway.application import Gateway

__all__ = ["register_checks"]

Found = Iterable[CheckMessage]
CheckFunction = Callable[..., Found]


def missed_by_routes(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W030 to W037, E006 and E040: what Django's side has by its settings, and routes may be missing."""
    for check in (missed_middleware, missed_tenants, closed_doors):
        yield from check(gateway.endpoints)


def _one_check(*of_settings: Callable[[], Found], of_gateways: Sequence[Callable[[Gateway], Found]]) -> CheckFunction:
    def check(app_configs: object = None, **kwargs: object) -> Iterator[CheckMessage]:
        for of_the_settings in of_settings:
            yield from of_the_settings()
        gateway = current_gateway()
        if gateway is not None:
            for of_the_gateway in of_gateways:
                yield from of_the_gateway(gateway)

    return check


CHECK = _one_check(
    broken_configuration,
    other_applications,
    other_runserver,
    pooled_persistent_connections,
    whitenoise_under_asgi,
    of_gateways=(unreachable_patterns, front_page_alone, clashing_paths, missed_by_routes),
)
CHECK_BEFORE_DEPLOYMENT = _one_check(
    unchecked_connections,
    single_threaded_sqlite,
    old_packages,
    of_gateways=(public_documentation, transport_in_clear),
)


def register_checks() -> None:
    """Register every check with Django; the app's ``ready()`` calls it, again for each ``override_settings``."""
    register(CHECK, TAG)
    register(CHECK_BEFORE_DEPLOYMENT, TAG, deploy=True)
