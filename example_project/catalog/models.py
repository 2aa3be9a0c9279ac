"""What the shop sells."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, ProhibitNullCharactersValidator
from django.db import models
from django.utils import timezone


class Category(models.TextChoices):
    """Where a product belongs."""

    GARDEN = "garden", "Garden"
    KITCHEN = "kitchen", "Kitchen"
    OFFICE = "office", "Office"
    TRAVEL = "travel", "Travel"


class Size(models.TextChoices):
    """How big it is."""

    SMALL = "small", "Small"
    MEDIUM = "medium", "Medium"
    LARGE = "large", "Large"


class Product(models.Model):
    """One thing on the shelf."""

    name = models.CharField(max_length=100, validators=[ProhibitNullCharactersValidator()])
    category = models.CharField(max_length=20, choices=Category, db_index=True)
    size = models.CharField(max_length=20, choices=Size)
    price = models.DecimalField(max_digits=8, decimal_places=2, validators=[MinValueValidator(0)])
    rating = models.FloatField(default=0, validators=[MinValueValidator(0), MaxValueValidator(5)])
    image = models.ImageField(upload_to="products/", blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Review(models.Model):
    """What somebody thinks of a product."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="reviews")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, editable=False)
    stars = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    text = models.CharField(max_length=500, blank=True, validators=[ProhibitNullCharactersValidator()])
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.stars} stars for {self.product}"
