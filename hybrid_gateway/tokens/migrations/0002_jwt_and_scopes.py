import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hybrid_gateway_tokens", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RevokedJWT",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(editable=False, max_length=64, unique=True, verbose_name="digest")),
                ("expires_at", models.DateTimeField(editable=False, verbose_name="expires")),
            ],
            options={
                "verbose_name": "revoked JWT",
                "verbose_name_plural": "revoked JWTs",
            },
        ),
        migrations.CreateModel(
            name="SignOut",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="gateway_sign_out",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                ("at", models.DateTimeField(editable=False, verbose_name="at")),
            ],
            options={
                "verbose_name": "logout everywhere",
                "verbose_name_plural": "logouts everywhere",
            },
        ),
        migrations.AddField(
            model_name="token",
            name="scopes",
            field=models.JSONField(blank=True, default=list, editable=False, verbose_name="scopes"),
        ),
        migrations.CreateModel(
            name="JWTSession",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sid", models.CharField(editable=False, max_length=32, unique=True, verbose_name="session id")),
                ("refresh_digest", models.CharField(editable=False, max_length=64, verbose_name="refresh digest")),
                (
                    "password_fingerprint",
                    models.CharField(editable=False, max_length=64, verbose_name="password fingerprint"),
                ),
                ("scopes", models.JSONField(blank=True, default=list, editable=False, verbose_name="scopes")),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="created"),
                ),
                ("refreshed_at", models.DateTimeField(blank=True, editable=False, null=True, verbose_name="refreshed")),
                ("expires_at", models.DateTimeField(editable=False, verbose_name="expires")),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True, verbose_name="revoked")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="gateway_jwt_sessions",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "JWT session",
                "verbose_name_plural": "JWT sessions",
            },
        ),
    ]
