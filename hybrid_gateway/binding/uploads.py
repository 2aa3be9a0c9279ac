"""Uploaded files: what a handler gets, and what their first bytes say they are."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from asgiref.sync import markcoroutinefunction
from django.core.files.storage import Storage, storages
from django.core.files.uploadedfile import UploadedFile
from starlette.datastructures import UploadFile as StarletteUploadFile

from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.concurrency.unit_of_work import running_loop
from hybrid_gateway.type_info import TypeInfo, type_info


class UploadFile(StarletteUploadFile):
    """One file of a multipart form: ``filename``, ``size`` in bytes, ``content_type``, ``headers``, ``file``.

    An ``async def`` handler awaits ``read(size)``, ``seek(offset)``; a ``def`` handler uses ``file``, an open binary
    file. It is closed with the request: copy what shall live longer, as :meth:`save` does, and saving a model with a
    ``FileField``.
    ``content_type`` is what the client claims, ``detected_type`` what the first bytes say.
    """

    detected_type = "application/octet-stream"
    start = b""  # as much as it takes to tell

    def as_django_file(self) -> UploadedFile[bytes]:
        """Return the file as Django's forms give it: what a ``FileField`` or ``ImageField`` takes."""
        self.file.seek(0)
        return UploadedFile(
            file=self.file, name=self.filename, content_type=self.content_type or "", size=self.size, charset=None
        )

    @markcoroutinefunction  # a coroutine would say nothing in a `def` handler, and save nothing
    def save(self, storage: Storage | str, name: str | None = None, *, max_length: int | None = None) -> Awaitable[str]:
        """Copy the file into ``storage``, or that of ``STORAGES``, on the request's thread; return the name it got.

        ``name`` is a path in the storage, by default what the client calls the file; as for a ``FileField`` its last
        part is made valid, and another one is chosen where it is taken. Raises ``SuspiciousFileOperation`` (400) for
        one that leads out of the storage.
        """
        if running_loop() is None:
            raise RuntimeError("UploadFile.save() is to be awaited: in a `def` handler, write file.save_sync(...).")
        return on_request_thread(self._save, storage, name, max_length)

    def save_sync(self, storage: Storage | str, name: str | None = None, *, max_length: int | None = None) -> str:
        """Do what :meth:`save` does, at once: in a ``def`` handler."""
        if running_loop() is not None:
            raise RuntimeError("UploadFile.save_sync() would stop the event loop: write `await file.save(...)`.")
        return self._save(storage, name, max_length)

    def _save(self, storage: Storage | str, name: str | None, max_length: int | None) -> str:
        chosen = storages[storage] if isinstance(storage, str) else storage
        wanted = chosen.generate_filename(name or self.filename or "")
        saved = chosen.save(wanted, self.as_django_file(), max_length=max_length)
        if not self.file.closed:  # as some storages leave it
            self.file.seek(0)
        return saved


def is_file(info: TypeInfo) -> bool:
    """Return whether the type is ``UploadFile``, perhaps optional."""
    return info.is_a(UploadFile)


def is_files(info: TypeInfo) -> bool:
    """Return whether the type is a list of ``UploadFile``, perhaps optional."""
    return info.origin in (list, tuple) and any(is_file(type_info(argument)) for argument in info.arguments)


def file_name(raw: bytes) -> str:
    """Return the last part of a client's file name, without unprintable characters; empty when nothing is left."""
    # SECURITY: as Django's MultiPartParser.sanitize_file_name: a name is no path, on any operating system.
    text = raw.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    text = "".join(character for character in text if character.isprintable()).strip()
    return "" if text in (".", "..") else text


# --- what the first bytes say --------------------------------------------------------------------------------------

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\x00\x00\x01\x00", "image/x-icon"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"\xd0\xcf\x11\xe0", "application/x-ole-storage"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"MZ", "application/x-msdownload"),
)
_KNOWN = frozenset(kind for _, _, kind in _SIGNATURES)
_RIFF = frozenset(("image/webp", "audio/wav", "video/x-msvideo"))
_MARKUP = (
    (b"<!doctype html", "text/html"),
    (b"<html", "text/html"),
    (b"<script", "text/html"),
    (b"<svg", "image/svg+xml"),
)
_INSIDE_ZIP = (
    "application/vnd.openxmlformats-",
    "application/vnd.oasis.",
    "application/epub+zip",
    "application/java-archive",
)
_INSIDE_OLE = ("application/msword", "application/vnd.ms-")

SNIFFED = 512
"""How many bytes from the beginning of a file :func:`sniff` wants."""


def sniff(start: bytes, claimed: str) -> str:
    """Return the media type of a file that begins with ``start``, or what it claims to be where no signature says.

    A claim is believed where formats have no signature of their own: of text for what is text, of documents for the
    archives that they are. Everything else without a signature is ``application/octet-stream``.
    """
    claimed = claimed.partition(";")[0].strip().lower()
    for offset, signature, kind in _SIGNATURES:
        if start.startswith(signature, offset) and (kind not in _RIFF or start.startswith(b"RIFF")):
            if kind == "application/zip" and claimed.startswith(_INSIDE_ZIP):
                return claimed
            if kind == "application/x-ole-storage" and claimed.startswith(_INSIDE_OLE):
                return claimed
            return kind
    if not _is_text(start):
        return "application/octet-stream"
    beginning = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if beginning.startswith(b"<?xml"):
        beginning = beginning.partition(b"?>")[2].lstrip()
    for tag, kind in _MARKUP:
        if beginning.startswith(tag):
            return kind
    # SECURITY: text that claims to be a picture is none, whatever its name ends with.
    if claimed and claimed not in _KNOWN and not claimed.startswith(("image/", "audio/", "video/", "font/")):
        return claimed
    return "text/plain"


def _is_text(start: bytes) -> bool:
    if b"\x00" in start:
        return False
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4 and error.reason == "unexpected end of data"
    return True


def matches(kind: str, patterns: Sequence[str]) -> bool:
    """Return whether a media type fits one of ``patterns``: ``image/png``, ``image/*``, ``*/*``."""
    main = kind.partition("/")[0]
    return any(pattern in (kind, f"{main}/*", "*/*") for pattern in patterns)
