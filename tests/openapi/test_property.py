"""A sample of ``python -m tests.openapi.documents.fuzz``: the document of generated modules is what is served."""

from __future__ import annotations

import pytest

pytest.importorskip("jsonschema", reason="needs the extra `test`")
pytest.importorskip("attrs", reason="needs attrs, which the extra `dev` brings")
pytest.importorskip("pydantic", reason="needs pydantic, which the extra `dev` brings")


@pytest.mark.django_db
@pytest.mark.parametrize("seed", [1, 501, 1001, 1501])
def test_the_document_is_what_is_served(seed):
    from tests.openapi.documents.fuzz import add_books, run

    add_books()
    counts = run(600, seed)
    assert counts["accepted"] > 200
    assert counts["refused"] > 80
    assert counts["lenient"] < 30
    assert counts["no sample"] < 30


def test_what_is_wrong_is_found(monkeypatch):
    """The generator sees a document that lies: of each kind of lie one."""
    from tests.openapi.documents import fuzz

    lies = {
        "minimum": lambda schema: schema.pop("minimum", None),
        "required": lambda schema: schema.pop("required", None),
        "type": lambda schema: schema.update(type="string") if schema.get("type") == "integer" else None,
        "default": lambda schema: schema.update(default="a lie") if "default" in schema else None,
        "items": lambda schema: schema.update(items={"type": "null"}) if "items" in schema else None,
    }

    def spoil(part, lie):
        for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            spoil(inner, lie)
        if isinstance(part, dict) and "type" in part:
            lie(part)

    for name, lie in lies.items():
        honest = fuzz.Document.__init__

        def init(self, document, rng, lie=lie, honest=honest):
            spoil(document["paths"], lie)
            spoil(document["components"]["schemas"], lie)
            honest(self, document, rng)

        with monkeypatch.context() as patched, pytest.raises(AssertionError, match=r"seed \d+: "):
            patched.setattr(fuzz.Document, "__init__", init)
            fuzz.run(400, 1)
            print(name)
