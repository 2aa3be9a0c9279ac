"""Adapters to other people's packages, each imported only by whoever has that package."""
