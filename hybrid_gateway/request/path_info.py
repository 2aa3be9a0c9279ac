"""The path of a request below the script prefix, where Django's URLconf begins."""

from __future__ import annotations

__all__ = ["path_info"]


def path_info(path: str, root_path: str) -> str | None:
    """Return ``path`` without the script prefix, as Django will resolve it; None when the prefix ends inside a segment.

    A path that does not start with ``root_path`` was stripped by the server already.
    """
    # DJANGO: django/core/handlers/asgi.py ASGIRequest.__init__; 5.2 strips without looking at the boundary, so a path
    # on which the two could disagree is rejected instead of classified.
    root = root_path.rstrip("/")
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    if not rest:
        return "/"
    return rest if rest.startswith("/") else None
