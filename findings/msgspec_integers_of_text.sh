#!/bin/sh
# msgspec 0.22.0 (PyPI; src/msgspec/_core.c, convert with strict=False, the way its documentation names for query strings and environments).
#
# Most would expect one notion of an integer: either the texts that JSON writes for one, or those that int() takes. What happens is neither:
# "1e5" is 100000 and "1.0" is 1, though the JSON number 1e5 is refused where an int is wanted in strict mode and int("1e5") raises, while
# "007", which int() and every converter of web frameworks takes for 7, is refused. An enum of integers refuses "1.0" that an int takes.
# Whoever reads parameters by it accepts texts for an `integer` that no JSON Schema allows, and answers 422 to a padded number.
#
# Seen:
#   int: 1e5=100000 1.0=1 007=refused; enum: 1=1 1.0=refused
# Exits 0 as long as that is what happens.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check msgspec==0.22.0
cat > "$folder/integers.py" <<'PYTHON'
import enum

import msgspec


class Level(enum.Enum):
    LOW = 1


def seen(text, kind):
    try:
        value = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        return f"{text}=refused"
    return f"{text}={getattr(value, 'value', value)}"


print("int:", *(seen(text, int) for text in ("1e5", "1.0", "007")), end="; ")
print("enum:", *(seen(text, Level) for text in ("1", "1.0")))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/integers.py")
echo "$seen"
[ "$seen" = "int: 1e5=100000 1.0=1 007=refused; enum: 1=1 1.0=refused" ]
