"""A soak: the example project under a mixed load whose answers are read, while things fail. ``scripts/soak --help``.

How this works: a server of the example project gets a load from one process on this machine, over the loopback only.
What it depends on is reached through proxies of our own, so that a database can hang or go without anybody else
noticing. Every answer is compared with what it should be; a sampler watches the server's processes. At the end each
gate is a number and a limit, in ``report.md`` with pictures, and a missed one is the exit code.
"""
