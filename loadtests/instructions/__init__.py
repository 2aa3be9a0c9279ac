"""Instructions per request: a measure that is the same on a busy machine and on a quiet one.

How this works: a server runs below valgrind's callgrind (``counted_server``), which counts nothing while it starts and
warms up, and then as many requests as it is told to. Applications and cases are those of ``loadtests.compare``; those
of WSGI are called in a loop, without a server (``wsgi_loop``). ``stages`` says which stage of a request instructions
belong to, and ``ratchet`` holds ours to the limits of ``limits.toml``. What the kernel does is not counted.
"""
