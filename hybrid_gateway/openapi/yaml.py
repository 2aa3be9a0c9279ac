"""The document as YAML, by PyYAML where that is installed."""

from __future__ import annotations

import json
from importlib import import_module

__all__ = ["as_yaml"]


def as_yaml(document: bytes) -> bytes:
    """A JSON document as YAML. SPEC: YAML 1.2, section 1.3: without PyYAML it stays as it is, for JSON is YAML too."""
    try:
        yaml = import_module("yaml")
    except ImportError:
        return document
    text: str = yaml.safe_dump(json.loads(document), sort_keys=False, allow_unicode=True, width=120)
    return text.encode()
