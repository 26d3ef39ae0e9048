#!/usr/bin/env bash
# What a user downloads before the model, in bytes as gzip -9 packs each file: all of wasm/*.js, and the largest module for
# inference with its .mjs. Fails above the limit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LIMIT=49152
shopt -s nullglob
packed() { gzip -9 -c -n "$1" | wc -c; }

largest=0
for module in wasm/dist/vit-*.wasm; do
    [[ $module != *vit-train* ]] || continue
    size=$(packed "$module")
    ((size <= largest)) || { largest=$size chosen=$module; }
done

sum=0
for file in wasm/*.js "$chosen" "${chosen%.wasm}.mjs"; do
    size=$(packed "$file")
    sum=$((sum + size))
    printf '%7d  %s\n' "$size" "$file"
done
printf '%7d  in all, %d are allowed\n' "$sum" $LIMIT
((sum <= LIMIT))
