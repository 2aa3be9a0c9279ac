"""Options that do not exist: one check for everything that is declared, and one suggestion of what was meant.

How this works: a name is first looked up among those that users of other frameworks type (:data:`MEANINGS`), then
compared with the options there are. Names that are misspelt by a letter or two count as the name itself.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, cast

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.types import Handler

T = TypeVar("T", bound=Handler)

GUARDING = frozenset(
    (
        *("guards", "write_guards", "authentication", "throttle", "throttle_fail", "middleware", "django_middleware"),
        *(
            "before_request",
            "event_hooks",
            "exception_handlers",
            "parameters",
            "queryset",
            "given",
            "deletes",
            "get_queryset",
        ),
        *("max_body_size", "max_upload_size", "cache_control", "response_headers", "validate_response", "csrf_exempt"),
    )
)
"""Options that protect: without one, a caller may do or see more."""

# What others write, and by what it is said here: the first of these that the declaration has.
_TABLE = """
permission permissions permission_class permission_classes permission_required login_required: guards
required_permissions required_permission: guards
staff_required staff_member_required user_passes_test test_func decorators roles required_roles policy policies: guards
access access_policy authorization authorize authorizer authorizers required_scopes scopes protected login_url: guards
get_permissions check_permissions check_object_permissions has_permission has_object_permission get_guards: guards
permission_denied handle_no_permission get_permission_required raise_exception dispatch is_authenticated: guards
staff_only only_staff is_staff admin_only superuser_only authenticated_only auth_required user_required: guards
require_auth requires_auth require_login requires_login require_permissions requires_permissions: guards
allow_anonymous anonymous acl acls access_control role_required roles_required scope_required scopes_required: guards
object_permissions rules can allow allowed deny route_guards handler_guards guard_classes guards_classes: guards
write_permissions write_permission_classes: write_guards guards
auth auths auth_class auth_classes auth_backend auth_backends authenticator authenticators authenticate: authentication
authentication_class authentication_classes authenticators_classes get_authenticators security_scheme: authentication
security_schemes perform_authentication authentication_scheme authentication_schemes schemes backends: authentication
throttles throttling throttle_class throttle_classes throttle_scope throttle_rate throttle_rates get_throttles: throttle
check_throttles throttled rate rates ratelimit ratelimits rate_limit rate_limits limiter limit limits: throttle
middlewares asgi_middleware middleware_classes middleware_stack: middleware
django_middlewares django_middleware_classes wsgi_middleware: django_middleware
dependencies dependency dependency_overrides: guards components
depends provide provides provider providers inject services resolvers component_classes: components
serializer serializer_class serializers serializer_classes get_serializer_class get_serializer: response out
response_model response_schema response_type returns return_type output output_schema output_serializer: response out
return_dto response_models: response out
responses error_responses: raises
model schema schema_class: out response model
models model_class orm_model: model out
fields only include: fields exclude
optional all_optional patch: partial
dto data_dto body request_body request_schema input input_schema input_serializer: data create_in create
create_serializer create_schema create_dto: create_in create
update_serializer update_schema update_dto partial_update_schema: update_in update
errors error_handlers error_handler exception_handler handlers handle_exception: exception_handlers
exceptions raised: raises exception_handlers
paginator pagination_class paginate paginate_by pagination_style page_size default_limit: pagination
page_query_param: page_param
page_size_query_param size_query_param per_page_param: size_param
limit_query_param: limit_param
offset_query_param: offset_param
cursor_query_param: cursor_param
filter filter_class filterset filterset_class filterset_fields filter_backends search_fields: filters
filter_fields: filterset_fields filters
search_field: search_fields filters
filter_schema ordering_fields ordering order_by filter_queryset: filters
get_queryset query_set qs rows objects get_object: queryset
get_query_set: get_queryset queryset
perform_create perform_update save_model defaults initial: given
perform_destroy can_delete deletable allow_delete delete: deletes
actions allowed_actions include_actions exclude_actions enabled_actions disabled_actions actions_allowed: deletes
operations allowed_operations include_operations exclude_operations read_only: deletes
lookup_field lookup_url_kwarg pk_field slug_field pk_name lookup: lookup_field lookup
lookup_value_regex converter: lookup path
version_field etag_field concurrency_field: version
url_path: path
url_name route_name endpoint view_name namespace app_name urls_namespace: name
base_name basenames: basename
status response_status http_status success_status default_status code success_code: status_code
media_type response_class renderer_classes renderer renderers parser_classes parsers parser content_type: media_types
produces consumes content_types request_media_type response_media_type: media_types
headers response_header default_headers extra_headers: response_headers
cookies set_cookies response_cookie: response_cookies
tag openapi_tags api_tags: tags
openapi_security securities: security
operationid operation id openapi_id: operation_id
doc docs title short_description: summary
long_description help help_text docstring: description
response_desc responses_description: response_description
include_schema hidden exclude_from_schema in_schema document documented show_in_schema: include_in_schema
openapi_extra extra metadata meta state extras options: opt
template_name html_template: template
template_string inline_template template_source template_code: template_str
using template_backend template_using: template_engine
cache_timeout cache_for cache_page cache_response ttl: cache
cache_headers cachecontrol: cache_control
etags conditional: etag
gzip compress compression_config: compression
cors_config cors_origins allow_origins allowed_origins cross_origin: cors
transaction transactional atomic_requests db_transaction: atomic
timeouts request_timeout: timeout
max_size max_content_length request_max_body_size body_limit max_request_size content_length_limit: max_body_size
file_limit max_file_size upload_limit max_upload: max_upload_size
encoders json_encoders serialization: type_encoders
decoders: type_decoders
before_handler before before_hook on_request on_before_request pre_request: before_request event_hooks
after_handler after after_hook on_response on_after_request post_request teardown_request: after_request event_hooks
background on_after_response background_tasks after_send: after_response
hooks events listeners signals: event_hooks
csrf csrf_protect csrf_enabled exempt_csrf disable_csrf: csrf_exempt
prefix url path_prefix url_prefix base_path uri pattern rule route_prefix: path
method http_methods verbs verb allowed_methods http_method: methods
route urls urlpatterns endpoints children root_urlconf urlconf router: routes
docs_url redoc_url openapi_url schema_path swagger: openapi
strict validate response_validation validate_responses check_response: validate_response
streaming stream chunks: chunked
run_in_thread threaded in_thread thread sync: sync_to_thread
include_router routers: routes
max limit_max maximum max_page_size page_size_max: max_size max_limit
default_size per_page page_len: size limit
origins_allowed allow_origin origin: origins
allow_credentials credential supports_credentials: credentials
allow_methods: methods
allow_headers allowed_headers: headers
expose_headers exposed_headers: expose
read_write readonly: read_only deletes
writeonly: write_only
source_field field attr attribute path_to db_column: source
regex: pattern
minimum min_value: ge
maximum_value max_value: le
exclusive_minimum: gt
exclusive_maximum: lt
min_items: min_length
max_items: max_length
serialization_alias validation_alias rename: alias
"""

_PREFIXES = ("default_api_", "default_", "get_")
_EITHER = (("guards", "components"),)  # FastAPI's dependencies are both

NOTES = {
    "default": "A default goes after `=`, in the signature: `page: Annotated[int, Query()] = 1`.",
    "default_factory": "A default goes after `=`, in the signature; a list there is never shared between requests.",
    "required": "A parameter without a default is required.",
    "embed": "Put the value into a Struct of one field.",
    **dict.fromkeys(("methods", "http_method_names"), "The verbs of the handlers say which methods there are."),
    "queryset": "Handlers return querysets; a ModelViewSet and crud() have one.",
    **dict.fromkeys(
        ("dto", "data_dto", "request_body"), "What clients send is a parameter of the handler, such as data: ProductIn."
    ),
    "view_is_async": "Handlers are `async def` or not, each on its own.",
    "versioning_class": "Put the version into a path: Router('/v1', [...]).",
    "as_view": "List the class itself among the routes.",
}


_LINES = [line.partition(":") for line in _TABLE.strip().splitlines()]
MEANINGS: Mapping[str, tuple[str, ...]] = {
    name: tuple(ours.split()) for names, _, ours in _LINES for name in names.split()
}
"""By what is said here what users of other frameworks write."""


def check_options(
    options: Iterable[str],
    known: Collection[str],
    where: str,
    error: type[ConfigurationError] = ConfigurationError,
    *,
    elsewhere: Mapping[str, Collection[str]] = {},
    word: str = "option",
) -> None:
    """Raise ``error`` for an option that does not exist, with the one that was meant.

    ``elsewhere`` are the options of other declarations, by what those are called.
    """
    for option in options:
        if option not in known:
            meant = suggestion(option, known, elsewhere=elsewhere, word=word)
            raise error(f"{where} has no {word} {option!r}.{meant}", id="S001" if word == "key" else "R024")


def reject_unknown_keywords(
    *more: str, elsewhere: Mapping[str, Collection[str]] = {}, error: type[ConfigurationError] = ConfigurationError
) -> Callable[[T], T]:
    """Decorate a class or a function whose keywords users type: :func:`check_options` raises for an unknown one.

    ``more`` are keywords beside those of its signature.
    """

    def decorate(made: T) -> T:
        function: Handler = made.__init__ if inspect.isclass(made) else made
        parameters = inspect.signature(function).parameters.values()
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        known = {*(entry.name for entry in parameters if entry.kind in named and entry.name != "self"), *more}

        @functools.wraps(function)
        def checked(*args: Any, **keywords: Any) -> Any:
            if not known.issuperset(keywords):
                declaration = type(args[0]).__name__ if inspect.isclass(made) else made.__name__
                where = f"{declaration}({_shown(args[inspect.isclass(made) :][:1])})"
                check_options(keywords, known, where, error, elsewhere=elsewhere)
            return function(*args, **keywords)

        if not inspect.isclass(made):
            return cast("T", checked)
        setattr(made, "__init__", checked)  # noqa: B010 (mypy)
        return made  # pyright: ignore[reportReturnType]

    return decorate


def check_attributes_of(entry: object, known: Collection[str], *, methods: bool = False) -> None:
    """Raise :class:`ConfigurationError` where the class of ``entry`` has one of ``known`` misspelt.

    Attributes are values, or, with ``methods``, functions.
    """
    kind = entry if inspect.isclass(entry) else type(entry)
    members = {name: value for parent in reversed(kind.__mro__) for name, value in vars(parent).items()}
    for name, value in members.items():
        if name in known or name.startswith("_") or inspect.isroutine(value) is not methods:
            continue
        options_meant = closest_option(name, known)
        if options_meant is not None:
            raise ConfigurationError(
                f"{kind.__qualname__} has an attribute {name!r}. Did you mean {options_meant!r}?", id="R024"
            )


def _shown(arguments: tuple[object, ...]) -> str:
    """Return the first argument, where it tells which declaration it is."""
    return "".join(
        entry.__name__ if inspect.isclass(entry) else repr(entry)
        for entry in arguments
        if isinstance(entry, str) or inspect.isclass(entry)
    )


# --- what was meant ------------------------------------------------------------------------------------------------


def suggestion(
    name: str, known: Collection[str], *, elsewhere: Mapping[str, Collection[str]] = {}, word: str = "option"
) -> str:
    """Return a sentence, with a blank before it, that says what to write instead of ``name``."""
    for declaration, options in elsewhere.items():
        if name in options:
            return f" It is an option of {declaration}."
    plain = _plain(name)
    if plain in NOTES and not any(option in known for option in (plain, *MEANINGS.get(plain, ()))):
        return f" {NOTES[plain]}"
    found = options_meant(name, known)
    if found:
        return f" Did you mean {' or '.join(map(repr, found))}?"
    for declaration, options in elsewhere.items():
        there = options_meant(name, options)
        if there:
            return f" What it says is said by {there[0]!r}, an option of {declaration}."
    return f" Known {word}s: {', '.join(sorted(option for option in known if not option.startswith('_')))}."


def options_meant(name: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the options that ``name`` may stand for, the likeliest alone where one is."""
    ours = {option.lower(): option for option in known}
    plain = _plain(name)
    for asked in (plain, *(plain.removeprefix(prefix) for prefix in _PREFIXES if plain.startswith(prefix))):
        if asked in ours:
            return (ours[asked],)
        said = tuple(ours[option] for option in MEANINGS.get(asked, ()) if option in ours)
        if said:
            return said if MEANINGS[asked] in _EITHER else said[:1]
    option = closest_option(name, ours)
    if option is not None:
        return (ours[option],)
    if plain in MEANINGS:  # it is nothing that this declaration has, whatever its letters are like
        return ()
    foreign = closest_option(name, MEANINGS)
    said = () if foreign is None else tuple(ours[entry] for entry in MEANINGS[foreign] if entry in ours)
    if said:
        return said[:1]
    close = get_close_matches(plain, ours, n=1, cutoff=0.6)
    return (ours[close[0]],) if close else _by_word(plain, ours)


def closest_option(name: str, options: Iterable[str]) -> str | None:
    """Return which of ``options`` is ``name``, but for a letter or two, their case, or that it is a default."""
    plain = _plain(name).removeprefix("default_")
    letters = plain.replace("_", "")
    found = ((0 if option.replace("_", "") == letters else _distance(plain, option), option) for option in options)
    return min((entry for entry in found if entry[0] <= _allowed_typos(entry[1])), default=(0, None))[1]


@functools.lru_cache(maxsize=1024)  # PERF: functions have the same attributes again and again; 1.6 ms a route without
def foreign_name(name: str) -> str | None:
    """Return the option of another framework that ``name`` is, but for a letter or two."""
    plain = _plain(name)
    if plain in MEANINGS:
        return plain
    return closest_option(name, (entry for entry in MEANINGS if len(entry) > 7))


def _by_word(plain: str, ours: Mapping[str, str]) -> tuple[str, ...]:
    """Return an option that is one of the words of a name: ``my_view_guards``."""
    words = [word for word in plain.split("_") if len(word) > 3]
    for word in words:
        for option in ours:
            if _distance(word, option) <= min(1, _allowed_typos(option)) or option in plain:
                return (ours[option],)
    return ()


def _plain(name: str) -> str:
    """Return a name in small letters with underscores between words: ``permissionClasses``, ``permission_classes``."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name)).lower()
    return re.sub(r"[^a-z0-9]+", "_", snake).strip("_")


def _allowed_typos(option: str) -> int:
    return 2 if len(option) > 7 else 1 if len(option) > 3 else 0


def _distance(one: str, other: str) -> int:
    """Return the number of letters that are missing, too many, changed, or swapped; 9 for too many of them."""
    if abs(len(one) - len(other)) > 2 or len(set(one) ^ set(other)) > 4:
        return 9
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
