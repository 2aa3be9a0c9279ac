#!/bin/sh
# openapi-python-client 0.29.1 (PyPI, MIT): one tuple that ends with `items: false` and no client is generated at all.
#
# OpenAPI 3.1 takes JSON Schema 2020-12, where every schema may be `true` or `false`, and `items: false` beside
# `prefixItems` is the usual way to say that an array has no more entries (json-schema.org, "Tuple validation").
# Most expect a client; or, where a schema is not supported, a warning and a client without the one operation.
# What happens: the whole document is refused, with a message about dictionaries, and no file is written.
set -u
folder=$(mktemp -d) && cd "$folder" || exit 2
python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check openapi-python-client==0.29.1 || exit 2
write() {
    cat > "$1.json" <<JSON
{"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {"/a": {"get": {"operationId": "a", "responses": {
  "200": {"description": "OK", "content": {"application/json": {"schema": {
    "type": "array", "minItems": 1, "maxItems": 1, "prefixItems": [{"type": "integer"}]$2}}}}}}}}}
JSON
    venv/bin/openapi-python-client generate --path "$1.json" --output-path "$1" --meta none > "$1.txt" 2>&1
    echo "$1: exit status $?, files of the client: $(find "$1" -name '*.py' 2>/dev/null | wc -l)"
}
with=$(write with ', "items": false')
without=$(write without '')
echo "$with"; grep -m 3 -i -e error -e valid with.txt
echo "$without"
rm -rf "$folder/venv"
# Seen: "with: exit status 1, files of the client: 0" and "without: exit status 0, files of the client: 8".
case "$with" in *"status 1, files of the client: 0") ;; *) echo "This has changed."; exit 1 ;; esac
case "$without" in *"status 0, files of the client: 0") echo "This has changed."; exit 1 ;; *"status 0"*) ;; *) exit 1 ;; esac
