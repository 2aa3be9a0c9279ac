"""Packages of npm for tests, installed once for each version of a ``package.json``."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[2] / ".cache" / "clients"


def installed_packages(package_json: Path) -> Path:
    """Return ``node_modules``; skips the test where npm is missing, or does not answer."""
    if shutil.which("npm") is None:
        pytest.skip("needs Node.js and npm: install Debian's nodejs and npm")
    package = package_json.read_bytes()
    home = CACHE / hashlib.sha256(package).hexdigest()[:12]
    if not (home / "done").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_bytes(package)
        install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        try:
            ran = subprocess.run(install, capture_output=True, text=True, timeout=300, cwd=home)
        except subprocess.TimeoutExpired:
            pytest.skip(f"needs the packages of {package_json}, and npm did not answer")
        if ran.returncode:
            pytest.skip(f"needs the packages of {package_json}, which npm could not install: {ran.stderr}")
        (home / "done").touch()
    return home / "node_modules"
