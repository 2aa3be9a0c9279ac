from django.urls import path

from tests.migration.ninja.guild import api, stamped

urlpatterns = [path("api/", api.urls), path("stamped/", stamped.urls)]
