"""Types that every room shares: those of ASGI, WSGI and HTTP."""
