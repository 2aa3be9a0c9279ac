"""The URLconf of a site whose last pattern is for any path, in the words of a CMS: every path that ends in a slash."""

from django.urls import path, re_path

from tests.sites.fallthrough_urls import page

urlpatterns = [
    path("people/<int:pk>/", page),
    path("shop/<slug:name>/", page),
    re_path(r"^(?:[\w\-]+/)*$", page),
]
