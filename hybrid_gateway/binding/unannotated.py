"""Parameters without an annotation whose names say that something else than query text is meant."""

from __future__ import annotations

from hybrid_gateway.binding.plan_builder import Chain, format_chain
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter
from hybrid_gateway.exceptions import DependencyError

__all__ = ["reject_unannotated"]

_REQUEST = (
    "Write `{name}: Request`, of hybrid_gateway, or ask for what you need of it: a path or query parameter, a header."
)
_BODY = "Write `{name}: Item`, where Item is a msgspec.Struct, or `{name}: dict`; of one value, Annotated[int, Body()]."
_FORM = "Write `{name}: Annotated[LoginForm, Form()]`, where LoginForm is a msgspec.Struct."
_FILE = "Write `{name}: UploadFile`, or list[UploadFile]."
_ERROR = "Write `{name}: Exception`."
_USER = "Write `{name}: User`, the model of AUTH_USER_MODEL, or `{name}: User | None` where nobody need be logged in."

_REMEDIES = {
    **dict.fromkeys(("request", "req", "http_request", "info"), _REQUEST),
    **dict.fromkeys(("data", "body", "payload", "json"), _BODY),
    **dict.fromkeys(("form", "form_data"), _FORM),
    **dict.fromkeys(("file", "files", "upload"), _FILE),
    **dict.fromkeys(("exc", "exception", "error"), _ERROR),
    **dict.fromkeys(("user", "current_user"), _USER),
    "response": "Write `{name}: Response`, of hybrid_gateway.",
    "headers": "Write `{name}: http.Headers`; of one header, Annotated[str, Header()].",
    "cookies": "Of one cookie write Annotated[str, Cookie()]; all are in `request: Request`.",
    "state": "Write `{name}: State`, of hybrid_gateway.",
    "session": "Write `{name}: SessionBase`, of django.contrib.sessions.backends.base.",
    "background_tasks": "Return a Response with background=BackgroundTask(...), or write after_response=.",
}


def reject_unannotated(parameter: Parameter, chain: Chain) -> None:
    """Raise :class:`DependencyError` for an unannotated ``request``, ``data``, ``body`` and their like."""
    remedy = _REMEDIES.get(parameter.name)
    if parameter.type is NO_DEFAULT and parameter.marker is None and remedy is not None:
        raise DependencyError(
            f"{format_chain(chain)}: {parameter.name!r} has no annotation, so it would be text of the query. "
            f"{remedy.format(name=parameter.name)} If text of the query is meant, write `{parameter.name}: str`."
        )
