from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChannelsConfig(AppConfig):
    """The app ``hybrid_gateway.channels``: the tables of channels over PostgreSQL, needed for these alone."""

    name = "hybrid_gateway.channels"
    label = "hybrid_gateway_channels"
    verbose_name = _("channels")
    default_auto_field = "django.db.models.BigAutoField"
