"""Return annotations as filters: nothing that a handler returns is sent unless its annotation names it.

How this works: ``filter_builder`` reads an annotation, once per route, builds a tree of ``filter_rules``, and compiles
that to a function that tells in no time that a value fits. Of one that does not, the rules take what is annotated.
"""
