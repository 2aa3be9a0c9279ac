"""The applications that are compared; each says ``{"message":"Hello, World!"}``."""
