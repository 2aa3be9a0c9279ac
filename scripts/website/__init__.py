"""The parts of the site that are made of code, and what is asked of the whole. ``scripts/docs`` runs it."""
