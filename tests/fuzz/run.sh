#!/usr/bin/env bash
# run.sh - fuzzing, for `./build.sh fuzz`, which sources it; the corpus of each target is tests/fuzz/corpus/TARGET.tar.gz.
#
#   ./build.sh fuzz TARGET [SECONDS]   new inputs for so long (60), with ASan and UBSan; they gather in build/fuzz/TARGET
#   ./build.sh fuzz all [SECONDS]      one target after the other
#   ./build.sh fuzz keep TARGET        what of build/fuzz/TARGET adds coverage becomes the committed corpus
#   ./build.sh fuzz coverage           lines of each parser that the corpora reach

FUZZ_TARGETS=(gguf safetensors npz json image import probe tar checkpoint index options networks)

# What of a target's own sources is not in the library.
fuzz_sources() { # TARGET
    case $1 in
        options) echo src/cli/options.c src/cli/limits.c src/cli/text_out.c ;;
        index) echo "${CLI[@]/src\/cli\/main.c/}" ;;
    esac
}

# Folders of files that a target begins with, besides its corpus.
fuzz_seeds() { # TARGET
    local folder=tests/golden/errors
    case $1 in
        gguf | safetensors | npz) echo $folder/$1 ;;
        image) echo $folder/images ;;
    esac
}

# Calls that a target can let fail.
fuzz_wraps() { # TARGET
    case $1 in
        index) echo -Wl,--wrap={malloc,calloc,realloc,strdup,fopen,fread,fwrite,fflush,ferror,truncate} ;;
    esac
}

# Queues one target, whose main is another file or libFuzzer's.
fuzz_program() { # FOLDER CONFIG TARGET [MAIN]
    local sources
    read -r -a sources <<< "$(fuzz_sources "$3")"
    program "$1/fuzz_$3" "$2" "tests/fuzz/$3.c" "${@:4}" "${sources[@]}"
    PROGRAMS[-1]+=" $(fuzz_wraps "$3")"
}

fuzz_library() {
    local CC=${CC:-clang-19}
    have "$CC" && echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        "$CC" -fsanitize=fuzzer,address -x c - -o /dev/null 2> /dev/null ||
        apt_install 'the fuzzer' clang-19 libclang-rt-19-dev
    native_library fuzz "${SANITIZE_FLAGS[@]}" -fsanitize=fuzzer-no-link
    LINK+=(-fsanitize=fuzzer)
}

# The corpus as files.
unpack_corpus() { # TARGET FOLDER
    mkdir -p "$2"
    [[ ! -f tests/fuzz/corpus/$1.tar.gz ]] || tar -xzf "tests/fuzz/corpus/$1.tar.gz" -C "$2"
}

fuzz_options() { # TARGET
    FUZZ=(-timeout=5 -report_slow_units=1 -rss_limit_mb=2048 -print_final_stats=1 "-artifact_prefix=build/fuzz/$1-")
    case $1 in
        image) FUZZ+=(-max_len=20000) ;;
        networks) FUZZ+=(-max_len=80 -timeout=60) ;; # dozens of runs of a network, by threads that share processors
        options) FUZZ+=(-max_len=1000 -close_fd_mask=3) ;;
        index) FUZZ+=(-max_len=4096 -close_fd_mask=3) ;;
        tar) FUZZ+=(-max_len=20000) ;;
        *) FUZZ+=(-max_len=8192) ;;
    esac
}

fuzz() { # TARGET SECONDS
    local seeds
    read -r -a seeds <<< "$(fuzz_seeds "$1")"
    unpack_corpus "$1" "build/fuzz/$1"
    fuzz_options "$1"
    "build/fuzz/fuzz_$1" "${FUZZ[@]}" "-max_total_time=$2" "build/fuzz/$1" "${seeds[@]}"
}

# Begins a suite of the tests: the corpus.
fuzz_replay() { # TARGET
    local seeds
    read -r -a seeds <<< "$(fuzz_seeds "$1")"
    rm -rf "build/test/corpus/$1"
    unpack_corpus "$1" "build/test/corpus/$1"
    begin_suite "corpus of $1" "build/sanitized/fuzz_$1" "build/test/corpus/$1" "${seeds[@]}"
}

# Deterministic: by name, without times and owners.
fuzz_keep() { # TARGET
    local kept=build/fuzz/$1-kept seeds
    read -r -a seeds <<< "$(fuzz_seeds "$1")"
    rm -rf "$kept"
    mkdir -p "$kept" tests/fuzz/corpus
    fuzz_options "$1"
    "build/fuzz/fuzz_$1" "${FUZZ[@]}" -use_counters=0 -merge=1 "$kept" "${seeds[@]}" "build/fuzz/$1" > "build/fuzz/$1.merge.log" 2>&1
    for seeds in "${seeds[@]}"; do # which need not be kept twice
        (cd "$kept" && sha1sum "$OLDPWD/$seeds"/* | while read -r sum _; do rm -f "$sum"; done)
    done
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$kept" -c . | gzip -9n > "tests/fuzz/corpus/$1.tar.gz"
    say "tests/fuzz/corpus/$1.tar.gz: $(ls "$kept" | wc -l) files, $(stat -c %s "tests/fuzz/corpus/$1.tar.gz") bytes"
}

# Files that are reached by a target, and no others.
fuzz_covers() { # TARGET
    case $1 in
        gguf) echo src/format/gguf.c src/model/config_gguf.c ;;
        safetensors) echo src/format/safetensors.c src/format/container.c ;;
        npz) echo src/format/npz.c src/format/inflate.c src/format/unpack.c ;;
        json) echo src/format/json.c src/format/decimal.c src/format/text.c src/format/shards.c src/model/config_json.c ;;
        image) echo src/image/{decode,jpeg,png,exif,resize,preprocess}.c ;;
        import) echo src/model/{import,settle,names,check,loader,config_timm,config_hf,config_preprocessor}.c ;;
        probe) echo src/tasks/probe_file.c ;;
        tar) echo src/train/{dataset,tar}.c ;;
        checkpoint) echo src/train/state.c ;;
        index) echo src/cli/index_file.c ;;
        options) echo src/cli/options.c ;;
        networks) echo src/model/{stages_block,stages_layer,stages_attention,stages_input}.c src/train/{blocks,attention,ends,convnet}.c ;;
    esac
}

# Lines that the corpora of all targets reach: what a target is for, then its files.
fuzz_coverage() {
    local target sources seeds file line
    native_library coverage --coverage
    LINK+=(--coverage)
    for target in "${FUZZ_TARGETS[@]}"; do fuzz_program build/coverage coverage "$target" tests/fuzz/replay.c; done
    finish
    find build/coverage -name '*.gcda' -delete
    for target in "${FUZZ_TARGETS[@]}"; do
        read -r -a seeds <<< "$(fuzz_seeds "$target")"
        unpack_corpus "$target" "build/coverage/corpus/$target"
        "build/coverage/fuzz_$target" "build/coverage/corpus/$target" "${seeds[@]}" > /dev/null 2>&1 || die "fuzz_$target fails"
    done
    for target in "${FUZZ_TARGETS[@]}"; do
        read -r -a sources <<< "$(fuzz_covers "$target")"
        for file in "${sources[@]}"; do
            line=$(gcov -n -o "build/coverage/${file%.c}.o" "$file" | grep -A 1 "File '$file'" | tail -n 1)
            printf '%-12s %-34s %s\n' "$target" "$file" "${line#Lines executed:}"
        done
    done
}

run_fuzz() {
    local target targets=("${FUZZ_TARGETS[@]}")
    [[ $# -gt 0 ]] || die "which target? ${FUZZ_TARGETS[*]}, all, keep TARGET, coverage"
    mkdir -p build/fuzz
    case $1 in
        coverage) fuzz_coverage; return ;;
        keep) [[ ! ${2:-} ]] || targets=("${@:2}") ;;
        all) ;;
        *)
            [[ " ${FUZZ_TARGETS[*]} " == *" $1 "* ]] || die "no such target: $1 (${FUZZ_TARGETS[*]})"
            targets=("$1")
            ;;
    esac
    fuzz_library
    for target in "${targets[@]}"; do fuzz_program build/fuzz fuzz "$target"; done
    finish
    for target in "${targets[@]}"; do
        case $1 in
            keep) fuzz_keep "$target" ;;
            *) fuzz "$target" "${2:-60}" ;;
        esac
    done
}
