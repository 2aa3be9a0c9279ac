"""Return annotations as filters: nothing that a handler returns is sent unless its annotation names it.

How this works: ``annotation_fields`` reads the fields of classes of any kind; ``filter_builder`` builds a tree
of ``filter_rules`` of an annotation, once per route; and compiles it to a function that tells in no time
that a value fits. Of a value that does not, the rules take what the annotation names.
"""
