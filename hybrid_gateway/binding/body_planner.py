"""The body of a request in the plan of a route: JSON, bytes, a stream of them, or a form. A body is one of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

from hybrid_gateway.binding.body import JSONBody, JSONField, RawBody, is_array
from hybrid_gateway.binding.constraints import checker, is_bounded
from hybrid_gateway.binding.decoders import check_decodable, why_not
from hybrid_gateway.binding.forms import FormField, FormFields, FormReader
from hybrid_gateway.binding.markers import Depends, File, Form, Marker
from hybrid_gateway.binding.plan import (
    Chain,
    Code,
    Input,
    Phase,
    PlanBuilder,
    Step,
    format_chain,
    format_type,
    hashable,
)
from hybrid_gateway.binding.plan_scope import InputTypes, PlanScope, type_to_read
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, StructField, is_closed
from hybrid_gateway.binding.text_converters import documented
from hybrid_gateway.binding.uploads import is_file, is_files
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.type_info import type_info
from hybrid_gateway.types import Handler

_STREAM = ("body", "stream")  # among the variables


class BodyPlanner:
    """Plans the body of one route, which guards never see: they run before it is read."""

    def __init__(self, builder: PlanBuilder, scope: PlanScope, types: InputTypes) -> None:
        self._builder = builder
        self._scope = scope
        self._types = types
        self._json_body: str | None = None  # the name of its parameter
        self._form: FormFields | None = None

    def end(self, handler: Handler) -> None:
        """Raise :class:`DependencyError` for a stream that nobody can read: everything is planned."""
        if self._is_streamed and not (self._builder.plan.awaits or inspect.isasyncgenfunction(handler)):
            raise DependencyError(
                f"{self._scope.where}: only `async def` can read a body that is an AsyncIterator.", id="B008"
            )

    @property
    def _is_streamed(self) -> bool:
        return _STREAM in self._builder.variables

    def body(self, parameter: Parameter, chain: Chain, phase: Phase) -> Code:
        """Return the variable of the JSON body, or of the raw one for ``bytes``."""
        if parameter.info.inner is bytes:
            return self.raw(parameter, chain, phase)
        if parameter.info.inner == AsyncIterator[bytes]:
            return self.stream(parameter, phase)
        self._check_allowed(parameter, chain, phase)
        key = ("body", parameter.name, hashable(parameter.type))
        if key in self._builder.variables:
            return self._builder.variables[key]
        if self._json_body is not None:
            raise DependencyError(
                f"{format_chain(chain)}: {parameter.name!r} and {self._json_body!r} are both the JSON body. Put them "
                "into one Struct, or mark one Query() or Depends(...).",
                id="B001",
            )
        if self._form is not None or self._is_streamed:
            raise self._two_bodies(parameter, chain)
        self._json_body = parameter.name
        kind = Any if parameter.type is NO_DEFAULT else parameter.type
        try:
            read = kind if parameter.checked else Any
            check_decodable(read, self._types.knows)
            body = JSONBody(read, parameter.default, self._scope, self._types.hook)
        except (TypeError, ValueError, re.error, DependencyError) as error:
            raise DependencyError(
                f"{format_chain(chain)}: {parameter.name!r} cannot be a JSON body: {why_not(parameter.type, error)}.",
                id=getattr(error, "id", "B002"),
            ) from error
        return self._whole(key, body, parameter, kind)

    def raw(self, parameter: Parameter, chain: Chain, phase: Phase) -> Code:
        """Return the variable of the body as it came."""
        self._check_allowed(parameter, chain, phase)
        key = ("body", bytes, parameter.type, repr(parameter.default))
        if key in self._builder.variables:
            return self._builder.variables[key]
        if self._form is not None or self._is_streamed:
            raise self._two_bodies(parameter, chain)
        bounds = [extra for extra in parameter.info.metadata if is_bounded(extra)]
        try:
            check = checker(bytes, bounds)[0] if bounds else None
        except DependencyError as error:
            raise DependencyError(
                f"{format_chain(chain)}: {parameter.name!r} is bytes: {error.text}.", id=error.id
            ) from error
        body = RawBody(parameter.info.inner, parameter.default, check)
        return self._whole(key, body, parameter, bytes)

    def _whole(self, key: object, body: JSONBody | RawBody, parameter: Parameter, kind: object) -> Code:
        self._builder.document(parameter, "body", parameter.name, kind, parameter.marker, body.media_type)
        self._read_as_bytes()
        step = Step(call=self._builder.call("read_body", body.read, "ctx, body, errors"), can_fail=True)
        return self._builder.once(key, parameter.name, self._builder.plan.body_readers, step)

    def stream(self, parameter: Parameter, phase: Phase) -> Code:
        """Return the variable of the body as it comes, for the handler to iterate; so nothing else may read it."""
        self._check_allowed(parameter, (self._scope.where,), phase)
        if self._builder.plan.body_readers or self._form is not None:
            raise self._two_bodies(parameter, (self._scope.where,))
        if not self._is_streamed:
            media_type = "application/octet-stream"
            entry = Input(source="body", name=parameter.name, type=bytes, required=False, media_type=media_type)
            self._builder.plan.inputs.append(entry)
        call = Code(f"ctx.stream({self._scope.max_body_size})")
        return self._builder.read(_STREAM, parameter.name, phase, call)

    def share(self, take: Callable[[RequestContext, bytes], None]) -> None:
        """Let ``take(ctx, body)`` have the body, too, if there may be one that is read as a whole."""
        if self._scope.body_allowed and self._form is None and not self._is_streamed:
            self._read_as_bytes()
            self._builder.plan.body_readers.append(Step(call=self._builder.call("share_body", take, "ctx, body")))

    def _read_as_bytes(self) -> None:
        limit = self._scope.max_body_size
        call, now = Code(f"ctx.read_body({limit})"), Code(f"ctx.take_body({limit})")
        self._builder.plan.read_body = Step(target="body", call=call, mode="loop", now=now)

    # --- forms

    def form_value(self, parameter: Parameter, marker: Form, chain: Chain, phase: Phase) -> Code:
        """Return the variable of a form field or file, or of a Struct of them."""
        self._check_allowed(parameter, chain, phase)
        key = ("form", marker.wire_name(parameter.name), hashable(parameter.type), repr(parameter.default))
        if key in self._builder.variables:
            return self._builder.variables[key]
        if self._form is None:
            self._form = self._begin_form(parameter, chain)
        if parameter.info.is_structure:
            fields = [self._struct_field(*entry, parameter, chain) for entry in self._types.fields(parameter, chain)]
            read = self._form.add_struct(parameter, fields, closed=is_closed(parameter.info.origin))
        else:
            read = self._form.add(parameter, self._single_field(parameter, marker, chain))
        step = Step(call=self._builder.call("read_field", read, "body, errors"), can_fail=True)
        return self._builder.once(key, parameter.name, self._builder.plan.body_readers, step)

    def _begin_form(self, parameter: Parameter, chain: Chain) -> FormFields:
        if self._builder.plan.body_readers or self._is_streamed:
            raise self._two_bodies(parameter, chain)
        form = FormFields(self._types.hook)
        self._builder.plan.enters = True  # files are closed with the request
        call = self._builder.call("read_form", FormReader(form, self._scope.max_upload_size).read)
        self._builder.plan.read_body = Step(target="body", call=call, mode="loop")
        return form

    def _single_field(self, parameter: Parameter, marker: Form, chain: Chain) -> FormField:
        where, name = f"{format_chain(chain)}: {parameter.name!r}", marker.wire_name(parameter.name)
        if isinstance(marker, File) and not (is_file(parameter.info) or is_files(parameter.info)):
            raise DependencyError(
                f"{where} is marked File(), but is no file; annotate it UploadFile or list[UploadFile].", id="B004"
            )
        field = self._field(name, type_to_read(parameter), marker, where, raw=False)
        kind = documented(parameter.type)
        self._builder.document(parameter, "form", name, kind, parameter.marker, field.media_type)
        return field

    def _struct_field(
        self, field: StructField, kind: object, marker: Marker | Depends | None, parameter: Parameter, chain: Chain
    ) -> FormField:
        where = f"{format_chain(chain)}: the field {field.encode_name!r} of {parameter.name!r}"
        read = self._field(field.encode_name, kind, marker, where, raw=True, own=parameter.info.is_pydantic)
        closed = is_closed(parameter.info.origin)
        name = field.encode_name
        self._builder.document(field, "form", name, documented(kind), marker, read.media_type, closed)
        return read

    def _field(self, name: str, kind: object, marker: object, where: str, *, raw: bool, own: bool = False) -> FormField:
        """Return how the field ``name`` of a form becomes a value: a file, text, or JSON in a text."""
        info = type_info(kind)
        if is_file(info) or is_files(info):
            rules = marker if isinstance(marker, File) else File()
            self._check_rules(rules, where)
            return FormField(name=name, rules=rules, many=is_files(info))
        if self._types.fits_text(kind) or kind is Any:
            read = None if own else self._types.text_type(kind, where, raw=raw)
            takes_empty = read is None or read.takes_empty()
            return FormField(name=name, text=read, many=self._types.is_list(kind), takes_empty=takes_empty)
        if not info.is_json:
            raise DependencyError(
                f"{where} is {format_type(kind)}, which no field of a form can hold. "
                "Use a scalar, a list, or a Struct.",
                id="B004",
            )
        read_json = JSONField(kind, self._types.hook, self._types.knows, where)
        return FormField(name=name, json=read_json, many=is_array(info), takes_empty=False)

    def _check_rules(self, rules: File, where: str) -> None:
        limit = self._scope.max_upload_size
        name, size = ("min_size", rules.min_size) if rules.max_size is None else ("max_size", rules.max_size)
        if size is not None and size > limit:
            verb = "may" if name == "max_size" else "must"
            raise DependencyError(
                f"{where} {verb} be a file of {size:,} bytes, but the whole form at most {limit:,}. Lower "
                f'{name}=, or raise max_upload_size= of the route, or HYBRID_GATEWAY["MAX_UPLOAD_SIZE"].',
                id="B005",
            )

    # --- mistakes

    def _two_bodies(self, parameter: Parameter, chain: Chain) -> DependencyError:
        return DependencyError(
            f"{format_chain(chain)}: {parameter.name!r} cannot be read, because the body would be two things at once, "
            "a form or a stream and something else. Make every part of it a field: Annotated[..., Form()].",
            id="B001",
        )

    def _check_allowed(self, parameter: Parameter, chain: Chain, phase: Phase) -> None:
        if phase.is_open:
            raise DependencyError(
                f"{format_chain(chain)} needs the request body through {parameter.name!r}, but guards and "
                "authentication run before the body is read. Check the body in the handler, or in a component of its.",
                id="B006",
            )
        if self._scope.body_allowed:
            return
        is_form = isinstance(parameter.marker, Form) or is_file(parameter.info)
        would_be = (
            f"{format_chain(chain)}: {parameter.name!r} would be {'a form field' if is_form else 'the JSON body'}"
        )
        if self._scope.follows:
            raise DependencyError(
                f"{would_be}, but what runs on the way out also runs for requests that were refused before their body "
                "was read. Leave what it needs in request.state.",
                id="B006",
            )
        remedy = "Take it on POST, PUT or PATCH."
        if parameter.info.is_structure or self._types.fits_text(parameter.type):
            annotated = f"Annotated[{format_type(parameter.type)}, Query()]"
            remedy = f"For query parameters write `{parameter.name}: {annotated}`."
        raise DependencyError(f"{would_be}, which GET and HEAD do not have. {remedy}", id="B007")
