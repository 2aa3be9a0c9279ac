"""Liveness and readiness of the process: ``Include("", "hybrid_gateway.health.routes")``."""

from hybrid_gateway.health.health_check import HealthCheck, Unhealthy, caches, databases, health_check, migrations

__all__ = ["HealthCheck", "Unhealthy", "caches", "databases", "health_check", "migrations"]
