"""All rows, by trade."""

from tests.packages import answers, databases, fields, tokens, users, work
from tests.packages.site import ROWS

__all__ = ["ROWS", "answers", "databases", "fields", "tokens", "users", "work"]
