"""Folders of files as routes, and single-page applications beside the API."""

from hybrid_gateway.static_files.frontend import Frontend
from hybrid_gateway.static_files.static_files import StaticFiles

__all__ = ["Frontend", "StaticFiles"]
