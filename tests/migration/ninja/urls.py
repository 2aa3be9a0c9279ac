from django.urls import path

from tests.migration.ninja.shop import api

urlpatterns = [path("api/", api.urls)]
