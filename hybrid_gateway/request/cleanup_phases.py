"""The moments of a request's end, in order. Whatever a request has entered is left at one, known at start-up."""

from __future__ import annotations

__all__ = ["AFTER_RESPONSE", "HANDLED", "HOOKS_DONE", "ERROR_HANDLED", "FIRST_HOOK"]

HANDLED = 0  # the handler has returned, or something has failed: for what nobody else asks for
ERROR_HANDLED = 1  # an exception handler has responded to what has failed
FIRST_HOOK = 2  # the first hook on the way out has run; each that follows has the next number
AFTER_RESPONSE = 1_000_000  # the response is sent, and what is to run after it has run
HOOKS_DONE = AFTER_RESPONSE - 1  # all hooks have run
