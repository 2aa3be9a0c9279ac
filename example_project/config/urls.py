"""Django's own pages; the gateway hands over those that ALLOWED_DJANGO_ROUTES names."""

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import path

from catalog.views import product_list

urlpatterns = [
    path("admin/", admin.site.urls),
    path("catalog/", product_list, name="product_list"),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),  # empty unless DEBUG
]
