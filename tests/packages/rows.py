"""All rows, by trade."""

from tests.packages import (  # noqa: F401
    answers,
    databases,
    fields,
    history,
    languages,
    managers,
    measures,
    states,
    tokens,
    users,
    work,
)
from tests.packages.site import ROWS

__all__ = ["ROWS"]
