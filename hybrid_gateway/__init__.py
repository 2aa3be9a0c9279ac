"""A fast typed API in front of Django: one application answers both."""

from starlette.datastructures import State
from starlette.requests import Request

from hybrid_gateway import http
from hybrid_gateway.asgi import get_asgi_application
from hybrid_gateway.auth import Authentication, AuthenticationScheme
from hybrid_gateway.binding.components import Component
from hybrid_gateway.binding.markers import Body, Cookie, Depends, File, Form, Header, Path, Query, SkipValidation
from hybrid_gateway.binding.uploads import UploadFile
from hybrid_gateway.caching import Cache
from hybrid_gateway.class_annotations import computed
from hybrid_gateway.cors import CORS
from hybrid_gateway.events import Emitter, emit, on
from hybrid_gateway.exceptions import ConfigurationError, HTTPException
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.http import Headers, QueryParams
from hybrid_gateway.middleware import ASGIMiddleware
from hybrid_gateway.request.background_tasks import BackgroundTask, BackgroundTasks
from hybrid_gateway.responses.compression import Compression
from hybrid_gateway.responses.file_response import FileResponse
from hybrid_gateway.responses.response_classes import (
    ASGIResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from hybrid_gateway.responses.server_sent_events import EventSourceResponse, ServerSentEvent
from hybrid_gateway.responses.streaming_response import StreamingResponse
from hybrid_gateway.responses.templates import Template, TemplateResponse
from hybrid_gateway.routing.declare import (
    Controller,
    Include,
    Mount,
    Route,
    Router,
    delete,
    get,
    head,
    options,
    patch,
    post,
    put,
    route,
)
from hybrid_gateway.routing.websocket_routes import Listener, listener, stream, websocket
from hybrid_gateway.sessions import DjangoContext, Messages, Session
from hybrid_gateway.shapes import ReadOnly, Shape, WriteOnly
from hybrid_gateway.static_files import Frontend, StaticFiles
from hybrid_gateway.throttling import NoThrottle, Throttle
from hybrid_gateway.websockets.socket import WebSocket
from hybrid_gateway.wsgi import get_wsgi_application

__all__ = [
    "CORS",
    "Cache",
    "ASGIMiddleware",
    "ASGIResponse",
    "Authentication",
    "AuthenticationScheme",
    "BackgroundTask",
    "BackgroundTasks",
    "Body",
    "Component",
    "Compression",
    "ConfigurationError",
    "Controller",
    "Cookie",
    "Depends",
    "Emitter",
    "EventSourceResponse",
    "File",
    "FileResponse",
    "Form",
    "Frontend",
    "Gateway",
    "HTMLResponse",
    "HTTPException",
    "Header",
    "Headers",
    "Include",
    "JSONResponse",
    "Listener",
    "Messages",
    "Mount",
    "NoThrottle",
    "Path",
    "PlainTextResponse",
    "Query",
    "QueryParams",
    "RedirectResponse",
    "ReadOnly",
    "Request",
    "Response",
    "Route",
    "Router",
    "ServerSentEvent",
    "Session",
    "Shape",
    "SkipValidation",
    "State",
    "StaticFiles",
    "StreamingResponse",
    "Template",
    "TemplateResponse",
    "Throttle",
    "UploadFile",
    "WebSocket",
    "WriteOnly",
    "DjangoContext",
    "computed",
    "delete",
    "emit",
    "get",
    "get_asgi_application",
    "get_wsgi_application",
    "head",
    "http",
    "listener",
    "on",
    "options",
    "patch",
    "post",
    "put",
    "route",
    "stream",
    "websocket",
]
