"""Django's own test suite, run through the gateway."""
