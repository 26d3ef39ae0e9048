#!/usr/bin/env bash
# run.sh - the tests, for `./build.sh test`, which sources it: what they need, one function for each part, the sum.
#
# A suite is a command that ends by printing `N passed, N failed` (or `, N skipped`). One that exits badly, takes too
# long or prints no such line has failed. What suites print is kept in build/test/SUITE.log.

PASSED=0
FAILED=0
SKIPPED=0

# Suites that run, by their processes: names, and when they began. Two at a time: most of each is waiting for something, or one thread.
declare -A SUITES=() BEGAN=()
SUITES_AT_ONCE=2

log_of() { echo "build/test/${1//[^A-Za-z0-9]/-}.log"; }

# begin_suite NAME COMMAND...: in the background, as soon as there is a place.
begin_suite() {
    ((${#SUITES[@]} < SUITES_AT_ONCE)) || end_suite
    mkdir -p build/test
    timeout -k 10 1800 "${@:2}" > "$(log_of "$1")" 2>&1 < /dev/null &
    SUITES[$!]=$1 BEGAN[$!]=$SECONDS
}

# Waits for one of them, whichever ends first, and counts.
end_suite() {
    local name log counts passed failed skipped process='' status=0
    wait -n -p process "${!SUITES[@]}" || status=$?
    name=${SUITES[$process]}
    log=$(log_of "$name")
    counts=$(grep -oE '[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?' "$log" | tail -n 1 || true)
    read -r passed failed skipped <<< "${counts//[!0-9]/ }"
    passed=${passed:-0} failed=${failed:-0} skipped=${skipped:-0}
    if ((failed == 0 && (status != 0 || passed + skipped == 0))); then
        failed=1
        case $status in
            0) counts='ran no test' ;;
            124 | 137) counts='took too long' ;;
            *) counts="${counts:-no counts}, exit status $status" ;;
        esac
    fi
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
    printf '%-42s %s (%d s)\n' "$name" "$counts" $((SECONDS - BEGAN[$process]))
    ((failed == 0)) || { tail -n 40 "$log" | sed 's/^/    | /'; echo "    whole output: $log"; }
    grep -i '^skip' "$log" | sed 's/^/    /' | head -n 20 || true
    unset "SUITES[$process]" "BEGAN[$process]"
}

# Waits for all of them.
end_suites() { while ((${#SUITES[@]} > 0)); do end_suite; done; }

# suite NAME COMMAND...: alone.
suite() {
    begin_suite "$@"
    end_suites
}

# begin_one NAME COMMAND...: a command that prints no counts is one test.
begin_one() {
    # shellcheck disable=SC2016
    begin_suite "$1" bash -c '"$@" && echo "1 passed, 0 failed"' one "${@:2}"
}

# ---- what tests need ----

find_browsers() {
    { have chromium && have firefox-esr; } || apt_install 'the browser tests' chromium firefox-esr
}

READER_PACKAGES=(numpy==2.4.6 safetensors==0.8.0 gguf==0.19.0) # which read weight files in Python

# READERS: a folder with those.
find_readers() {
    READERS=$CACHE/readers
    have_readers || in_turn make_readers
}

have_readers() { [[ -f $READERS/complete && $(< "$READERS/complete") == "${READER_PACKAGES[*]}" ]]; }

make_readers() {
    ! have_readers || return 0
    say "-- fetching ${READER_PACKAGES[*]} into $READERS"
    rm -rf "$READERS"
    "$PYTHON" -m pip install -q --target "$READERS" "${READER_PACKAGES[@]}" > "$CACHE/readers.log" 2>&1 ||
        { cat "$CACHE/readers.log" >&2; die "pip could not install ${READER_PACKAGES[*]}"; }
    echo "${READER_PACKAGES[*]}" > "$READERS/complete"
}

# ---- what tests build ----

# The unit tests: build/native/test_*, and build/sanitized/test_* with the program under both sanitizers.
build_unit_tests() {
    local test
    native_library native
    for test in tests/unit/test_*.c; do program "build/native/$(basename "$test" .c)" native "$test"; done
    finish
    native_library sanitized "${SANITIZE_FLAGS[@]}"
    for test in tests/unit/test_*.c; do program "build/sanitized/$(basename "$test" .c)" sanitized "$test"; done
    program build/sanitized/vit sanitized "${CLI[@]}"
    program build/sanitized/golden sanitized tests/golden*.c
    for test in "${FUZZ_TARGETS[@]}"; do fuzz_program build/sanitized sanitized "$test" tests/fuzz/replay.c; done
    finish
}

# Unit tests of what threads do, under ThreadSanitizer: build/threads/test_*.
build_thread_tests() {
    local test
    native_library threads -fsanitize=thread
    for test in base image pace networks train train_convnet train_data; do program "build/threads/test_$test" threads "tests/unit/test_$test.c"; done
    finish
}

build_readers() {
    native_library native
    program build/native/readers native tests/readers.c
    finish
}

# The tests of kernels for 64-bit ARM, to be run by qemu-user.
build_arm_tests() {
    local test
    apt_install 'the NEON tests' gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
    # shellcheck disable=SC2034 # for native_library
    local CC=aarch64-linux-gnu-gcc MACHINE=aarch64
    native_library arm -static
    for test in kernels int8 train_kernels convolution model; do program "build/arm/test_$test" arm "tests/unit/test_$test.c"; done
    finish
}

# build/golden.wasm, of COMPILE as build_wasi left it.
build_wasi_golden() {
    begin
    compile wasi "${LIBRARY[@]}" "${TRAIN[@]}"
    kernels wasi simd128
    program build/golden.wasm wasi tests/golden*.c
    finish
}

# ---- parts ----

test_native() {
    local test
    build_native
    build_unit_tests
    begin_suite layers bash tests/check_layers.sh
    for test in build/native/test_*; do begin_suite "unit ${test##*test_}" "$test"; done
    end_suites # as the sanitized ones use the same files
    for test in build/sanitized/test_*; do begin_suite "unit ${test##*test_}, sanitized" "$test"; done
    for test in "${FUZZ_TARGETS[@]}"; do fuzz_replay "$test"; done
    begin_suite 'goldens' "$PYTHON" tests/check_goldens.py
    begin_suite 'goldens read by wrong rules' "$PYTHON" tests/check_traps.py
    begin_suite 'goldens, sanitized' env VIT_DATA=none "$PYTHON" tests/check_goldens.py build/sanitized/golden build/sanitized/vit
    end_suites
}

test_cli() {
    build_native
    begin_suite 'command line' "$PYTHON" tests/cli/run.py build/vit
    begin_suite 'studies' "$PYTHON" tests/studies/check.py build/vit
    begin_suite 'killed' "$PYTHON" tests/faults.py kill build/vit 8
    begin_suite 'small networks' "$PYTHON" tests/networks.py build/vit vit_tiny_ vit_small_patch32_224 vit_small_r26_s32_224 bit_r50x1 \
        deit_tiny_ deit3_small_patch16_224 vit_small_patch14_reg4_dinov2
    end_suites
}

test_wasi() {
    local module data=${VIT_DATA:-../shared} run=("$PYTHON" tests/wasi_run.py) folders=(--dir . --dir "$PWD/build/test")
    local cases=(tests/golden/{mpp,mae}/*_*/ tests/golden/{fewshot,train}/*/)
    [[ ! -d $data ]] || folders+=(--dir "$data")
    build_wasi
    suite 'opcodes, WASI' "$PYTHON" tests/audit_opcodes.py build/vit.wasm build/vit-relaxed.wasm
    suite 'reproducible, WASI' bash tests/reproduce.sh wasi build/vit.wasm build/vit-relaxed.wasm
    # The relaxed program differs in what networks compute.
    begin_suite 'command line, vit.wasm' "$PYTHON" tests/cli/run.py "${run[*]} build/vit.wasm"
    begin_suite 'command line, vit-relaxed.wasm' "$PYTHON" tests/cli/run.py "${run[*]} build/vit-relaxed.wasm" \
        pictures inside masked fewshot weights formats families real
    for module in vit vit-relaxed; do
        begin_suite "goldens, $module.wasm" env TMPDIR="$PWD/build/test" \
            "$PYTHON" tests/check_goldens.py - "${run[*]} ${folders[*]} build/$module.wasm"
    done
    end_suites
    [[ -z $BY_COPY ]] || { say "skipped: golden.wasm (this machine builds in a copy of the tree)"; return 0; }
    build_wasi_golden
    [[ ! -d $data ]] || cases+=("$data"/golden/{fewshot/vit_features,real/{rollout,attention_distance,posemb_similarity,filter_pca}})
    suite 'goldens of tasks, golden.wasm' env TMPDIR="$PWD/build/test" \
        "$PYTHON" tests/check_goldens.py "${run[*]} ${folders[*]} build/golden.wasm" - "${cases[@]}"
}

test_node() {
    local modules=(wasm/index.js wasm/dist/vit-{simd128,relaxed}{,-mt}.{wasm,mjs})
    build_native # makes a GGUF for the suite
    build_wasm
    mkdir -p build/test
    pack > build/test/pack.log
    find_npm npm "${TEST_PACKAGES[@]}"
    begin_suite 'JavaScript, Node' "$NODE" tests/js/run.mjs
    begin_suite 'reproducible, modules' bash tests/reproduce.sh wasm "${modules[@]}"
    begin_suite 'opcodes, modules' "$PYTHON" tests/audit_opcodes.py wasm/dist/vit-{simd128,relaxed}{,-mt}.wasm
    begin_one 'types' "$NODE" "$NODE_MODULES/typescript/bin/tsc" --noEmit --strict --target es2022 --module nodenext tests/js/types.ts
    begin_suite 'vit.d.ts has examples' "$NODE" tests/js/documented.mjs "$NODE_MODULES/typescript"
    begin_one 'size' bash tests/size.sh
    begin_suite 'bill of materials' "$NODE" tests/verify.mjs build/pack/vit-wasm-*.tgz build/pack/vit-wasm.spdx.json
    end_suites
}

test_browser() {
    local browser
    build_native
    build_wasm
    find_npm packer $PACKER
    local -x ESBUILD=$NODE_MODULES/.bin/esbuild
    find_npm npm "${TEST_PACKAGES[@]}"
    find_browsers
    for browser in firefox chromium; do begin_suite "JavaScript, $browser" "$NODE" tests/browser/run.mjs $browser; done
    for browser in firefox chromium; do begin_suite "demo page, $browser" "$NODE" tests/browser/demo.mjs $browser; done
    for browser in firefox chromium; do begin_suite "site, $browser" "$NODE" tests/browser/site.mjs $browser; done
    end_suites
}

test_readme() {
    build_all # so that what the commands build is there, and quick
    suite 'README' "$PYTHON" tests/readme.py
    find_browsers
    find_npm packer $PACKER
    local esbuild=$NODE_MODULES/.bin/esbuild
    find_npm npm "${TEST_PACKAGES[@]}"
    suite 'README, examples' "$NODE" tests/examples.mjs "$esbuild" "$NODE_MODULES"
}

# The package in fresh projects, as each host's people write them.
test_hosts() {
    mkdir -p build/test
    pack > build/test/pack.log
    find_browsers
    find_npm npm "${TEST_PACKAGES[@]}"
    find_npm hosts "${HOST_PACKAGES[@]}"
    suite 'hosts' "$NODE" tests/hosts/run.mjs build/pack/vit-wasm-*.tgz "$NODE_MODULES"
}

# What is too slow for every change.
test_long() {
    local browser host test
    build_arm_tests
    for test in build/arm/test_*; do suite "unit ${test##*test_}, NEON under qemu" qemu-aarch64-static "$test"; done
    build_native
    build_wasm
    find_npm npm "${TEST_PACKAGES[@]}"
    find_browsers
    test_hosts
    suite 'JavaScript, Node, all ways' "$NODE" tests/js/run.mjs :
    for browser in chromium firefox; do suite "JavaScript, $browser, all ways" "$NODE" tests/browser/run.mjs $browser :; done
    for host in node chromium; do suite "load, $host" "$NODE" tests/load.mjs $host; done
    find_readers
    build_readers
    suite 'weight files as Python reads them' env PYTHONPATH="$READERS" "$PYTHON" tests/readers.py build/native/readers 20000
    build_thread_tests
    for test in build/threads/test_*; do suite "unit ${test##*test_}, threads watched" "$test"; done
    apt_install 'failing calls of the system' strace
    suite 'failing calls' "$PYTHON" tests/faults.py calls build/vit
    suite 'killed 200 times' "$PYTHON" tests/faults.py kill build/vit 200
    build_wasi
    suite 'ViT, small to huge' "$PYTHON" tests/networks.py build/vit vit_tiny_p vit_small_p vit_half_ vit_base_patch vit_large_patch vit_huge_
    suite 'hybrids, BiT, DeiT' "$PYTHON" tests/networks.py build/vit vit_tiny_r vit_small_r vit_base_r vit_large_r r50_ bit_ resnetv2_ deit axial_
    suite 'giants' "$PYTHON" tests/networks.py build/vit vit_gi vit_so mae_
    local wasi="$PYTHON tests/wasi_run.py build/vit-relaxed.wasm"
    suite 'ViT-L/16, WASI' "$PYTHON" tests/networks.py "$wasi" vit_large_patch16_224
    suite 'ViT-L/16, WASI, Q8_0' "$PYTHON" tests/networks.py --type q8_0 "$wasi" vit_large_patch16_224
    suite 'ViT-L/16, WASI, int8' "$PYTHON" tests/networks.py --compute int8 "$wasi" vit_large_patch16_224
}

run_tests() {
    local part
    . tests/fuzz/run.sh
    find_python
    [[ $# -gt 0 ]] || set -- native cli wasi node browser readme
    for part in "$@"; do
        case $part in
            native | cli | wasi | node | browser | readme | hosts | long) "test_$part" ;;
            *) die "no such part: $part (native, cli, wasi, node, browser, readme, hosts, long)" ;;
        esac
    done
    printf '%d passed, %d failed%s\n' $PASSED $FAILED "$( ((SKIPPED == 0)) || echo ", $SKIPPED skipped")"
    ((FAILED == 0))
}
