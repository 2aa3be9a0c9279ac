"""The request body as a form: urlencoded or multipart, fields and files by name, within bounds.

How this works: the plan of a route says which names it wants and what its files may be, so everything else is counted,
bounded and dropped while it arrives. Files go to memory or to disk by Django's ``FILE_UPLOAD_*`` settings; what goes to
disk is written on the request's thread. Small forms never leave the event loop.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import msgspec
from django.conf import settings
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers

from hybrid_gateway.binding.body import JSONField
from hybrid_gateway.binding.decoders import DecodeHook, decode_known
from hybrid_gateway.binding.markers import File
from hybrid_gateway.binding.parameters import fresh, struct_value
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter
from hybrid_gateway.binding.text_converters import TextType
from hybrid_gateway.binding.uploads import SNIFFED, UploadFile, file_name, matches, sniff
from hybrid_gateway.binding.validation import missing, unknown
from hybrid_gateway.exceptions import BadRequest, ErrorEntry, UnsupportedMediaType, error_entry
from hybrid_gateway.request.context import RequestContext, body_too_large
from hybrid_gateway.request.request_parts import AFTER_RESPONSE

if TYPE_CHECKING:  # it exists for type checkers alone
    from python_multipart.multipart import MultipartCallbacks

URLENCODED = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data"

_CSRF_FIELD = "csrfmiddlewaretoken"  # DJANGO: {% csrf_token %} puts it into every form


# --- what a route wants --------------------------------------------------------------------------------------------


class FormField(msgspec.Struct, frozen=True, kw_only=True):
    """One field: a file with its rules, a text or several, or JSON; a text without a type is read by its owner."""

    name: str  # on the wire
    rules: File | None = None
    text: TextType | None = None
    json: JSONField | None = None
    many: bool = False

    takes_empty: bool = True  # else an input that was left empty counts as left out

    @property
    def media_type(self) -> str:
        """Of JSON in a text; of text itself, nothing."""
        return "" if self.json is None else "application/json"

    def reader(self) -> Callable[[Any, list[ErrorEntry]], object]:
        """Return ``read(what came, errors)``, which returns the value or adds an error."""
        location = ("body", self.name)
        if self.json is not None:
            read_json = self.json.read
            return lambda given, errors: read_json(given, location, errors)
        if self.text is not None:
            return self.text.reader(location)
        return lambda given, errors: given


class FormFields:
    """Every field that a route's parameters want; added to at start-up."""

    def __init__(self, hook: DecodeHook = decode_known) -> None:
        self.fields: dict[str, FormField] = {}
        self._hook = hook

    def add(self, parameter: Parameter, field: FormField) -> Callable[[FormData, list[ErrorEntry]], object]:
        """Add a field; return the reader of its parameter."""
        self.fields[field.name] = field
        name, required, default, convert = field.name, parameter.required, parameter.default, field.reader()

        def read(form: FormData, errors: list[ErrorEntry]) -> object:
            found, wrong = form.values([field])
            errors += wrong
            if name in found:
                return convert(found[name], errors)
            if required and not wrong:
                errors.append(missing(("body", name)))
            return None if required else fresh(default)

        return read

    def add_struct(
        self, parameter: Parameter, fields: list[FormField], *, closed: bool = False
    ) -> Callable[[FormData, list[ErrorEntry]], object]:
        """Add the fields of a Struct, which are all of the form where it is ``closed``; return the reader of it."""
        self.fields |= {field.name: field for field in fields}
        kind, default, hook = parameter.info.without_none, parameter.default, self._hook
        readers = {field.name: field.reader() for field in fields}
        names: dict[str | int, str] = {field.name: field.name for field in fields}

        def read(form: FormData, errors: list[ErrorEntry]) -> object:
            given, wrong = form.values(fields)
            if not given and not wrong and default is not NO_DEFAULT:
                return default
            if closed:
                errors += unknown("body", form.texts | form.files | form.dropped, {*self.fields, _CSRF_FIELD})
            before = len(errors)
            errors += wrong
            found = {name: readers[name](entry, errors) for name, entry in given.items()}
            return struct_value(found, kind, "body", errors, before, hook, names)

        return read


# --- what a request has --------------------------------------------------------------------------------------------


class FormData:
    """The fields and files of one request, in order of arrival."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.files: dict[str, list[UploadFile]] = {}
        self.too_large: dict[str, int] = {}  # by name, what its rule allows
        self.dropped: dict[str, None] = {}  # names of files that nobody has asked for

    def values(self, fields: list[FormField]) -> tuple[dict[str, object], list[ErrorEntry]]:
        """Return what came of ``fields``, ready to be converted, and the errors of its files."""
        found: dict[str, object] = {}
        errors: list[ErrorEntry] = []
        for field in fields:
            if field.rules is not None:
                files = self.files.get(field.name, [])
                errors += self._check(field.name, field.rules, files, field.many)
                if files:
                    found[field.name] = files if field.many else files[-1]
            elif field.name in self.texts:
                # An input that was left empty is no number and no date: it was left out.
                texts = self.texts[field.name] if field.many else self.texts[field.name][-1:]
                texts = [text for text in texts if text or field.takes_empty]
                if texts:
                    found[field.name] = texts if field.many else texts[0]
        return found, errors

    def _check(self, name: str, rules: File, files: list[UploadFile], many: bool) -> list[ErrorEntry]:
        place, count = ("body", name), len(files)
        errors = []
        if name in self.too_large:
            message = f"Expected a file of at most {self.too_large[name]} bytes"
            errors.append(error_entry(place, message, "file_too_large"))
        if not many and count > 1:
            errors.append(error_entry(place, f"Expected one file, got {count}", "too_many_files"))
        elif rules.max_files is not None and count > rules.max_files:
            message = f"Expected at most {rules.max_files} files, got {count}"
            errors.append(error_entry(place, message, "too_many_files"))
        if rules.min_size is not None and any((file.size or 0) < rules.min_size for file in files):
            message = f"Expected a file of at least {rules.min_size} bytes"
            errors.append(error_entry(place, message, "file_too_small"))
        for file in files:
            if rules.content_types and not matches(file.detected_type, rules.content_types):
                message = f"Expected {' or '.join(rules.content_types)}, got {file.detected_type}"
                errors.append(error_entry(place, message, "content_type"))
        return errors

    # --- a context manager, left with the request

    def __exit__(self, *details: object) -> None:
        """Close every file; those that are closed stay so."""
        for files in self.files.values():
            for file in files:
                file.file.close()


# --- reading -------------------------------------------------------------------------------------------------------


class FormReader:
    """Reads the form of one route: at most ``limit`` bytes, and within Django's ``DATA_UPLOAD_*`` settings."""

    def __init__(self, wanted: FormFields, limit: int) -> None:
        self._wanted = wanted.fields
        self._limit = limit
        has_files = any(field.rules is not None for field in wanted.fields.values())
        self._accepted = [MULTIPART] if has_files else [URLENCODED, MULTIPART]

    async def read(self, ctx: RequestContext) -> FormData:
        """Return the form; raise 400 for a malformed one, 413 for too much, 415 for another content type."""
        header = ctx.header(b"content-type")
        essence, options = parse_options_header(header)
        if essence == MULTIPART:
            return await self._multipart(ctx, options)
        if essence == URLENCODED:
            return await self._urlencoded(ctx)
        if header is None and not await ctx.read_body(self._limit):
            return FormData()
        accepted = ", ".join(kind.decode() for kind in (MULTIPART, URLENCODED)[: len(self._accepted)])
        raise UnsupportedMediaType(f"The body must be {accepted}.", headers={"Accept": accepted})

    async def _urlencoded(self, ctx: RequestContext) -> FormData:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = await ctx.read_body(self._limit if most is None else min(self._limit, most))
        form, fields = FormData(), _Counter("fields", settings.DATA_UPLOAD_MAX_NUMBER_FIELDS)
        if body:
            fields.add(body.count(b"&") + 1)  # only "&" separates
            for pair in body.decode("utf-8", "replace").split("&"):
                if pair:
                    name, _, value = pair.partition("=")
                    form.texts.setdefault(unquote_plus(name), []).append(unquote_plus(value))
        return form

    async def _multipart(self, ctx: RequestContext, options: Mapping[bytes, bytes]) -> FormData:
        boundary = options.get(b"boundary")
        if not boundary:
            raise BadRequest("The Content-Type header names no boundary.")
        ctx.check_body(self._limit)
        form = FormData()
        ctx.on_exit("inline", form, AFTER_RESPONSE)  # first of all: what is half-way there is closed, too
        parts = _Parts(form, self._wanted)
        is_left_on_thread = False
        try:
            parser = MultipartParser(boundary, parts.callbacks())
            more = True
            while more:
                message = await ctx.receive(self._limit)
                parser.write(message.get("body", b""))
                if parts.on_disk:
                    if not is_left_on_thread:  # giving back the room of a large file takes a while, too
                        ctx.on_exit("thread", form, AFTER_RESPONSE)
                        is_left_on_thread = True
                    await ctx.thread.run(parts.flush)
                else:
                    parts.flush()
                more = message.get("more_body", False)
        except FormParserError as error:
            raise BadRequest(f"The multipart body is malformed: {error}") from None
        if not parts.ended:
            raise BadRequest("The multipart body ends too early.")
        return form


class _Counter:
    """Counts parts, and raises 400 beyond the limit."""

    def __init__(self, what: str, most: int | None) -> None:
        self._what = what
        self._most = most
        self._count = 0

    def add(self, count: int = 1) -> None:
        self._count += count
        if self._most is not None and self._count > self._most:
            # DJANGO: TooManyFieldsSent and TooManyFilesSent are 400 as well.
            raise BadRequest(f"The form has more than {self._most} {self._what}.")


class _Parts:
    """Makes fields and files of the parser's events, part by part."""

    def __init__(self, form: FormData, wanted: Mapping[str, FormField]) -> None:
        self._form = form
        self._wanted = wanted
        self._fields = _Counter("fields", settings.DATA_UPLOAD_MAX_NUMBER_FIELDS)
        self._files = _Counter("files", settings.DATA_UPLOAD_MAX_NUMBER_FILES)
        self._memory_left: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        self._memory_size: int = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        self._headers: list[tuple[bytes, bytes]] = []
        self._header = (bytearray(), bytearray())
        self._name = ""
        self._text: bytearray | None = None
        self._file: UploadFile | None = None
        self._written: list[tuple[UploadFile, bytes]] = []
        self.on_disk = False
        self.ended = False

    def callbacks(self) -> MultipartCallbacks:
        """Return what the parser calls."""
        return {
            "on_part_begin": self.on_part_begin,
            "on_part_data": self.on_part_data,
            "on_part_end": self.on_part_end,
            "on_header_field": self.on_header_field,
            "on_header_value": self.on_header_value,
            "on_header_end": self.on_header_end,
            "on_headers_finished": self.on_headers_finished,
            "on_end": self.on_end,
        }

    def flush(self) -> None:
        """Write what has come of files, and rewind them at the end; where that may mean a disk, on a thread."""
        for file, data in self._written:
            file.file.write(data)
        self._written.clear()
        if self.ended:
            for files in self._form.files.values():
                for file in files:
                    file.file.seek(0)

    # --- called by the parser

    def on_part_begin(self) -> None:
        self._headers = []
        self._text = self._file = None

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def on_header_end(self) -> None:
        self._headers.append((bytes(self._header[0]).lower(), bytes(self._header[1])))
        self._header = (bytearray(), bytearray())

    def on_headers_finished(self) -> None:
        disposition, options = parse_options_header(dict(self._headers).get(b"content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise BadRequest("A part of the multipart body has no name.")
        self._name = options[b"name"].decode("utf-8", "replace")
        field = self._wanted.get(self._name)
        if b"filename" not in options:
            self._fields.add()
            self._text = bytearray()
            return
        self._files.add()
        name = file_name(options[b"filename"])
        if name and field is not None and field.rules is not None:
            spooled = tempfile.SpooledTemporaryFile(self._memory_size, dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115
            self._file = UploadFile(spooled, size=0, filename=name, headers=Headers(raw=self._headers))  # type: ignore[arg-type]
            self._form.files.setdefault(self._name, []).append(self._file)
        elif name:
            self._form.dropped[self._name] = None

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._text is not None:
            if self._memory_left is not None:
                self._memory_left -= end - start
                if self._memory_left < 0:
                    raise body_too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
            self._text += data[start:end]
        elif self._file is not None:
            self._keep(self._file, data[start:end])

    def _keep(self, file: UploadFile, data: bytes) -> None:
        rules = self._wanted[self._name].rules
        assert rules is not None and file.size is not None
        if len(data) and file.size < SNIFFED:
            file.start = (file.start + data)[:SNIFFED]
            file.detected_type = sniff(file.start, file.content_type or "")
        file.size += len(data)
        if rules.max_size is not None and file.size > rules.max_size:
            self._form.too_large[self._name] = rules.max_size
            self._file = None  # the rest is counted, and dropped
            return
        self._written.append((file, data))
        self.on_disk = self.on_disk or file.size > self._memory_size

    def on_part_end(self) -> None:
        if self._text is not None:
            self._form.texts.setdefault(self._name, []).append(self._text.decode("utf-8", "replace"))

    def on_end(self) -> None:
        self.ended = True
