"""`manage.py seed`: something to look at."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand

from catalog.models import Category, Product, Review, Size

QUALITIES = ["Amber", "Bold", "Classic", "Dainty", "Early", "Folding", "Golden", "Humble", "Ivory", "Jolly"]

OPINIONS = ["as good as it looks.", "I would buy it again.", "it fell apart.", "a present, and a good one."]

THINGS = {
    Category.GARDEN: ["Bench", "Hose", "Lantern", "Rake", "Trowel"],
    Category.KITCHEN: ["Bowl", "Kettle", "Ladle", "Pan", "Teapot"],
    Category.OFFICE: ["Chair", "Desk", "Lamp", "Notebook", "Stapler"],
    Category.TRAVEL: ["Backpack", "Flask", "Hammock", "Pillow", "Umbrella"],
}


def products() -> Iterator[Product]:
    """Ten qualities times twenty things: the same 200 products every time."""
    opening_day = datetime(2024, 1, 1, 9, tzinfo=UTC)
    things = [(category, thing) for category, names in THINGS.items() for thing in names]
    for number, (quality, (category, thing)) in enumerate(product(QUALITIES, things)):
        yield Product(
            name=f"{quality} {thing}",
            category=category,
            size=list(Size)[number % len(Size)],
            price=Decimal(199 + number * 377 % 9800) / 100,
            rating=number * 7 % 51 / 10,
            created_at=opening_day + timedelta(hours=number),
        )


class Command(BaseCommand):
    """Adds what is missing, so that running it twice changes nothing."""

    help = "Adds 200 products, the superuser admin and the user demo. For development: the passwords are public."

    def handle(self, *args: Any, **options: Any) -> None:
        """Fill the database."""
        known = set(Product.objects.values_list("name", flat=True))
        missing = [item for item in products() if item.name not in known]
        Product.objects.bulk_create(missing)
        self.stdout.write(f"{len(missing)} products added, {Product.objects.count()} in all.")
        self.add_user("admin", is_staff=True, is_superuser=True)
        self.add_user("demo")
        self.add_reviews(User.objects.get(username="demo"))

    def add_reviews(self, author: User) -> None:
        """Add a review of every third product, unless there are some."""
        if Review.objects.exists():
            return
        reviewed = Product.objects.order_by("id")[::3]
        reviews = [
            Review(product=item, author=author, stars=1 + number * 3 % 5, text=f"{item.name}: {OPINIONS[number % 4]}")
            for number, item in enumerate(reviewed)
        ]
        self.stdout.write(f"{len(Review.objects.bulk_create(reviews))} reviews added.")

    def add_user(self, name: str, **flags: bool) -> None:
        """Add a user whose password is `<name>-password`, unless there is one of that name."""
        if not User.objects.filter(username=name).exists():
            User.objects.create_user(name, f"{name}@example.com", f"{name}-password", **flags)
            self.stdout.write(f"User {name} added, with the password {name}-password.")
