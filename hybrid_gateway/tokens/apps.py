from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from hybrid_gateway.auth.credential_store import register_store


class TokensConfig(AppConfig):
    """The app ``hybrid_gateway.tokens``; its label is long because short ones are taken by others."""

    name = "hybrid_gateway.tokens"
    label = "hybrid_gateway_tokens"
    verbose_name = _("API tokens")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let authentication schemes find what this app issues."""
        # Imported late: Django imports this module before any model may be imported.
        from hybrid_gateway.tokens.database_credentials import DatabaseCredentials

        register_store(DatabaseCredentials())
