"""Packages for Django around typed routes: what ``docs/packages.md`` says of each, tried. See ``scripts/packages``."""
