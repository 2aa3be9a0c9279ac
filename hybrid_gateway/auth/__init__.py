"""Authentication schemes and guards. Importing this imports no model, so that settings may."""

from hybrid_gateway.access_control import AllowAny, Authentication, AuthenticationScheme, Guard
from hybrid_gateway.auth.guards import (
    AllOf,
    AnyOf,
    HasPermission,
    HasScope,
    InGroup,
    IsAuthenticated,
    IsStaff,
    IsSuperuser,
)
from hybrid_gateway.auth.jwt import JWTAuthentication
from hybrid_gateway.auth.request_credentials import CSRFProtect, check_csrf
from hybrid_gateway.auth.schemes import (
    APIKeyAuthentication,
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)

__all__ = [
    "APIKeyAuthentication",
    "AllOf",
    "AllowAny",
    "AnyOf",
    "Authentication",
    "AuthenticationScheme",
    "BasicAuthentication",
    "CSRFProtect",
    "Guard",
    "HasPermission",
    "HasScope",
    "InGroup",
    "IsAuthenticated",
    "IsStaff",
    "IsSuperuser",
    "JWTAuthentication",
    "SessionAuthentication",
    "TokenAuthentication",
    "check_csrf",
]
