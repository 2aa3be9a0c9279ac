"""Load tests: figures for the gateway beside raw ASGI and Django, and clients for the example project."""
