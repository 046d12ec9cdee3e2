#!/usr/bin/env bash
# Calls `dev` by its OpenAPI document for three minutes, a minute with each kind of API key; each run also has a worker's
# token. The first argument is the folder of schemathesis, the second an unused folder for `dev`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
schemathesis="$1"
data="$2"

cargo run --quiet --locked -- dev --data-dir "$data" --port 0 --no-workers >"$data.log" 2>&1 &
dev=$!
trap 'kill "$dev" 2>/dev/null; wait "$dev" 2>/dev/null || true' EXIT

value() {
    sed -n "s/^ *\"$1\": \"\([^\"]*\)\".*/\1/p" "$data/dev.json"
}

for _ in $(seq 60); do
    [ -s "$data/dev.json" ] && curl -fs "$(value url)/healthz" >/dev/null && break
    sleep 1
done
url="$(value url)"

post() {
    curl -fs "$url$1" -H "authorization: Bearer $(value adminKey)" -H 'content-type: application/json' -d "$2"
}

field() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

worker="$(post /v1/workers '{"workerId": "schemathesis"}' | field token)"
for scope in admin app read; do
    key="$(post /v1/keys "{\"name\": \"schemathesis $scope\", \"scopes\": [\"$scope\"]}" | field key)"
    cat >"$data/schemathesis.toml" <<TOML
[auth.openapi.apiKey]
bearer = "$key"

[auth.openapi.workerToken]
bearer = "$worker"
TOML
    "$schemathesis" --config-file "$data/schemathesis.toml" run "$url/openapi.json" --max-time 60 --no-shrink \
        --seed 1 --checks all --continue-on-failure --report-dir "$data/report"
done
