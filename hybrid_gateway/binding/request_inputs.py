"""What a request brings by itself: values in its path, query, headers and cookies, and its one body."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from hybrid_gateway.binding.body import JSONBody, RawBody
from hybrid_gateway.binding.constraints import checker, is_bounded
from hybrid_gateway.binding.decoders import DecodeHook, Decoders, check_decodable, decode_known, why_not
from hybrid_gateway.binding.forms import FormField, FormFields, FormReader
from hybrid_gateway.binding.json_fields import JSONField, is_array
from hybrid_gateway.binding.markers import File, Form, Marker
from hybrid_gateway.binding.parameters import ParameterGroup, path_reader, struct_reader
from hybrid_gateway.binding.plan import Step
from hybrid_gateway.binding.plan_builder import Chain, Phase, PlanBuilder, format_chain, format_type, hashable
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, split_markers
from hybrid_gateway.binding.struct_fields import StructField, is_closed, struct_fields
from hybrid_gateway.binding.text_converters import TextType, documented, is_list, is_scalar, text_type
from hybrid_gateway.binding.uploads import UploadFile, is_file, is_files
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.type_info import type_info

__all__ = ["InputPlanner", "InputLimits"]

_STREAM = ("body", "stream")  # among the variables


class InputLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the layers of a route say about reading a request."""

    max_body_size: int = 1024 * 1024
    max_upload_size: int = 50 * 1024 * 1024
    media_types: Sequence[str] = ()
    decoders: Decoders | None = None
    body_allowed: bool = True
    follows: bool = False  # the plan of a route, whose body is gone
    declared: bool = False  # a JSON body without a content type is none


class InputPlanner:
    """Plans what one route reads from its requests. ``path`` is name → type that the route tree converts to."""

    def __init__(self, draft: PlanBuilder, where: str, path: Mapping[str, Any], reading: InputLimits) -> None:
        self.sees_path = False  # as a whole, not name by name
        self._draft = draft
        self._where = where
        self._path = path
        self._reading = reading
        self._hook: DecodeHook = reading.decoders or decode_known
        self._json_body: str | None = None
        self._form: FormFields | None = None
        self._groups: list[tuple[str, str, bool, ParameterGroup]] = []  # variable, source, half, what it holds
        self._named_in_path: set[str] = set()
        self.query_names: set[str] = set()  # which parameters the query may have; complete when everything is planned

    def end(self, handler: Any, *, whole_path: bool = True) -> None:
        """Everything is planned; raises :class:`DependencyError` for what nobody has asked for, or cannot read.

        With ``whole_path`` somebody must have asked for all of the path.
        """
        if _STREAM in self._draft.variables and not (self._draft.plan.awaits or inspect.isasyncgenfunction(handler)):
            raise DependencyError(f"{self._where}: only `async def` can read a body that is an AsyncIterator.")
        for *_, group in self._groups:
            reader = group.build(self._where)
            called = self._draft.plan.names
            called |= {name: reader for name, known in called.items() if known is group}
        self.query_names |= {entry.name for entry in self._draft.plan.inputs if entry.source == "query"}
        unused = self._path.keys() - self._named_in_path
        if whole_path and unused and not self.sees_path:
            names = ", ".join(sorted(unused))
            raise DependencyError(
                f"{self._where}: the path names {names}, but neither the handler nor anything it needs takes a "
                "parameter of that name. Add it to the signature, or ask for http.PathParams."
            )

    # --- path, query, headers, cookies

    def path_value(self, parameter: Parameter, half: Phase) -> str:
        """The variable of a value in the path."""
        self._named_in_path.add(parameter.name)
        names = list(self._path)
        position = names.index(parameter.name)
        key = ("path", parameter.name, hashable(parameter.type))
        if key in self._draft.variables:
            return self._draft.variables[key]
        converted = self._path[parameter.name]
        kind = converted if parameter.type is NO_DEFAULT else parameter.type
        self._draft.document("path", parameter.name, parameter, documented(kind))
        code = f"ctx.path_values[{position}]"
        if parameter.checked and kind is not converted:
            reader = path_reader(parameter, position, self._path_type(parameter, converted), converted)
            code = f"{self._draft.name('read_path', reader)}(ctx.path_values, errors)"
        self._draft.variables[key] = self._draft.new()
        half.readers.append(Step(target=self._draft.variables[key], code=code))
        return self._draft.variables[key]

    def _path_type(self, parameter: Parameter, converted: Any) -> TextType:
        """How a value of the path becomes one of ``parameter``; the tree has converted it to ``converted``."""
        where = f"{self._where}: {parameter.name!r}"
        if not is_scalar(parameter.type, self._knows):
            raise DependencyError(
                f"{where} is one piece of the path, which cannot hold {format_type(parameter.type)}. Annotate a "
                "scalar; what comes from elsewhere needs another name."
            )
        kind = self._text_type(parameter.type, where)
        if converted is not str and not kind.follows(converted):
            raise DependencyError(
                f"{where} is {format_type(converted)} by the converter in the path, and {format_type(parameter.type)} "
                "by its annotation. Leave the converter out, or annotate what it gives."
            )
        return kind

    def _text_type(self, kind: Any, where: str, *, raw: bool = False) -> TextType:
        try:
            return text_type(kind, self._hook, raw=raw)
        except DependencyError as error:
            raise DependencyError(f"{where} is {format_type(kind)}: {error}.") from error

    def _knows(self, kind: Any) -> bool:
        return self._reading.decoders is not None and self._reading.decoders.knows(kind)

    def text(self, parameter: Parameter, marker: Marker, chain: Chain, half: Phase) -> str:
        """The variable of a query parameter, header or cookie, or of a Struct of them."""
        source, wire_name = marker.source, marker.wire_name(parameter.name)
        key = (source, wire_name, hashable(parameter.type), repr(parameter.default), parameter.checked)
        if key not in self._draft.variables:
            if parameter.info.is_structure:
                self._draft.variables[key] = self._text_struct(parameter, marker, chain, half)
            else:
                self._check_text(parameter, marker, chain)
                kind = str if parameter.type is NO_DEFAULT else parameter.type
                self._draft.document(source, wire_name, parameter, documented(kind))
                read = self._text_type(_as_read(kind, parameter), f"{format_chain(chain)}: {parameter.name!r}")
                self._draft.variables[key] = self._grouped(parameter, source, wire_name, read, half)
        return self._draft.variables[key]

    def _text_struct(self, parameter: Parameter, marker: Marker, chain: Chain, half: Phase) -> str:
        self._refuse_unchecked(parameter)
        source, wire_name = marker.source, type(marker)().wire_name
        kinds: dict[str, TextType] = {}
        for field, kind, inner in self._fields(parameter, chain):
            where = f"{format_chain(chain)}: the field {field.encode_name!r} of {parameter.name!r}"
            if not (kind is Any or self.fits_text(kind)):
                raise DependencyError(
                    f"{where} is {format_type(kind)}, which the {source} cannot hold. Use a scalar, or a list of "
                    "scalars."
                )
            if not parameter.info.is_pydantic:
                kinds[field.encode_name] = self._text_type(kind, where, raw=True)
            self._draft.document(
                source, wire_name(field.encode_name), None, documented(kind), field.required, marker=inner,
                default=field.default,
            )  # fmt: skip
        # Other headers and cookies are there whatever a client does: in the query alone unknown names are refused.
        asked = self.query_names if source == "query" and is_closed(parameter.info.origin) else None
        variable, reader = self._draft.new(), struct_reader(parameter, source, wire_name, kinds, self._hook, asked)
        half.readers.append(Step(target=variable, code=f"{self._draft.name(f'read_{source}', reader)}(ctx, errors)"))
        return variable

    def _fields(self, parameter: Parameter, chain: Chain) -> Iterator[tuple[StructField, Any, Any]]:
        """Each field of a parameter that is a Struct of several, with its type and its marker."""
        where = f"{format_chain(chain)}: {format_type(parameter.info.origin)}"
        try:
            check_decodable(parameter.type, self._knows, UploadFile)
            fields = struct_fields(parameter.info.inner)
            msgspec.json.Decoder(parameter.type)
        except (TypeError, ValueError, re.error, DependencyError) as error:
            raise DependencyError(f"{where} cannot be read: {why_not(parameter.type, error)}.") from error
        for field in fields:
            kind, marker = split_markers(field.type, field.encode_name, where)
            if isinstance(marker, Marker) and (marker.meta is not None or marker.alias is not None):
                raise DependencyError(
                    f"{where}: the field {field.encode_name!r} is constrained or renamed by {type(marker).__name__}(), "
                    "of which a Struct knows nothing. Use msgspec.Meta for constraints, and msgspec.field(name=...) or "
                    "rename= for names."
                )
            yield field, kind, marker

    def _refuse_unchecked(self, parameter: Parameter) -> None:
        if not parameter.checked:
            raise DependencyError(
                f"{self._where}: {parameter.name!r} is a Struct of several values, which cannot be left unchecked. Ask "
                "for each as SkipValidation[...]."
            )

    def fits_text(self, kind: Any) -> bool:
        """Whether text, or a list of texts, can hold a value of this type."""
        return kind is NO_DEFAULT or is_scalar(kind, self._knows) or is_list(kind, self._knows)

    def _check_text(self, parameter: Parameter, marker: Marker, chain: Chain) -> None:
        if self.fits_text(parameter.type):
            return
        raise DependencyError(
            f"{format_chain(chain)}: {parameter.name!r} is marked {type(marker).__name__}(), but text cannot hold "
            f"{format_type(parameter.type)}. Use a scalar, a list of scalars, or a Struct of them."
        )

    def _grouped(self, parameter: Parameter, source: str, wire_name: str, kind: TextType, half: Phase) -> str:
        """The place of a parameter among all of one source."""
        for variable, known, is_open, group in self._groups:
            position = group.add(parameter, wire_name, kind) if (known, is_open) == (source, half.is_open) else None
            if position is not None:
                return f"{variable}[{position}]"
        variable, group = self._draft.new(), ParameterGroup(source)
        self._groups.append((variable, source, half.is_open, group))
        half.readers.append(Step(target=variable, code=f"{self._draft.name(f'read_{source}', group)}(ctx, errors)"))
        return f"{variable}[{group.add(parameter, wire_name, kind)}]"

    # --- the body

    def body(self, parameter: Parameter, chain: Chain, half: Phase) -> str:
        """The variable of the JSON body, or of the raw one for ``bytes``."""
        if parameter.info.inner is bytes:
            return self.raw_body(parameter, chain, half)
        if parameter.info.inner == AsyncIterator[bytes]:
            return self.streamed_body(parameter, half)
        self._check_body(parameter, chain, half)
        key = ("body", parameter.name, hashable(parameter.type))
        if key in self._draft.variables:
            return self._draft.variables[key]
        if self._json_body is not None:
            raise DependencyError(
                f"{format_chain(chain)}: {parameter.name!r} and {self._json_body!r} are both the JSON body. Put them "
                "into one Struct, or mark one Query() or Depends(...)."
            )
        if self._form is not None or _STREAM in self._draft.variables:
            raise self._two_bodies(parameter, chain)
        self._json_body = parameter.name
        kind = Any if parameter.type is NO_DEFAULT else parameter.type
        try:
            read = kind if parameter.checked else Any
            check_decodable(read, self._knows)
            body = JSONBody(
                read, parameter.default, self._reading.media_types, self._hook, declared=self._reading.declared
            )
        except (TypeError, ValueError, re.error, DependencyError) as error:
            raise DependencyError(
                f"{format_chain(chain)}: {parameter.name!r} cannot be a JSON body: {why_not(parameter.type, error)}."
            ) from error
        return self._read_body(key, body, parameter, kind)

    def streamed_body(self, parameter: Parameter, half: Phase) -> str:
        """The body as it comes, for the handler to iterate; so nothing else may read it."""
        self._check_body(parameter, (self._where,), half)
        if self._draft.plan.body_readers or self._form is not None:
            raise self._two_bodies(parameter, (self._where,))
        if _STREAM not in self._draft.variables:
            self._draft.document(
                "body", parameter.name, None, bytes, media_type="application/octet-stream", required=False
            )
            self._draft.variables[_STREAM] = self._draft.new()
            code = f"ctx.stream({self._reading.max_body_size})"
            half.readers.append(Step(target=self._draft.variables[_STREAM], code=code))
        return self._draft.variables[_STREAM]

    def share_body(self, take: Callable[[Any, bytes], None]) -> None:
        """Let ``take(ctx, body)`` have the body, too, if there may be one that is read as a whole."""
        if self._reading.body_allowed and self._form is None and _STREAM not in self._draft.variables:
            code = f"{self._draft.name('share_body', take)}(ctx, body)"
            self._draft.plan.body_readers.append(Step(target=None, code=code))

    def raw_body(self, parameter: Parameter, chain: Chain, half: Phase) -> str:
        """The variable of the body as it came."""
        self._check_body(parameter, chain, half)
        key = ("body", bytes, parameter.type, repr(parameter.default))
        if key in self._draft.variables:
            return self._draft.variables[key]
        if self._form is not None or _STREAM in self._draft.variables:
            raise self._two_bodies(parameter, chain)
        bounds = [extra for extra in parameter.info.metadata if is_bounded(extra)]
        try:
            check = checker(bytes, bounds)[0] if bounds else None
        except DependencyError as error:
            raise DependencyError(f"{format_chain(chain)}: {parameter.name!r} is bytes: {error}.") from error
        body = RawBody(parameter.info.inner, parameter.default, check)
        return self._read_body(key, body, parameter, bytes)

    def _read_body(self, key: Any, body: JSONBody | RawBody, parameter: Parameter, kind: Any) -> str:
        self._draft.document("body", parameter.name, parameter, kind, media_type=body.media_type)
        self._draft.variables[key] = self._draft.new()
        code = f"{self._draft.name('read_body', body.read)}(ctx, body, errors)"
        self._draft.plan.body_readers.append(Step(target=self._draft.variables[key], code=code))
        return self._draft.variables[key]

    def form_value(self, parameter: Parameter, marker: Form, chain: Chain, half: Phase) -> str:
        """The variable of a form field or file, or of a Struct of them."""
        self._check_body(parameter, chain, half)
        key = ("form", marker.wire_name(parameter.name), hashable(parameter.type), repr(parameter.default))
        if key in self._draft.variables:
            return self._draft.variables[key]
        if self._form is None:
            if self._draft.plan.body_readers or _STREAM in self._draft.variables:
                raise self._two_bodies(parameter, chain)
            self._form = FormFields(self._hook)
            self._draft.plan.enters = True  # files are closed with the request
            reader = FormReader(self._form, self._reading.max_upload_size)
            self._draft.plan.read_body = f"await {self._draft.name('read_form', reader.read)}(ctx)"
        if parameter.info.is_structure:
            self._refuse_unchecked(parameter)
            fields = [self._form_field(*entry, parameter, chain) for entry in self._fields(parameter, chain)]
            read = self._form.add_struct(parameter, fields, closed=is_closed(parameter.info.origin))
        else:
            self._check_form(parameter, marker, chain)
            kind = str if parameter.type is NO_DEFAULT else parameter.type
            name = marker.wire_name(parameter.name)
            where = f"{format_chain(chain)}: {parameter.name!r}"
            field = self._form_kind(name, _as_read(kind, parameter), marker, where, raw=False)
            self._draft.document("form", name, parameter, documented(kind), media_type=field.media_type)
            read = self._form.add(parameter, field)
        self._draft.variables[key] = self._draft.new()
        code = f"{self._draft.name('read_field', read)}(body, errors)"
        self._draft.plan.body_readers.append(Step(target=self._draft.variables[key], code=code))
        return self._draft.variables[key]

    def _form_field(self, field: StructField, kind: Any, marker: Any, parameter: Parameter, chain: Chain) -> FormField:
        """A field of a Struct that is a form."""
        where = f"{format_chain(chain)}: the field {field.encode_name!r} of {parameter.name!r}"
        read = self._form_kind(field.encode_name, kind, marker, where, raw=True, own=parameter.info.is_pydantic)
        self._draft.document(
            "form", field.encode_name, None, documented(kind), field.required, marker=marker, default=field.default,
            media_type=read.media_type, closed=is_closed(parameter.info.origin),
        )  # fmt: skip
        return read

    def _form_kind(self, name: str, kind: Any, marker: Any, where: str, *, raw: bool, own: bool = False) -> FormField:
        """How the field ``name`` of a form becomes a value: a file, text, or JSON in a text."""
        info = type_info(kind)
        if is_file(info) or is_files(info):
            rules = marker if isinstance(marker, File) else File()
            self._check_rules(rules, where)
            return FormField(name=name, rules=rules, many=is_files(info))
        if self.fits_text(kind) or kind is Any:
            read = None if own else self._text_type(kind, where, raw=raw)
            takes_empty = read is None or read.takes_empty()
            return FormField(name=name, text=read, many=is_list(kind, self._knows), takes_empty=takes_empty)
        if not info.is_json:
            raise DependencyError(
                f"{where} is {format_type(kind)}, which no field of a form can hold. Use a scalar, a list, or a Struct."
            )
        read_json = JSONField(kind, self._hook, self._knows, where)
        return FormField(name=name, json=read_json, many=is_array(info), takes_empty=False)

    def _check_rules(self, rules: File, where: str) -> None:
        limit = self._reading.max_upload_size
        if rules.max_size is not None and rules.max_size > limit:
            raise DependencyError(
                f"{where} may be a file of {rules.max_size:,} bytes, but the whole form at most {limit:,}. Lower "
                'max_size=, or raise max_upload_size= of the route, or HYBRID_GATEWAY["MAX_UPLOAD_SIZE"].'
            )

    def _check_form(self, parameter: Parameter, marker: Form, chain: Chain) -> None:
        if isinstance(marker, File) and not (is_file(parameter.info) or is_files(parameter.info)):
            raise DependencyError(
                f"{format_chain(chain)}: {parameter.name!r} is marked File(), but is no file; annotate it UploadFile "
                "or list[UploadFile]."
            )

    def _two_bodies(self, parameter: Parameter, chain: Chain) -> DependencyError:
        return DependencyError(
            f"{format_chain(chain)}: {parameter.name!r} cannot be read, because the body would be two things at once, "
            "a form or a stream and something else. Make every part of it a field: Annotated[..., Form()]."
        )

    def _check_body(self, parameter: Parameter, chain: Chain, half: Phase) -> None:
        if half.is_open:
            raise DependencyError(
                f"{format_chain(chain)} needs the request body through {parameter.name!r}, but guards and "
                "authentication run before the body is read. Check the body in the handler, or in a component of its."
            )
        if not self._reading.body_allowed:
            what = "a form field" if isinstance(parameter.marker, Form) or is_file(parameter.info) else "the JSON body"
            if self._reading.follows:
                raise DependencyError(
                    f"{format_chain(chain)}: {parameter.name!r} would be {what}, but what runs on the way out also "
                    "runs for "
                    "requests that were refused before their body was read. Leave what it needs in request.state."
                )
            remedy = "Take it on POST, PUT or PATCH."
            if parameter.info.is_structure or self.fits_text(parameter.type):
                remedy = (
                    f"For query parameters write `{parameter.name}: Annotated[{format_type(parameter.type)}, Query()]`."
                )
            raise DependencyError(
                f"{format_chain(chain)}: {parameter.name!r} would be {what}, which GET and HEAD do not have. {remedy}"
            )


def _as_read(kind: Any, parameter: Parameter) -> Any:
    """What is read for ``parameter``: its type, or text where that is not checked."""
    if parameter.checked or is_file(parameter.info) or is_files(parameter.info):
        return kind
    return list[str] if is_list(kind) else str
