"""The admin, as in any Django project."""

from django.contrib import admin

from .models import Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """Products by category and size, newest first."""

    list_display = ["name", "category", "size", "price", "rating", "created_at"]
    list_filter = ["category", "size", "created_at"]
    search_fields = ["name"]
    ordering = ["-id"]
    readonly_fields = ["created_at"]
