"""The Django app of the comparison: one model and one page."""
