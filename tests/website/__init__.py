"""Tests of the site, and of the scripts that make it, which import one another from their folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "scripts"))
