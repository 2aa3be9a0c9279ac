"""``prepare``: migrate, add a user and its tokens and a hundred articles, print the tokens as JSON."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand
from rest_framework.authtoken.models import Token as RestToken

from hybrid_gateway.tokens.models import Token
from loadtests.compare.shop.models import Article, Brand, Gadget, Label, Sale

DAY = 86_400  # seconds


class Command(BaseCommand):
    help = "Makes the database of the comparison."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", run_syncdb=True, verbosity=0)
        for model in (Article, Gadget, Brand, Label, Sale):
            model.objects.all().delete()
        User.objects.all().delete()
        rows = [
            Article(pk=number, name=f"Article {number}", price=number * 5, stock=number) for number in range(1, 101)
        ]
        Article.objects.bulk_create(rows)
        Brand.objects.bulk_create([Brand(pk=number, name=f"Brand {number}") for number in range(1, 6)])
        Label.objects.bulk_create([Label(pk=number, name=f"Label {number}") for number in range(1, 4)])
        Gadget.objects.bulk_create(
            [Gadget(pk=number, name=f"Gadget {number}", brand_id=1 + number % 5) for number in range(1, 501)]
        )
        link = Gadget.labels.through
        link.objects.bulk_create(
            [link(gadget_id=gadget, label_id=label) for gadget in range(1, 501) for label in range(1, 1 + gadget % 4)]
        )
        user = User.objects.create_user("ada", pk=1)
        now = int(time.time())
        claims = {"sub": str(user.pk), "iat": now, "exp": now + DAY, "extras": {"type": "access"}}
        tokens = {
            "gateway": Token.objects.issue(user)[1],
            "rest": RestToken.objects.create(user=user).key,
            "jwt": jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256"),
        }
        self.stdout.write(json.dumps(tokens))
