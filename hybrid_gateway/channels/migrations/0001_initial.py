import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="ChannelState",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                ("epoch", models.CharField(max_length=32, verbose_name="epoch")),
                (
                    "run",
                    models.CharField(
                        help_text="The time at which the server was started.", max_length=64, verbose_name="run"
                    ),
                ),
                ("last", models.BigIntegerField(verbose_name="number of the last message")),
                ("ends", models.JSONField(verbose_name="last numbers of earlier epochs")),
                ("expires_at", models.DateTimeField(verbose_name="expires")),
            ],
            options={
                "verbose_name": "channel",
                "verbose_name_plural": "channels",
                "constraints": [models.UniqueConstraint(fields=("name",), name="hybrid_gateway_channel_name")],
            },
        ),
        migrations.CreateModel(
            name="Presence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("channel", models.CharField(max_length=255, verbose_name="channel")),
                ("member", models.CharField(max_length=255, verbose_name="member")),
                ("holder", models.CharField(max_length=32, verbose_name="process")),
                ("expires_at", models.DateTimeField(verbose_name="expires")),
            ],
            options={
                "verbose_name": "presence",
                "verbose_name_plural": "presences",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("channel", "member", "holder"), name="hybrid_gateway_presence_holder"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="KeptMessage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField(null=True, verbose_name="number")),
                ("offset", models.CharField(max_length=64, verbose_name="offset")),
                ("payload", models.BinaryField(verbose_name="payload")),
                ("expires_at", models.DateTimeField(verbose_name="expires")),
                (
                    "state",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="hybrid_gateway_channels.channelstate",
                        verbose_name="channel",
                    ),
                ),
            ],
            options={
                "verbose_name": "kept message",
                "verbose_name_plural": "kept messages",
                "indexes": [
                    models.Index(fields=["state", "number"], name="hybrid_gateway_message_number"),
                    models.Index(fields=["expires_at"], name="hybrid_gateway_message_end"),
                ],
            },
        ),
    ]
