"""Questions to databases, caches and back ends, which may never answer: each has two seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 2.0  # seconds
_LEEWAY = 0.5  # seconds for drivers whose own time-out is the same, so that they can say what is wrong


def ask(question: Callable[[], T]) -> T:
    """Return the answer; raise what the question raises, and ``TimeoutError`` for one that takes too long.

    It runs on a thread of its own, which does not keep the process.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(question())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="doctor", daemon=True)
    thread.start()
    thread.join(PATIENCE + _LEEWAY)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {PATIENCE:g} s")
    return answers[0]


def reason_of(error: BaseException) -> str:
    """Return what an error says, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
