"""A Django app for API tokens: hashed at rest, several per user, with expiry, revocation, admin, login and logout.

Importing this imports no model, so that settings may.
"""

from hybrid_gateway.tokens.revocation import (
    CacheDenylist,
    LoggedOut,
    TableDenylist,
    alogout_everywhere,
    logout_everywhere,
)

__all__ = ["CacheDenylist", "LoggedOut", "TableDenylist", "alogout_everywhere", "logout_everywhere"]
