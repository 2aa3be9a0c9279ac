"""``Annotated[int, Query(ge=1)]``: markers say more of a parameter than its type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Never, TypeVar

from hybrid_gateway.binding.constraints import make_meta
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.spelling import reject_unknown_keywords

T = TypeVar("T")


@reject_unknown_keywords()
class Marker:
    """The source of a parameter, its name on the wire, and its constraints (those of ``msgspec.Meta``)."""

    source = ""

    def __init__(
        self,
        *given: Never,
        alias: str | None = None,
        gt: float | Decimal | None = None,
        ge: float | Decimal | None = None,
        lt: float | Decimal | None = None,
        le: float | Decimal | None = None,
        multiple_of: float | Decimal | None = None,
        pattern: str | None = None,
        min_length: int | None = None,
        max_length: int | None = None,
        title: str | None = None,
        description: str | None = None,
        examples: list[object] | None = None,
        deprecated: bool = False,
    ) -> None:
        _check_positions(type(self), given)
        self.alias = alias
        self.title = title
        self.description = description
        self.examples = examples
        self.deprecated = deprecated
        of_numbers = {"gt": gt, "ge": ge, "lt": lt, "le": le, "multiple_of": multiple_of}
        of_texts = {"pattern": pattern, "min_length": min_length, "max_length": max_length}
        chosen = {name: value for name, value in {**of_numbers, **of_texts}.items() if value is not None}
        self.meta = make_meta(chosen) if chosen else None

    def wire_name(self, name: str) -> str:
        """The name clients use for the parameter called ``name``."""
        return self.alias or name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({f'alias={self.alias!r}' if self.alias else ''})"


def _check_positions(cls: type, given: tuple[object, ...]) -> None:
    """Reject arguments without a name, such as a default."""
    if given and given[0] is ...:
        raise DependencyError(
            f"{cls.__name__}(...) takes keywords alone. A parameter without a default is required.", id="P006"
        )
    if given:
        raise DependencyError(
            f"{cls.__name__}({given[0]!r}) takes keywords alone. The default goes after `=`: "
            f"`page: Annotated[int, {cls.__name__}()] = {given[0]!r}`.",
            id="P006",
        )


class Path(Marker):
    """A parameter of the path template."""

    source = "path"


class Query(Marker):
    """A query parameter, or a Struct of them."""

    source = "query"


class Header(Marker):
    """A request header; ``request_id`` is read from ``request-id`` unless ``alias`` names another one."""

    source = "header"

    def wire_name(self, name: str) -> str:
        return (self.alias or name.replace("_", "-")).lower()


class Cookie(Marker):
    """A request cookie."""

    source = "cookie"


class Body(Marker):
    """The request body: raw for ``bytes``, JSON for everything else."""

    source = "body"


class Form(Marker):
    """A field of a form, urlencoded or multipart; or a Struct of them, files among them."""

    source = "form"


@reject_unknown_keywords()
class File(Form):
    """A file of a multipart form (``UploadFile``), or several (``list[UploadFile]``).

    ``min_size`` and ``max_size`` are bytes per file, inclusive. ``content_types`` (``["image/png", "text/*"]``) are
    compared with what the first bytes of a file say, not with what the client claims. What does not fit is 422.
    """

    def __init__(
        self,
        *given: Never,
        min_size: int | None = None,
        max_size: int | None = None,
        content_types: Sequence[str] = (),
        max_files: int | None = None,
        alias: str | None = None,
        title: str | None = None,
        description: str | None = None,
        deprecated: bool = False,
    ) -> None:
        _check_positions(type(self), given)
        super().__init__(alias=alias, title=title, description=description, deprecated=deprecated)
        if isinstance(content_types, str) or any("/" not in kind for kind in content_types):
            raise DependencyError(
                f'File(content_types={content_types!r}) must be a list such as ["image/*"].', id="B005"
            )
        for name, number in {"min_size": min_size, "max_size": max_size, "max_files": max_files}.items():
            if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
                raise DependencyError(f"File({name}={number!r}) must be a whole number, 0 or more.", id="B005")
        if min_size is not None and max_size is not None and min_size > max_size:
            raise DependencyError(f"File(min_size={min_size}, max_size={max_size}) lets no file pass.", id="B005")
        self.min_size = min_size
        self.max_size = max_size
        self.content_types = tuple(kind.lower() for kind in content_types)
        self.max_files = max_files


@reject_unknown_keywords()
class Depends:
    """The value of ``provider(...)``, whose own parameters are injected; a class without argument means itself.

    Called once per request, unless ``use_cache=False`` asks for a call per parameter.
    """

    def __init__(self, provider: Callable[..., object] | None = None, *, use_cache: bool = True) -> None:
        if not (provider is None or callable(provider) or hasattr(provider, "resolve")):
            raise DependencyError(
                f"Depends({provider!r}) takes a function, a class or a component that provides the value.", id="C003"
            )
        self.provider = provider
        self.use_cache = use_cache

    def __repr__(self) -> str:
        return f"Depends({getattr(self.provider, '__qualname__', self.provider)})"


class _Unchecked:
    def __repr__(self) -> str:
        return "SkipValidation"


UNCHECKED = _Unchecked()

SkipValidation = Annotated[T, UNCHECKED]
"""``SkipValidation[int]``: documented as ``int``, given to the handler as it came: text, or what JSON says it is."""
