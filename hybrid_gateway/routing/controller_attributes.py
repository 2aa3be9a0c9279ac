"""Checks of controllers: their bodies hold options, handlers, and attributes that cannot be taken for options.

How this works: a name that is no option is the project's own, unless it looks like one that was meant. Names of what
protects, in the words of any framework or misspelt by a letter or two, are always rejected, for a controller without
its guards is open to everybody. Names of other options are rejected where no function of the class reads them.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Collection, Iterable, Iterator, Mapping

from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.routing.declare import Route
from hybrid_gateway.spelling import GUARDING, MEANINGS, NOTES, check_options, closest_option, foreign_name

_VIEWS = ("django.views", "django.contrib.auth.mixins", "rest_framework", "ninja", "ninja_extra", "guardian.mixins")
# Words that speak of nothing else
_PROTECTION = re.compile(
    "guard|permission|permit(?!ted)|auth|throttl|middleware|login|csrf|rate_?limit|decorators|dependenc|test_func"
    "|http_method_names|staff(?:$|_only|_required|_member)|anonymous|(?:^|_)acls?(?:$|_)|access_control"
    "|(?:user|role|scope|group|admin)s?_(?:only|required)$|^requires?_(?:user|role|scope|group|admin)"
)
_HONEST = re.compile("^(?:author(?!i[sz])|guardian)|permit_empty")  # like them in letters alone
_HARMLESS = frozenset(("csrf_exempt", "sync_to_thread"))  # attributes of functions


def check_attributes(
    controller: type, members: Mapping[str, object], known: Collection[str], elsewhere: Mapping[str, Collection[str]]
) -> None:
    """Raise :class:`RouteError` for attributes that look like options of ``known`` or ``elsewhere``, and are none.

    ``members`` are all attributes of ``controller``, inherited ones included.
    """
    where = f"The controller {controller.__module__}.{controller.__qualname__}"
    ours = [parent for parent in controller.__mro__ if parent.__module__.partition(".")[0] == "hybrid_gateway"]
    known = {*known, *(name for parent in ours for name in (*vars(parent), *inspect.get_annotations(parent)))}
    for parent in controller.__mro__:
        if parent.__module__.startswith(_VIEWS):
            raise RouteError(
                f"{where} inherits from {parent.__module__}.{parent.__qualname__}, which protects and answers nothing "
                "here: say what it does by guards=[...] and handlers.",
                id="R022",
            )
    inherited = {name: value for parent in reversed(ours) for name, value in vars(parent).items()}
    read = frozenset(_names_read(value for name, value in members.items() if value is not inherited.get(name)))
    for name, value in members.items():
        if isinstance(getattr(value, "__wrapped__", None), Route) and not isinstance(value, Route):
            raise RouteError(
                f"{where}: a decorator above the verb of {name!r} hides the route; put it below.", id="R023"
            )
        is_inner_class = inspect.isclass(value) and not name.islower()
        is_own = name in known or name.startswith("_") or isinstance(value, Route) or is_inner_class
        if not is_own and _looks_meant(name, value, known, elsewhere, name in read):
            check_options([name], known, where, RouteError, elsewhere=elsewhere)


def check_function(function: object, known: Collection[str], where: str) -> None:
    """Raise :class:`RouteError` for what decorators of other frameworks have left on a handler to protect it."""
    for name in getattr(function, "__dict__", ()):
        if name not in known and name not in _HARMLESS and _protects(name):
            check_options([name], known, where, RouteError)


def _looks_meant(
    name: str, value: object, known: Collection[str], elsewhere: Mapping[str, Collection[str]], is_read: bool
) -> bool:
    option = closest_option(name, known)
    if option in GUARDING or _protects(name):
        return True
    if is_read or name.isupper():
        return False
    said = MEANINGS.get(name.lower(), ())
    has_said = any(entry in known for entry in said)
    if callable(value) or isinstance(value, (property, classmethod, staticmethod)):
        return has_said
    others = {entry for options in elsewhere.values() for entry in options}
    if option is not None or closest_option(name, others) is not None or name in NOTES:
        return True
    plain = name.lower()
    speaks_of_it = _HONEST.search(plain) is None and _PROTECTION.search(plain) is not None
    if speaks_of_it or any(entry in plain for entry in GUARDING.intersection(known)):
        return True
    return has_said or ("_" in name and bool(said))


def _protects(name: str) -> bool:
    """Return whether it is the name in another framework of something that protects, and of nothing else."""
    said = None if _HONEST.search(name.lower()) else foreign_name(name)
    return said is not None and MEANINGS[said][0] in GUARDING and _PROTECTION.search(said) is not None


# What a method, a property or a cached one, a partial one, and a route are made of
_PARTS = ("__func__", "fget", "fset", "func", "handler", "function")


def _names_read(values: Iterable[object]) -> Iterator[str]:
    """Yield the names that the functions among ``values`` look up, of any object."""
    for value in values:
        for function in (value, *(getattr(value, part, None) for part in _PARTS)):
            code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
            if code is not None:
                yield from _names_in(code)


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from (constant for constant in code.co_consts if isinstance(constant, str))  # getattr(self, "name")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)
