#!/usr/bin/env bash
# Runs a cluster that records what its replicas do, uses it, and stops it in order: traces/replica-N.jsonl.
set -euo pipefail

# A free range of ports; replica N takes this plus N, and its admin endpoint eight more.
port=${BASE_PORT:-7000}

# Put your own replicas here; they record if `trace` is set in node.toml.
pbft up --dir cluster --base-port "$port" --admin-base-port "$((port + 8))" --trace traces >up.log &
cluster=$!
trap 'kill "$cluster" 2>/dev/null || true' EXIT
for _ in $(seq 300); do
    grep -q '^ready' up.log && break
    sleep 0.1
done
grep '^ready' up.log

# Put your own clients here.
pbft bank deposit alice 100
pbft bank open bob
pbft bank transfer alice bob 30

# A replica that stops in order ends its file, so nothing is missing from the run.
trap - EXIT
kill -TERM "$cluster"
wait "$cluster"
