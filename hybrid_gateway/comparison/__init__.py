"""Compare two sides: requests replayed against both in one process, and their documents side by side.

How this works: ``recorded_requests`` and ``generated_requests`` give requests, ``sides`` answers each of them twice,
``answer_differences`` says how the answers differ, ``document_differences`` how the OpenAPI documents do, and
``comparison_report`` makes one line of what differs in the same way. Nothing here is loaded by a serving process, and
everything runs inside one transaction of each database, which is rolled back.
"""
