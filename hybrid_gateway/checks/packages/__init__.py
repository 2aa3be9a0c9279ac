"""Packages for Django that many projects have, and what each of them needs around typed routes.

The checks W035, W037 and E006 are made of :data:`PACKAGES`, and so is the table of docs/packages.md, every row of which
``scripts/packages`` tries on the package itself. Nothing of any of them is imported here.
"""

from hybrid_gateway.checks.packages.package import (
    SAFE,
    VERDICTS,
    Package,
    hook_classes,
    is_ours,
    logs_in,
    module_of,
    none,
)
from hybrid_gateway.checks.packages.package_table import PACKAGES

__all__ = ["PACKAGES", "SAFE", "VERDICTS", "Package", "hook_classes", "is_ours", "logs_in", "module_of", "none"]
