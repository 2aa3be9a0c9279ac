"""Clients of the API as code: TypeScript by openapi-typescript and a wrapper of ours, Python by a stock generator.

How this works: a language is a function from the two documents to the files of a folder. Those of TypeScript are the
types that openapi-typescript makes of both documents (``typed_documents.py`` says them so that it understands), and
``client.ts``, to which tables are added of what a client has to know while it runs (``runtime_tables.py``). Those of
Python are what openapi-python-client writes. Nothing here is loaded by a server.
"""
