"""The moments of a request's end, in order. Whatever a request has entered is left at one, known at start-up."""

from __future__ import annotations

__all__ = ["AFTER_ANSWER", "ANSWERED", "BEFORE_AFTER_ANSWER", "EXPLAINED", "FIRST_HOOK"]

ANSWERED = 0  # the handler has answered, or something has failed: what nobody else asks for
EXPLAINED = 1  # an exception handler has made an answer of what has failed
FIRST_HOOK = 2  # the first hook on the way out has run; each that follows has the next number
AFTER_ANSWER = 1_000_000  # the answer is sent, and what is to run after it has run
BEFORE_AFTER_ANSWER = AFTER_ANSWER - 1  # all hooks have run
