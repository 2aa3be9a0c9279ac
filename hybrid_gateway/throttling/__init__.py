"""Rate limits of routes and of logins, and where they are counted."""

from hybrid_gateway.layer_options import NoThrottle
from hybrid_gateway.throttling.throttle import Throttle

__all__ = ["NoThrottle", "Throttle"]
