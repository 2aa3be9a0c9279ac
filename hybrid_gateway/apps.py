"""The Django app: commands and system checks."""

from __future__ import annotations

import sys

from django.apps import AppConfig


class HybridGatewayConfig(AppConfig):
    name = "hybrid_gateway"
    verbose_name = "Hybrid gateway"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hybrid_gateway.checks.registration import register_checks  # needs the registry of apps

        register_checks()
        # Classes of a models.py were made before all models were known; without them there is nothing to import.
        structs = sys.modules.get("hybrid_gateway.orm.model_struct")
        if structs is not None:
            structs.check_all()
