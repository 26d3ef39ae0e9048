#!/usr/bin/env bash
# Builds a copy of the tree in another folder and compares bytes: reproduce.sh VERB FILE...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

verb=$1
shift
rm -rf build/again
mkdir -p build/again/wasm
cp -R build.sh src build/again
cp -R wasm/models wasm/*.{c,h,mjs,json} build/again/wasm
(cd build/again && ./build.sh "$verb")

passed=0
failed=0
for file in "$@"; do
    if cmp "$file" "build/again/$file"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
rm -rf build/again
echo "$passed passed, $failed failed"
((failed == 0))
