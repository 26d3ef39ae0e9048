#!/usr/bin/env bash
# Checks that every file includes only what is above it, and the limits on lengths; prints what breaks a rule.
# The layers are those of src/README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
shopt -s nullglob

PASSED=0
FAILED=0

check() { # PROBLEM, empty where there is none
    if [[ -z $1 ]]; then
        PASSED=$((PASSED + 1))
    else
        FAILED=$((FAILED + 1))
        printf '%s\n' "$1"
    fi
}

# Quoted includes of a file, as paths from the repository's root.
includes() {
    local folder=${1%/*} name
    sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]+)".*/\1/p' "$1" | while read -r name; do
        realpath -m --relative-to=. "$folder/$name"
    done
}

# allowed FILE: a pattern of what it may include.
allowed() {
    local own=${1%/*}
    case $1 in
        src/vit.h) echo '^$' ;;
        src/vit_*.h) echo '^src/vit(_tasks)?\.h$' ;;
        src/base/*) echo '^src/(vit\.h|base/.*)$' ;;
        src/kernels/* | src/format/* | src/image/*) echo "^($own/.*|src/base/.*|src/vit(_tasks)?\.h|stb_image\.h)$" ;;
        src/model/*) echo '^src/(model|format|kernels|base)/|^src/vit(_tasks)?\.h$' ;;
        src/tasks/*) echo '^src/(tasks|model|image|format|kernels|base)/|^src/vit(_tasks)?\.h$' ;;
        src/train/*) echo '^src/' ;;
        src/cli/*) echo '^src/(cli/.*|base/(file|hash|utf8)\.h|vit\.h|vit_tasks\.h|vit_train\.h)$' ;;
        wasm/*) echo '^(wasm/.*|src/vit\.h|src/vit_tasks\.h|src/vit_train\.h)$' ;;
    esac
}

for file in src/*.h src/*/*.{c,h,inc,def} wasm/*.{c,h}; do
    rule=$(allowed "$file")
    for target in $(includes "$file"); do
        check "$([[ $target =~ $rule ]] || echo "$file includes $target, which is not above it")"
    done
done

# A library that can be embedded never ends the process and prints nothing.
for file in src/{base,kernels,format,image,model,tasks,train}/*.{c,h,inc}; do
    check "$(grep -nHE '(^|[^a-z_.>])(exit|abort|assert|printf|puts|perror)[[:space:]]*\(' "$file" |
        grep -vE '^[^:]+:[0-9]+: *(/?\*|//)' || true)"
done

# Only module.mjs touches the engine's memory and its functions; the page uses the package by its one public file.
for file in wasm/*.mjs; do
    [[ $file == wasm/module.mjs ]] || check "$(grep -nHE 'HEAP[A-Z0-9]+|_vit_|WebAssembly\.Memory|memory\.buffer' "$file" || true)"
done
for file in web/*.js web/*/*.js; do
    check "$(grep -nHE "(from|import) *\(?['\"][^'\"]*wasm/" "$file" | grep -vE "wasm/index\.js['\"]" || true)"
done

longest() { # LINES FILE...
    local limit=$1 file lines
    shift
    for file in "$@"; do
        lines=$(wc -l < "$file")
        check "$( ((lines <= limit)) || echo "$file has $lines lines, the limit is $limit")"
    done
}
longest 350 src/vit.h
longest 500 src/vit_tasks.h
longest 800 build.sh src/*/*.{c,h,inc} wasm/*.{c,mjs,ts} web/*.{js,css,html} web/*/*.{js,css} tests/*.{c,sh,py,mjs} tests/*/*.{c,h,py,sh,mjs,js}

printf '%d passed, %d failed\n' $PASSED $FAILED
((FAILED == 0))
