"""``StaticFiles``: a folder of files as a route."""

from __future__ import annotations

import os
import re
from typing import Unpack, cast

from django.conf import settings

from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions
from hybrid_gateway.responses.folder import Folder
from hybrid_gateway.routing.declare import HANDLER_OPTIONS, HandlerOptions, Route
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.static_files.folder_handler import FileOptions, FolderHandler, compile_immutable


@reject_unknown_keywords(*LAYER_OPTIONS, elsewhere={"each handler": HANDLER_OPTIONS}, error=RouteError)
class StaticFiles(Route):
    """The files of a folder below a path, read on threads: with ranges, conditional requests, and what is compressed.

    A relative ``directory`` is one of ``BASE_DIR``. ``html`` sends ``index.html`` for a directory, and ``404.html``
    where there is nothing. With ``precompressed`` a file beside another, ``app.js.br``, ``.zst`` or ``.gz``, is sent in
    its place to who takes it, unless it is older. ``immutable`` is a regular expression of names, below the folder,
    whose files never change. ``download`` has browsers save files. ``follow_symlinks`` follows links that lead out of
    the folder; those inside it are always followed. Names with a dot in front are a 404 without ``dot_files``.
    Directories are never listed, and nothing but regular files is opened. The other options are those of a layer; the
    OpenAPI document leaves the route out, unless ``include_in_schema`` says otherwise.
    """

    def __init__(
        self,
        path: str,
        directory: str | os.PathLike[str],
        *,
        name: str | None = None,
        html: bool = False,
        precompressed: bool = True,
        immutable: str | re.Pattern[str] | None = None,
        download: bool = False,
        follow_symlinks: bool = False,
        dot_files: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        where = f"StaticFiles({path!r})"
        prefix = path.rstrip("/")
        if not prefix.startswith("/"):
            raise RouteError(
                f"{where} needs a path of its own, such as '/media'. For files at the root of a site there is "
                "Frontend('/', directory=...), which leaves all other routes, mounts and pages where they are.",
                id="R014",
            )
        root = find_directory(directory)
        if not os.path.isdir(root):  # noqa: PTH112
            raise RouteError(
                f"{where}: there is no directory {root!r}. Create it, or correct directory={directory!r}.", id="F003"
            )
        folder = Folder(root, follow_symlinks=follow_symlinks, dot_files=dot_files)
        handler = FolderHandler(
            f"StaticFiles({root!r})",
            folder,
            FileOptions(
                html=html,
                precompressed=precompressed,
                immutable=compile_immutable(immutable, where),
                download=download,
            ),
        )
        own = cast(
            "HandlerOptions", {"include_in_schema": False, **({} if name is None else {"name": name}), **options}
        )
        super().__init__([*([f"{prefix}/"] if html else []), f"{prefix}/{{path:path}}"], handler, **own)


def find_directory(directory: str | os.PathLike[str]) -> str:
    """Return the absolute path of a directory; a relative one is below ``BASE_DIR`` of the settings, if that is set."""
    base = getattr(settings, "BASE_DIR", "")
    return os.path.abspath(os.path.join(base, directory))  # noqa: PTH100, PTH118
