#!/bin/sh
# @hey-api/openapi-ts 0.92.4 (npm, MIT): an array of exactly two entries becomes a tuple of three.
#
# `{"type": "array", "prefixItems": [A, B], "minItems": 2, "maxItems": 2, "items": C}` has two entries: `items` is about
# those behind the prefix (JSON Schema 2020-12, core, 10.3.1.2), of which `maxItems` allows none. Linters want `items` beside
# `type: array`, so documents have it. Most expect `[A, B]`, which openapi-typescript makes of it.
# What happens: the generated type is `[A, B, C]`, so neither what the server sends nor what it takes fits it.
set -u
folder=$(mktemp -d) && cd "$folder" || exit 2
npm init -y > /dev/null && npm install --silent --no-audit --no-fund --no-package-lock @hey-api/openapi-ts@0.92.4 typescript@5.9.3 \
    openapi-typescript@7.13.0 || exit 2
cat > api.json <<'JSON'
{"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {}, "components": {"schemas": {"Pair": {
  "type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": {}}}}}
JSON
npx --no-install openapi-ts --input api.json --output hey --plugins @hey-api/typescript --no-log-file > /dev/null 2>&1
npx --no-install openapi-typescript api.json --output other.d.ts > /dev/null 2>&1
one=$(tr -d ' \n' < hey/types.gen.ts | grep -o 'Pair=\[[^]]*\]')
other=$(tr -d ' \n' < other.d.ts | grep -o 'Pair:\[[^]]*\]')
echo "@hey-api/openapi-ts: $one"
echo "openapi-typescript:  $other"
rm -rf "$folder/node_modules"
# Seen: "Pair=[number,string,unknown]" and "Pair:[number,string]".
[ "$one" = 'Pair=[number,string,unknown]' ] && [ "$other" = 'Pair:[number,string]' ] || { echo "This has changed."; exit 1; }
