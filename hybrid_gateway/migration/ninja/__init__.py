"""The reader of django-ninja.

How this works: ``mounted_operations`` walks the URLconf, so that prefixes, versions and inherited options are what
requests meet; ``ninja_parameters`` and ``ninja_auth`` write what an operation takes and who may call it;
``moved_functions`` takes the body of its function over as text, with its imports; ``ninja_schemas`` writes schemas as
Structs, where they are columns of a model or plain fields; ``ninja_reader`` puts it together. What a Struct cannot say
stays a schema, behind ``hybrid_gateway.contrib.ninja``.
"""
