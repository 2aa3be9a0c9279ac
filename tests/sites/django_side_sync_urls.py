"""The URLconf of a project without a single asynchronous view."""

from tests.sites.django_side_urls import sync_patterns

urlpatterns = sync_patterns
