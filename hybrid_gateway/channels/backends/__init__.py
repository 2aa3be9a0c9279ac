"""Back ends of channels for Redis and PostgreSQL."""
