"""Move an API of another framework over: ``manage.py gateway migrate-from drf | ninja``.

How this works: a *reader* (``drf/``, ``ninja/``) asks the loaded project what routes it has and puts each into one form
(``form.py``): Structs, view sets, handlers, and for every route what is the same, what differs and what a person must
decide. ``module_writer.py`` writes the form as a module, ``report.py`` tells the rest. No server imports this room.
"""
