"""System checks: what is wrong with a project's configuration, before the first request finds out.

Every message has a hint and an id, by which ``SILENCED_SYSTEM_CHECKS`` silences it; all have the tag
``hybrid_gateway``. Projects that build their ``Gateway`` in code, without ``HYBRID_GATEWAY``, are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, register

from hybrid_gateway.checks.context_processors import blind_context_processors
from hybrid_gateway.checks.deploy import (
    channels_in_memory,
    old_packages,
    public_documentation,
    single_threaded_sqlite,
    transport_in_clear,
    unchecked_connections,
)
from hybrid_gateway.checks.front_ends import hidden_front_ends, unbuilt_front_ends
from hybrid_gateway.checks.logins import closed_doors, open_origins
from hybrid_gateway.checks.missed_middleware import missed_by_websockets, missed_middleware
from hybrid_gateway.checks.settings_checks import (
    broken_configuration,
    current_gateway,
    impossible_channels,
    other_applications,
    other_runserver,
    pooled_persistent_connections,
    whitenoise_under_asgi,
)
from hybrid_gateway.checks.signal_receivers import unreached_receivers
from hybrid_gateway.checks.tenants import missed_tenants, websockets_without_tenants
from hybrid_gateway.checks.urlconf_checks import clashing_paths, front_page_alone, unreachable_patterns
from hybrid_gateway.checks.websocket_servers import unserved_websockets
from hybrid_gateway.problems import TAG


def check_project(app_configs: object = None, **kwargs: object) -> Iterator[CheckMessage]:
    """Yield what is wrong with settings, applications and databases, and then with a gateway that could be built."""
    yield from broken_configuration()
    yield from other_applications()
    yield from other_runserver()
    yield from pooled_persistent_connections()
    yield from whitenoise_under_asgi()
    if (gateway := current_gateway()) is not None:
        yield from impossible_channels()
        yield from unreachable_patterns(gateway)
        yield from front_page_alone(gateway)
        yield from clashing_paths(gateway)
        yield from missed_middleware(gateway.endpoints)
        yield from blind_context_processors(gateway.endpoints)
        yield from missed_tenants(gateway.endpoints)
        yield from missed_by_websockets(gateway.websockets)
        yield from websockets_without_tenants(gateway.websockets)
        yield from closed_doors([*gateway.endpoints, *gateway.websockets])
        yield from open_origins(gateway.websockets)
        yield from unserved_websockets(gateway)
        yield from unbuilt_front_ends(gateway)
        yield from hidden_front_ends(gateway)
        yield from unreached_receivers(gateway)


def check_deployment(app_configs: object = None, **kwargs: object) -> Iterator[CheckMessage]:
    """Yield what is fit for development and not for the internet."""
    yield from unchecked_connections()
    yield from single_threaded_sqlite()
    yield from old_packages()
    if (gateway := current_gateway()) is not None:
        yield from public_documentation(gateway)
        yield from transport_in_clear(gateway)
        yield from channels_in_memory()


def register_checks() -> None:
    """Register the checks with Django; the app's ``ready()`` calls it, again for each ``override_settings``."""
    register(check_project, TAG)
    register(check_deployment, TAG, deploy=True)
