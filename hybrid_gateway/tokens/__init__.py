"""A Django app for API tokens: hashed at rest, several per user, with expiry, revocation, admin, login and logout."""
