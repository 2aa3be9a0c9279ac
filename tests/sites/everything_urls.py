"""A URLconf that has a page for any path, as that of a single-page application."""

from django.urls import re_path

from tests.sites.fallthrough_urls import page

urlpatterns = [re_path(r"^.*$", page)]
