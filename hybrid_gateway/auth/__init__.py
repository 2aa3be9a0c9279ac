"""Authentication schemes and guards. Importing this imports no model, so that settings may."""

from hybrid_gateway.auth.authentication import Authentication, AuthenticationScheme
from hybrid_gateway.auth.basic import BasicAuthentication
from hybrid_gateway.auth.csrf import CSRFProtect, check_csrf
from hybrid_gateway.auth.guards import AllowAny, HasPermission, InGroup, IsAuthenticated, IsStaff, IsSuperuser
from hybrid_gateway.auth.session import SessionAuthentication
from hybrid_gateway.auth.token import TokenAuthentication

__all__ = [
    "AllowAny",
    "Authentication",
    "AuthenticationScheme",
    "BasicAuthentication",
    "CSRFProtect",
    "HasPermission",
    "InGroup",
    "IsAuthenticated",
    "IsStaff",
    "IsSuperuser",
    "SessionAuthentication",
    "TokenAuthentication",
    "check_csrf",
]
