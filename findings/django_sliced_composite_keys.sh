#!/bin/sh
# Django 5.2.19 and 6.1 (PyPI; django/db/models/fields/tuple_lookups.py, TupleIn.as_sql and get_fallback_sql), on SQLite.
#
# filter(pk__in=queryset) takes the rows that the inner query gives; a slice of it is a part of that query, and Django documents that such a
# slice is run as a subquery. Most would expect a model with a CompositePrimaryKey to behave like any other: two keys inside, two rows outside.
# What happens: where the database cannot compare a tuple with a subquery, Django asks EXISTS(...) with the keys of the outer row added to the
# inner conditions, and the slice is applied after those instead of before. LIMIT 2 of the one row that is left is always that row, so the
# slice is without effect and all rows come. A model with a key of one column gives two; so does PostgreSQL, where the tuple is compared.
# list(inner) in place of the query avoids it.
#
# Seen:
#   one column: 2 rows; two columns: 5 rows; two columns by a list: 2 rows
# Exits 0 as long as that is what happens.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check django==5.2.19
cat > "$folder/keys.py" <<'PYTHON'
import django
from django.conf import settings

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()

from django.db import connection, models  # noqa: E402


class Plain(models.Model):
    id = models.IntegerField(primary_key=True)

    class Meta:
        app_label = "keys"


class Pair(models.Model):
    pk = models.CompositePrimaryKey("left", "right")
    left = models.IntegerField()
    right = models.IntegerField()

    class Meta:
        app_label = "keys"


with connection.schema_editor() as editor:
    editor.create_model(Plain)
    editor.create_model(Pair)
for number in range(5):
    Plain.objects.create(id=number)
    Pair.objects.create(left=1, right=number)

one = Plain.objects.filter(pk__in=Plain.objects.order_by("pk")[:2].values("pk")).count()
inner = Pair.objects.order_by("pk")[:2]
two = Pair.objects.filter(pk__in=inner.values("pk")).count()
listed = Pair.objects.filter(pk__in=[pair.pk for pair in inner]).count()
print(f"one column: {one} rows; two columns: {two} rows; two columns by a list: {listed} rows")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/keys.py")
echo "$seen"
[ "$seen" = "one column: 2 rows; two columns: 5 rows; two columns by a list: 2 rows" ]
