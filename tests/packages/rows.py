"""All rows, by trade."""

from tests.packages import answers, fields, tokens, users, work
from tests.packages.site import ROWS

__all__ = ["ROWS", "answers", "fields", "tokens", "users", "work"]
