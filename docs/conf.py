"""The site. ``scripts/docs`` builds it; what is made of code comes from ``scripts/website``."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from website.django_setup import set_up  # noqa: E402

set_up()  # before modules of the package are imported

from website.api_reference import source_of  # noqa: E402
from website.repository import version_in_use  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "hybrid_gateway"
author = "the contributors of hybrid_gateway"
copyright = "the contributors of hybrid_gateway"
release = version = PROJECT["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.linkcode",
    "sphinx_copybutton",
    "sphinx_sitemap",
    "notfound.extension",
    "website.extension",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
nitpicky = True
myst_enable_extensions = ["colon_fence", "attrs_block", "attrs_inline"]
myst_heading_anchors = 4  # as code hosts have them, so that page.md#anchor is right on both

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_baseurl = PROJECT["urls"]["Documentation"]
html_title = "hybrid_gateway"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_copy_source = False
html_theme_options = {
    "top_of_page_buttons": [],  # half of the pages are made of code: to edit them is to edit that
    "light_css_variables": {
        "color-brand-primary": "#0b6b4f",
        "color-brand-content": "#0b6b4f",
        "color-code-background": "#f4f7f5",
    },
    "dark_css_variables": {
        "color-brand-primary": "#5fd3a8",
        "color-brand-content": "#5fd3a8",
        "color-code-background": "#202321",
    },
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "native"

copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sitemap_url_scheme = "{link}"
sitemap_excludes = ["search/", "genindex/", "404/", "404.html"]
notfound_urls_prefix = "/hybrid_gateway/"


VERSION = version_in_use()


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Lead to the source of a name."""
    return source_of(VERSION, domain, info)
