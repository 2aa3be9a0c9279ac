#!/bin/sh
# openapi-python-client 0.29.1 (PyPI, MIT): an operation that needs one of two kinds of forms is no module.
#
# A required form may be `multipart/form-data` or `application/x-www-form-urlencoded`, and most servers take both, with one schema.
# Most expect a function whose body is one of the two, as for any two media types; or a warning, and no function.
# What happens: nothing is said, and the module has a body of `FilesBody | DataBody | Unset`, but imports no `Unset`.
set -u
folder=$(mktemp -d) && cd "$folder" || exit 2
python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check openapi-python-client==0.29.1 || exit 2
form='{"schema": {"type": "object", "properties": {"name": {"type": "string"}}}}'
cat > api.json <<JSON
{"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {"/a": {"post": {"operationId": "send",
  "requestBody": {"required": true, "content": {"multipart/form-data": $form, "application/x-www-form-urlencoded": $form}},
  "responses": {"204": {"description": "No Content"}}}}}}
JSON
PATH="$folder/venv/bin:$PATH" venv/bin/openapi-python-client generate --path api.json --output-path made --meta none --fail-on-warning
status=$?
said=$(venv/bin/python -c 'import made.api.default.send' 2>&1 | tail -1)
echo "exit status of the generator: $status; import: $said"
rm -rf "$folder/venv"
# Seen: "exit status of the generator: 0; import: NameError: name 'Unset' is not defined. Did you mean: 'UNSET'?".
case "$status $said" in "0 NameError: name 'Unset'"*) ;; *) echo "This has changed."; exit 1 ;; esac
