"""The client in Python, sync and async, with httpx and attrs: by openapi-python-client, which is run as a program."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hybrid_gateway.client_code.generated_client import GeneratedClient
from hybrid_gateway.client_code.programs import ToolError, run_program
from hybrid_gateway.client_code.typed_documents import with_one_body
from hybrid_gateway.openapi.schema_types import JSONObject

OPENAPI_PYTHON_CLIENT = "0.29.1"
"""What our tests have run."""


def python_client(openapi: JSONObject, folder: Path) -> GeneratedClient:
    """Return the package that is meant for ``folder``, with what the generator warns of.

    Raises :class:`ToolError` where openapi-python-client is missing, or fails.
    """
    if not folder.name.isidentifier():
        raise ToolError(f"{folder.name!r} cannot be imported: name the folder as a package, shop_client for one.")
    program = find_openapi_python_client()
    with TemporaryDirectory() as name:
        document, made = Path(name) / "openapi.json", Path(name) / folder.name
        # Of an operation that takes two kinds of forms it makes a module that cannot be imported (0.29.1).
        document.write_text(json.dumps(with_one_body(openapi)), encoding="utf-8")
        command = [program, "generate", f"--path={document}", f"--output-path={made}", "--meta=none"]
        said = run_program(command, Path(name))  # which formats what it writes by the ruff beside it
        files = {file.relative_to(made).as_posix(): file.read_text("utf-8") for file in sorted(made.rglob("*.py"))}
    # Type checkers find that an object is no traceback.
    files["client.py"] = files["client.py"].replace("exit__(self, *args: object", "exit__(self, *args: Any")
    notes = [line for line in said.splitlines()[1:] if line.strip()]  # the first says that it begins
    return GeneratedClient({**files, "py.typed": ""}, notes, owned=("api", "models"))


def find_openapi_python_client() -> str:
    """Return the program, of this environment or in PATH. Raises :class:`ToolError` where there is none."""
    beside = Path(sys.executable).with_name("openapi-python-client")
    found = str(beside) if beside.is_file() else shutil.which("openapi-python-client")
    if found is None:
        raise ToolError(
            "A client in Python is made by openapi-python-client, which is not installed. It need not be in this "
            f"environment: pipx install openapi-python-client=={OPENAPI_PYTHON_CLIENT}, "
            f"or uv tool install openapi-python-client=={OPENAPI_PYTHON_CLIENT}."
        )
    return found
