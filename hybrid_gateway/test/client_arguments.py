"""The request that a client is about to send, whichever of the two spellings asked for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from json import JSONEncoder
from mimetypes import guess_type
from typing import Any, TypedDict
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import msgspec
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpHeaders
from django.http.cookie import SimpleCookie
from django.test.client import BOUNDARY, MULTIPART_CONTENT, FakePayload, encode_multipart
from django.utils.datastructures import MultiValueDict
from django.utils.encoding import force_bytes, iri_to_uri
from django.utils.functional import Promise
from django.utils.http import urlencode

from hybrid_gateway.types import Environ

OCTET_STREAM = "application/octet-stream"
URLENCODED = "application/x-www-form-urlencoded"


class Options(TypedDict, total=False):
    """The keyword options of every verb. Other keywords are WSGI environ keys, as in Django's client.

    ``params`` join the query of the path, ``query_params`` replace it (Django's spelling). ``json`` is encoded by
    msgspec; ``content`` is sent as it is; ``files`` maps names to open files, bytes
    or ``(name, bytes[, type])``, or is a list of pairs of both.
    ``headers`` and ``cookies`` hold for this request alone. ``follow_redirects`` is ``follow``.
    """

    params: Mapping[str, object] | Iterable[tuple[str, object]] | msgspec.Struct | str | None
    json: object
    content: str | bytes | None
    files: Mapping[str, object] | Sequence[tuple[str, object]] | None
    headers: Mapping[str, str] | None
    cookies: Mapping[str, str] | None
    follow_redirects: bool
    query_params: Mapping[str, object] | None
    # The environ keys that Django's tests set most; a type checker refuses the rest, the client does not.
    HTTP_ACCEPT: str
    HTTP_AUTHORIZATION: str
    HTTP_HOST: str
    HTTP_X_REQUESTED_WITH: str
    REMOTE_ADDR: str
    SCRIPT_NAME: str
    SERVER_NAME: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request, protocol apart; ``extra`` holds environ keys that overrule everything else."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    secure: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def prepare(
        cls,
        method: str,
        path: object,
        data: object = None,
        content_type: str | None = None,
        secure: bool = False,
        *,
        params: object = None,
        json: object = None,
        content: str | bytes | None = None,
        files: Mapping[str, object] | Sequence[tuple[str, object]] | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        query_params: Mapping[str, object] | None = None,
        json_encoder: type[JSONEncoder] = DjangoJSONEncoder,
        **extra: object,
    ) -> Call:
        """Read both spellings; raise ``TypeError`` for two bodies."""
        url = urlsplit(str(path))  # a path may be lazy
        query = encode_query(query_params) if query_params else url.query
        if params:
            query = "&".join(filter(None, (query, encode_query(params))))
        headers = dict(headers or {})
        for name in [name for name in headers if name.lower().replace("_", "-") == "content-type"]:
            content_type = headers.pop(name)
        if method == "POST" and (data, json, content, files) == (None,) * 4 and is_json(content_type or ""):
            data = {}  # DJANGO: test/client.py, RequestFactory.post; pass content=b"" for no body at all
        body, content_type = encode_body(data, content_type, json, content, files, json_encoder)
        return cls(method, url.path, query, body, content_type, secure, headers, cookies or {}, extra)

    def environ(self, jar: SimpleCookie) -> Environ:
        """Return the WSGI environ keys of this request; a client adds its defaults below them."""
        environ: Environ = {
            # Bytes as latin-1, as WSGI wants them
            "PATH_INFO": unquote_to_bytes(self.path).decode("latin-1"),
            "QUERY_STRING": self.query.encode().decode("latin-1"),
            "REQUEST_METHOD": self.method,
            "SERVER_PORT": "443" if self.secure else "80",
            "wsgi.url_scheme": "https" if self.secure else "http",
        }
        if "PATH_INFO" not in self.extra:
            environ["REQUEST_URI"] = iri_to_uri(f"{self.path}?{self.query}" if self.query else self.path)
        if self.body:
            environ["CONTENT_LENGTH"] = str(len(self.body))
            environ["wsgi.input"] = FakePayload(self.body)
        if self.content_type:
            environ["CONTENT_TYPE"] = self.content_type
        if self.cookies:
            sent = sorted({**jar, **SimpleCookie(dict(self.cookies))}.items())
            environ["HTTP_COOKIE"] = "; ".join(f"{morsel.key}={morsel.coded_value}" for _, morsel in sent)
        return {**environ, **HttpHeaders.to_wsgi_names(self.headers), **self.extra}

    def redirected(self, location: str, status: int) -> Call:
        """Return the request that a browser would send next: 307 and 308 repeat this one, the rest become a GET."""
        # DJANGO: test/client.py, _follow_redirect; but the query is the location's, also when a GET is repeated.
        url = urlsplit(urljoin(self.path, location))
        extra = {name: value for name, value in self.extra.items() if name not in ("PATH_INFO", "QUERY_STRING")}
        if url.hostname:
            extra.update(SERVER_NAME=url.hostname, HTTP_HOST=url.netloc.rpartition("@")[2])
        if url.port:
            extra["SERVER_PORT"] = str(url.port)
        call = replace(self, path=url.path or "/", query=url.query, extra=extra)
        if url.scheme:
            call = replace(call, secure=url.scheme == "https")
        if status in (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT):
            return call
        return replace(call, method="HEAD" if self.method == "HEAD" else "GET", body=b"", content_type="")


def encode_query(params: Any) -> str:
    """Encode a mapping, pairs or a Struct; enums, dates and UUIDs as msgspec writes them."""
    if isinstance(params, str):
        return params.removeprefix("?")
    if isinstance(params, MultiValueDict):
        return urlencode(params, doseq=True)
    if not isinstance(params, Mapping | msgspec.Struct):
        params = list(params)
    return urlencode(msgspec.to_builtins(params, builtin_types=(bytes,), enc_hook=str), doseq=True)


def encode_body(
    data: Any,
    content_type: str | None,
    json: object,
    content: str | bytes | None,
    files: Mapping[str, object] | Sequence[tuple[str, object]] | None,
    json_encoder: type[JSONEncoder],
) -> tuple[bytes, str]:
    """Return body and content type; no data, no body."""
    bodies = {"json": json, "content": content, "data or files": data if files is None else files}
    given = [name for name, value in bodies.items() if value is not None]
    if len(given) > 1:
        raise TypeError(f"A request has one body: pass {' or '.join(given)}.")
    if json is not None:
        return msgspec.json.encode(json, enc_hook=plain_text), content_type or "application/json"
    if content is not None:
        return force_bytes(content), content_type or OCTET_STREAM
    if files is not None:
        if content_type is not None and not content_type.startswith("multipart/form-data"):
            raise TypeError(f"Files are sent as multipart/form-data, not as {content_type}.")
        uploads = {name: upload(name, file) for name, file in by_name(files).items()}
        return encode_multipart(BOUNDARY, {**(data or {}), **uploads}), MULTIPART_CONTENT
    if data is None:
        return b"", content_type or ""
    if isinstance(data, Mapping):
        return encode_mapping(data, content_type or MULTIPART_CONTENT, json_encoder)
    if isinstance(data, list | tuple) and is_json(content_type or ""):
        return json_encoder().encode(data).encode(), content_type or ""
    return force_bytes(data, charset(content_type or "")), content_type or OCTET_STREAM


def plain_text(value: object) -> str:
    """Encode what ``json=`` may hold besides msgspec's types: Django's lazy strings."""
    if isinstance(value, Promise):
        return str(value)
    raise TypeError(f"json= cannot encode {type(value).__qualname__} objects.")


def encode_mapping(data: Mapping[str, Any], content_type: str, json_encoder: type[JSONEncoder]) -> tuple[bytes, str]:
    if content_type.startswith("multipart/form-data"):
        return encode_multipart(BOUNDARY, dict(data)), MULTIPART_CONTENT
    if content_type.startswith(URLENCODED):
        return urlencode(data, doseq=True).encode(), content_type
    if is_json(content_type):
        return json_encoder().encode(data).encode(), content_type
    raise TypeError(f"A dict cannot be sent as {content_type}: pass content= with the bytes to send.")


def is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip()
    return kind.startswith("application/") and kind.endswith(("/json", "+json"))


def charset(content_type: str) -> str:
    _, _, name = content_type.partition("charset=")
    return name.partition(";")[0].strip() or settings.DEFAULT_CHARSET


def by_name(files: Mapping[str, object] | Sequence[tuple[str, object]]) -> Mapping[str, object]:
    """Return ``[("papers", one), ("papers", another)]``, as httpx takes them, as a mapping to lists."""
    if isinstance(files, Mapping):
        return files
    found: dict[str, list[object]] = {}
    for name, file in files:
        found.setdefault(name, []).append(file)
    return found


def upload(name: str, file: Any) -> object:
    """Return a file, or a list of them, in any spelling of ``files``, as Django's encoder reads it."""
    if isinstance(file, list):
        return [upload(name, item) for item in file]
    if isinstance(file, str | bytes):
        return SimpleUploadedFile(name, force_bytes(file), OCTET_STREAM)
    if isinstance(file, tuple):
        filename, content, *kind = file
        content = content.read() if hasattr(content, "read") else force_bytes(content)
        return SimpleUploadedFile(filename, content, kind[0] if kind else guess_type(filename)[0] or OCTET_STREAM)
    return file
