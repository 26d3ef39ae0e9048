#!/usr/bin/env bash
# run.sh - how fast it is, for `./build.sh bench`, which sources it after tests/run.sh: one function for each part. What
# was found is kept in tests/bench/RESULTS.md.

MODELS=ti,s,b
COMPUTE=f32,int8
RUNS=20
BENCH_MODELS=$CACHE/bench # the networks, with random weights

# The kernels and tasks alone: natively, for wasmtime, and as browsers get them.
build_bench() {
    build_native
    native_library native
    program build/bench_kernels native tests/bench/kernels.c
    program build/bench_train native tests/bench/train.c
    program build/bench_tasks native tests/bench/tasks.c
    finish
    build_wasi
    find_wasi
    [[ -z $BY_COPY ]] || die 'the bench needs compilers that need no copy of the tree: emcc on PATH and WASI_SDK_PATH'
    COMPILE=("${WASI[@]}" "${COMMON_FLAGS[@]}" "${WASI_FLAGS[@]}")
    LINK=("${WASI_LINK_FLAGS[@]}")
    begin
    kernels wasi-relaxed simd128 relaxed
    program build/bench_kernels.wasm wasi tests/bench/kernels.c
    compile wasi "${LIBRARY[@]}"
    program build/bench_tasks.wasm wasi tests/bench/tasks.c
    finish
    build_wasm
    COMPILE=("${EMCC[@]}" "${COMMON_FLAGS[@]}" "${WASM_FLAGS[@]}")
    LINK=(-sSTANDALONE_WASM -sALLOW_MEMORY_GROWTH -sSTACK_SIZE=1MB)
    begin
    kernels wasm simd128
    program build/bench_kernels-simd128.wasm wasm tests/bench/kernels.c
    OBJECTS=()
    kernels wasm-relaxed relaxed
    program build/bench_kernels-relaxed.wasm wasm tests/bench/kernels.c
    finish
}

title() { printf '\n== %s\n' "$*"; }

# jobs THREADS...: a measure.mjs job for each model, arithmetic and number of threads, to JOBS. EXTRA: more of its fields.
jobs() {
    local model compute threads
    JOBS=()
    for model in ${MODELS//,/ }; do for compute in ${COMPUTE//,/ }; do for threads in "$@"; do
        JOBS+=("{\"model\":\"$model\",\"compute\":\"$compute\",\"threads\":$threads,\"runs\":$RUNS${EXTRA:-}}")
    done; done; done
}

bench_kernels() {
    title 'kernels, native'
    build/bench_kernels
    title 'kernels, wasmtime'
    "$PYTHON" tests/wasi_run.py build/bench_kernels.wasm
}

# Training steps, each network in a process of its own; beside PyTorch's on as many threads. And fine-tuning on a page.
bench_train() {
    local network threads=$(($(nproc) > 1 ? 2 : 1))
    title "training, $threads threads"
    for network in ti16_224_b32 d192_l9_p4_32_b128 hybrid_32_b128; do
        build/bench_train --threads $threads $network
        ! grep -q amx_bf16 /proc/cpuinfo || build/bench_train --bf16 --threads $threads $network
        [[ -z ${PEERS:-} ]] || "$PEERS/venv/bin/python" "$PEERS/train_torch.py" --threads $threads --cases $network
    done
    title 'fine-tuning all of ViT-Ti, Chromium'
    "$NODE" tests/bench/browser.mjs train "$BENCH_MODELS" chromium "{\"model\":\"ti\",\"threads\":$threads,\"batch\":40,\"steps\":30}"
}

bench_tasks() {
    title 'tasks, native'
    build/bench_tasks
    title 'tasks, wasmtime'
    "$PYTHON" tests/wasi_run.py build/bench_tasks.wasm
    title 'tasks, Node and browsers'
    "$NODE" tests/bench/tasks.mjs "$BENCH_MODELS"
}

bench_native() {
    local model compute
    title "native: $(grep -m 1 'model name' /proc/cpuinfo | cut -d : -f 2-)"
    for model in ${MODELS//,/ }; do for compute in ${COMPUTE//,/ }; do
        build/vit bench --model "$BENCH_MODELS/$model" --threads 1 --runs "$RUNS" --compute "$compute"
        (($(nproc) == 1)) ||
            build/vit bench --model "$BENCH_MODELS/$model" --threads 2 --runs "$RUNS" --compute "$compute" | grep forward
    done; done
    [[ -z ${PEERS:-} ]] || (cd "$PEERS" && venv/bin/python native.py --peers ort-native,litert-native --models "$MODELS" --dtype "$COMPUTE" --runs "$RUNS")
}

# BiT R50x1 and R26+ViT-S/32, f32 on one thread.
bench_convnets() {
    local model MODELS=r50,r26 COMPUTE=f32
    title 'ResNets'
    for model in ${MODELS//,/ }; do build/vit bench --model "$BENCH_MODELS/$model" --threads 1 --runs "$RUNS"; done
    [[ -z ${PEERS:-} ]] || "$PEERS/venv/bin/python" tests/bench/convnets.py
    jobs 1
    "$NODE" tests/bench/browser.mjs speed "$BENCH_MODELS" chromium "${JOBS[@]}"
}

bench_node() {
    local node
    title 'Node'
    jobs 1 2
    for node in ${NODES:-$NODE}; do "$node" tests/bench/node.mjs "$BENCH_MODELS" "${JOBS[@]}"; done
}

bench_browser() {
    local kind=${1:-speed} browser flags
    title "browsers: $kind"
    jobs 1 2
    if [[ $kind != speed ]]; then
        jobs 1
        "$NODE" tests/bench/browser.mjs "$kind" "$BENCH_MODELS" chromium "${JOBS[@]}"
        return
    fi
    for browser in chromium firefox; do "$NODE" tests/bench/browser.mjs speed "$BENCH_MODELS" $browser "${JOBS[@]}"; done
    jobs 1
    for flags in --js-flags=--wasm-revectorize --js-flags=--no-enable-avx-vnni; do
        "$NODE" tests/bench/browser.mjs speed "$BENCH_MODELS" "chromium:$flags" "${JOBS[@]}"
    done
    local EXTRA=',"kernels":"simd128"'
    jobs 1
    "$NODE" tests/bench/browser.mjs speed "$BENCH_MODELS" chromium "${JOBS[@]}"
    [[ -z ${PEERS:-} ]] || for flags in '' --js-flags=--wasm-revectorize; do
        (cd "$PEERS" && node run.mjs --peers litert --ours "$OLDPWD/tests/bench/engine.mjs" --ours-root "$OLDPWD" --models "$MODELS" --dtype "$COMPUTE" \
            --threads 1 --flags="$flags")
    done
}

# Eight pictures a call on one thread, against eight calls.
bench_batch() {
    title 'batches of 8, one thread'
    local EXTRA=',"batch":8'
    jobs 1
    "$NODE" tests/bench/browser.mjs speed "$BENCH_MODELS" chromium "${JOBS[@]}"
}

# With a foreign process that keeps one core busy.
bench_busy() {
    title 'another process keeps one core busy'
    "$NODE" -e 'for (;;);' &
    local spinner=$!
    jobs 1 2
    "$NODE" tests/bench/browser.mjs speed "$BENCH_MODELS" chromium "${JOBS[@]}" || true
    kill $spinner
    wait $spinner 2> /dev/null || true
}

bench_wasi() {
    local model compute module
    for module in build/vit-relaxed.wasm build/vit.wasm; do
        title "wasmtime, $module"
        for model in ${MODELS//,/ }; do for compute in ${COMPUTE//,/ }; do
            "$PYTHON" tests/wasi_run.py --dir "$BENCH_MODELS" $module bench --model "$BENCH_MODELS/$model" --runs "$RUNS" --compute "$compute"
        done; done
    done
}

run_bench() {
    local parts=() guard='' record=()
    while (($#)); do
        case $1 in
            --guard) guard=yes ;;
            --record) guard=yes record=(--record) ;;
            --models | --compute | --runs)
                (($# > 1)) || die "bench: $1 needs a value"
                case $1 in --models) MODELS=$2 ;; --compute) COMPUTE=$2 ;; --runs) RUNS=$2 ;; esac
                shift
                ;;
            native | kernels | train | tasks | convnets | node | browser | batch | busy | wasi | cold | memory | size | first | wasmtime | chromium | revectorize) parts+=("$1") ;;
            *) die "bench: no such part or option: $1" ;;
        esac
        shift
    done
    find_python
    find_npm npm "${TEST_PACKAGES[@]}"
    find_browsers
    build_bench
    export PYTHON
    if [[ -n $guard ]]; then
        ((${#parts[@]})) || parts=(native node wasmtime chromium revectorize)
        "$NODE" tests/bench/guard.mjs "${record[@]}" "${parts[@]}"
        return
    fi
    "$NODE" tests/bench/models.mjs "$BENCH_MODELS"
    ((${#parts[@]})) || parts=(native convnets node browser batch busy wasi cold memory size first)
    local part
    for part in "${parts[@]}"; do
        case $part in
            cold | memory) bench_browser "$part" ;;
            size) title 'download' && bash tests/size.sh ;;
            first) title 'first visit' && site && "$NODE" tests/bench/first.mjs build/site ;;
            *) "bench_$part" ;;
        esac
    done
}
