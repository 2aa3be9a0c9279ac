"""Authentication schemes and guards. Importing this imports no model, so that settings may."""

from hybrid_gateway.access_control import (
    AllowAny,
    Authentication,
    AuthenticationScheme,
    Credential,
    Guard,
    describe_user,
)
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
from hybrid_gateway.auth.tickets import WebSocketTicketAuthentication

__all__ = [
    "APIKeyAuthentication",
    "AllOf",
    "AllowAny",
    "AnyOf",
    "Authentication",
    "AuthenticationScheme",
    "BasicAuthentication",
    "CSRFProtect",
    "Credential",
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
    "WebSocketTicketAuthentication",
    "check_csrf",
    "describe_user",
]
