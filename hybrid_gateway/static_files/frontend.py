"""``Frontend``: a single-page application beside the API."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Unpack, cast
from urllib.parse import urlsplit

from django.conf import settings

from hybrid_gateway.exceptions import NotFound, RouteError, ServiceUnavailable
from hybrid_gateway.headers import write_cache_control
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions
from hybrid_gateway.responses.conditional_requests import Conditions
from hybrid_gateway.responses.file_content import FileAnswer
from hybrid_gateway.responses.file_types import is_asset_name
from hybrid_gateway.responses.folder import Folder
from hybrid_gateway.routing.declare import HANDLER_OPTIONS, FallbackRoute, Route, Router
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.static_files.folder_handler import FileHeaders, FileOptions, FolderHandler, compile_immutable
from hybrid_gateway.static_files.static_files import find_directory

HASHED = (
    r"^(?:assets|static/(?:js|css|media)|_app/immutable|_next/static)/(?:.*/)?"
    r"[^/]*[-.](?=[A-Za-z_-]*[A-Z0-9])[A-Za-z0-9_-]{8,}\.[^/]+$"
)
"""Names that builds make with a digest in them: in the folders of Vite, Create React App, SvelteKit and Next."""


@reject_unknown_keywords(*LAYER_OPTIONS, "name", elsewhere={"each handler": HANDLER_OPTIONS}, error=RouteError)
class Frontend(Router):
    """The build of a single-page application, where no route, mount or page of Django's answers.

    A relative ``directory`` is one of ``BASE_DIR``. A path that names no file gets ``index.html``, as its own router
    wants it (``history_fallback``): from GET and HEAD whose ``Accept`` names HTML, and not where the path ends as a
    file's does or lies below one of ``exclude``; everything else is a 404. ``immutable`` is a regular expression of
    names, below the folder, whose files never change; by default, those that builds make. ``cache_control`` is that of
    all others, ``"no-cache"``: they are asked for again each time, and mostly answered 304. ``precompressed``,
    ``follow_symlinks`` and ``dot_files`` are as in ``StaticFiles``. With ``DEBUG``, the ``dev_server`` (the origin of a
    Vite, ``"http://127.0.0.1:5173"``) answers in place of the directory, websockets as well.
    """

    def __init__(
        self,
        path: str,
        directory: str | os.PathLike[str],
        *,
        name: str = "frontend",
        history_fallback: bool = True,
        exclude: Sequence[str] = (),
        immutable: str | re.Pattern[str] | None = HASHED,
        precompressed: bool = True,
        follow_symlinks: bool = False,
        dot_files: bool = False,
        dev_server: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        where = f"Frontend({path!r})"
        if isinstance(exclude, str):
            raise RouteError(f"{where}: exclude={exclude!r} must be a list: exclude=[...].", id="F004")
        cache_control = write_cache_control(options.pop("cache_control", "no-cache"))
        super().__init__(path or "/", (), **cast("LayerOptions", {"include_in_schema": False, **options}))
        self._name = name
        self._directory = find_directory(directory)
        self._dev_server = None if dev_server is None else _check_origin(dev_server, where)
        self._handler = FrontendHandler(
            f"Frontend({self._directory!r})",
            Folder(self._directory, follow_symlinks=follow_symlinks, dot_files=dot_files),
            FileOptions(
                html=True,
                precompressed=precompressed,
                immutable=compile_immutable(immutable, where),
                cache_control=cache_control,
            ),
            exclude if history_fallback else None,
        )

    @property
    def routes(self) -> Sequence[Route]:
        """The routes of the files; those of the development server, where there is one and ``DEBUG`` is on."""
        # SECURITY: by what DEBUG is when the gateway is built; in production the module is not even imported.
        if self._dev_server is not None and settings.DEBUG:
            return _routes_of_dev_server(self._dev_server, self._name)
        return [FallbackRoute(["/", "/{path:path}"], self._handler, name=self._name)]


def _check_origin(text: str, where: str) -> str:
    """Return the origin of a development server, without a slash; raise :class:`RouteError` for what is none."""
    parts = urlsplit(text)
    try:
        is_origin = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        is_origin = False
    if not is_origin or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise RouteError(f"{where}: dev_server={text!r} must be an origin, such as 'http://127.0.0.1:5173'.", id="F004")
    return f"http://{parts.netloc}"


def _routes_of_dev_server(origin: str, name: str) -> Sequence[Route]:
    try:
        from hybrid_gateway.static_files.dev_server import DevServer
    except ImportError as error:
        raise RouteError(
            f"dev_server={origin!r} needs a package that comes with `pip install 'hybrid-gateway[server]'`: {error}.",
            id="F005",
        ) from error
    return DevServer(origin).routes(name)


class FrontendHandler(FolderHandler):
    """Answers requests to a front end. ``exclude`` are paths without history fallback; ``None`` has it nowhere."""

    __name__ = "frontend"

    def __init__(self, title: str, folder: Folder, options: FileOptions, exclude: Sequence[str] | None) -> None:
        super().__init__(title, folder, options)
        self._exclude = None if exclude is None else tuple(f"{path.strip('/')}/" for path in exclude)

    @property
    def missing(self) -> str | None:
        """The path of the page, where it has not been built."""
        return None if self.folder.find("index.html") else os.path.join(self.folder.root, "index.html")  # noqa: PTH118

    def answer_missing(self, name: str, method: str, headers: FileHeaders, conditions: Conditions) -> FileAnswer:
        if name and self._exclude is None:
            return super().answer_missing(name, method, headers, conditions)
        is_page = headers.asks_for_html and not is_asset_name(name)
        if name and (not is_page or f"{name}/".startswith(self._exclude or ())):
            raise NotFound
        index = self.folder.find("index.html")
        if index is None:
            raise ServiceUnavailable(f"The front end is not built: there is no {self.missing}.")
        return self.answer(index, "index.html", method, headers, conditions, more=[(b"vary", b"Accept")])
