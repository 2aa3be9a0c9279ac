from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

__all__ = ["TokensConfig"]


class TokensConfig(AppConfig):
    """The app ``hybrid_gateway.tokens``; its label is long because short ones are taken by others."""

    name = "hybrid_gateway.tokens"
    label = "hybrid_gateway_tokens"
    verbose_name = _("API tokens")
    default_auto_field = "django.db.models.BigAutoField"
