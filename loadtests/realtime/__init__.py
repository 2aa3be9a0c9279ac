"""Websockets and channels, measured beside others: CPU per message, memory per socket, crowds that come at once.

How this works: each peer serves the same four routes (``apps/``): ``/echo``, ``/room`` to listen, ``/publish`` to tell
all who listen, ``/hello`` of HTTP. Clients are processes of their own (``crowd``) on another core, that read frames
without a library, since they have to cost less than what they measure. A server's CPU is read before and after a known
number of messages. All peers of a case are up at once and take turns (``run``).
"""
