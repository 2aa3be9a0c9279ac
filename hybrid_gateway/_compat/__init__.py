"""The fence: every undocumented name of Django, asgiref, uvicorn, Starlette and CPython that the package uses is here.

How this works: there is a module for each neighbour (``django_internals`` for the request, ``django_orm_internals`` for
models and queries). It imports the name once and exports it under a plain name of ours, so that a caller pays no more
than for the name itself; what is an attribute of an object that a caller has, such as ``connection.in_atomic_block``,
becomes a small function that does the whole operation (where a call is too dear, the function is given the batch).
This is the lowest floor: it imports nothing of the package.

``internals.ini`` is the table of them, which tests read: a section for each module and the versions whose source was
read, or whose canaries were green, with an entry for each exported name, or for several that are one operation: what is
behind it, dotted, and then what breaks without it, and whether that is loud or silent.

Three things keep the fence up:

* ``scripts/fence.py`` finds such names outside of this room;
* ``tests/compat/test_<module>.py`` has a canary for each entry, marked ``@canary("exported_name")``: a test that fails
  when the name, its signature or its behaviour has changed, so that a new release is read before it is allowed;
* ``tests/compat/test_registry.py`` fails where an exported name has no entry, or an entry has no canary.

The upper bounds of the dependencies in ``pyproject.toml`` are the versions that the canaries were seen with.

To add a name: export it in the module of its neighbour, write its entry, write its canary, and see that fail once. To
drop one: find the public way, and delete all three.
"""
