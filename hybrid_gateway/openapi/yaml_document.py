"""The document as YAML, by PyYAML where that is installed."""

from __future__ import annotations

import json
from importlib import import_module

__all__ = ["as_yaml", "dump_yaml", "load_yaml"]


def dump_yaml(document: object) -> str:
    """YAML, in the order of the document; raises ``ImportError`` without PyYAML."""
    text: str = import_module("yaml").safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text


def load_yaml(text: str) -> object:
    """The value; raises ``ValueError`` for what is no YAML, and ``ImportError`` without PyYAML."""
    yaml = import_module("yaml")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def as_yaml(document: bytes) -> bytes:
    """A JSON document as YAML. SPEC: YAML 1.2, section 1.3: without PyYAML it stays as it is, for JSON is YAML too."""
    try:
        return dump_yaml(json.loads(document)).encode()
    except ImportError:
        return document
