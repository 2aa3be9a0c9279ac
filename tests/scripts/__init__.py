"""Tests of the scripts that checks are made of. They are in no package, and import one another from their folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "scripts"))
