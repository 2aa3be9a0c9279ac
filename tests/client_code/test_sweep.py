"""Clients in TypeScript of all documents that tests have compile, with every strictness there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_gateway.client_code.typescript_client import typescript_client
from tests.client_code.conftest import compile_all, documents_of
from tests.openapi.documents.fuzz import Site

pytest.importorskip("jsonschema", reason="needs jsonschema, which the extra `test` brings")

SEEDS = (1, 2)
ROUTES = 60  # of each


def test_clients_of_generated_apis_compile(folder: Path) -> None:
    empty, no_websockets = documents_of([])
    apis = {f"seed{seed}": Site(seed, ROUTES).document.document for seed in SEEDS} | {"empty": empty}
    for unused in ("browser.ts", "lively_page.ts", "types.ts"):
        (folder / unused).unlink()
    for name, document in apis.items():
        typescript_client(document, no_websockets, folder).write(folder / name)
    compile_all(folder, "--skipLibCheck", "--noEmit")
