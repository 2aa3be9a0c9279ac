"""A soak: the example project under a mixed load whose answers are read, while things fail. ``scripts/soak --help``.

How this works: a server of the example project gets a load from one process on this machine, over the loopback only.
What it depends on is reached through proxies of our own, so that a database can hang or go without anybody else
noticing. Every answer is compared with what it should be; a sampler watches the server's processes. At the end each
gate is a number and a limit, in ``report.md`` with pictures, and a missed one is the exit code.

Threads come to the most that are ever at work at once, and stay. So measuring begins after a while of full speed, and
where threads are counted fifty streams have had one each before: one more is one that was not given back. Garbage is
collected once a second. Memory in use, beside the resident one, tells growth from room that allocators keep for peaks.
"""
