"""The admin, as in any Django project."""

from django.contrib import admin

from .models import Product, Review


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """Products by category and size, newest first."""

    list_display = ["name", "category", "size", "price", "rating", "created_at"]
    list_filter = ["category", "size", "created_at"]
    search_fields = ["name"]
    ordering = ["-id"]
    readonly_fields = ["created_at"]


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin):
    """What people think, newest first."""

    list_display = ["product", "author", "stars", "created_at"]
    list_filter = ["stars"]
    list_select_related = ["product", "author"]
    readonly_fields = ["author", "created_at", "version"]
