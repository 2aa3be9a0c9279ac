"""What Django answers in the project of a row; rows put it there."""

from typing import Any

urlpatterns: list[Any] = []
