"""Models of every kind, for the tests of ``hybrid_gateway.orm``."""
