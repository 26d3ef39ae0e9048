#!/usr/bin/env bash
# What masked patch prediction is good for (the paper's section 4.6 and appendix B.1.2), each study within half an hour on two
# cores for CIFAR-10 (folders train and test, or train and val, of a folder for each class):
#
#   tests/studies/masked.sh scratch|targets|share|steps OUT DATA
#
# scratch: from scratch and pre-trained, with as many steps of fine-tuning, and as many in all. targets: the three targets.
# share: 15 % of the patches corrupted, and 50 %. steps: accuracy after fine-tuning over steps of pre-training. Every run is a folder
# below OUT; a run that is whole is not made again, others go on. STEPS: of pre-training (2000), FINE: of fine-tuning (800).
set -euo pipefail

(($# == 3)) && [[ $1 =~ ^(scratch|targets|share|steps)$ ]] ||
    { sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
VIT=${VIT:-$(dirname "${BASH_SOURCE[0]}")/../../build/vit}
STEPS=${STEPS:-2000} FINE=${FINE:-800}
OUT=$2 TRAIN=$3/train VAL=$3/test
[[ -d $VAL ]] || VAL=$3/val
NETWORK=(--layers 4 --width 128 --heads 4 --mlp 256 --patch 4 --size 32)
SHARED=(--batch 64 --warmup 100 --schedule cosine --eval-epochs 0 --seed 1 --resume)
mkdir -p "$OUT"

# run NAME COMMAND OPTION...: a run in OUT/NAME.
run() {
    [[ -f $OUT/$1/done ]] && return
    "$VIT" "$2" "${SHARED[@]}" "${@:3}" --val "$VAL" --out "$OUT/$1" "$TRAIN" >&2
    touch "$OUT/$1/done"
}

# last NAME KEY: what the log of OUT/NAME said of it last.
last() { grep -o "\"$2\":[0-9.]*" "$OUT/$1/log.jsonl" | tail -n 1 | cut -d : -f 2; }

pretrain() { run "$1" pretrain "${NETWORK[@]}" --optimizer adam --lr 0.0005 --flip 0.5 --crop 0 "${@:2}"; }

# Fine-tunes OUT/NAME, to OUT/NAME-fine.
finetune() { run "$1-fine" finetune --model "$OUT/$1/model.gguf" --optimizer adamw --lr 0.001 --flip 0.5 --pad 4 --steps "$FINE"; }

# From scratch, for so many steps.
scratch() { run "$1" train "${NETWORK[@]}" --optimizer adamw --lr 0.001 --flip 0.5 --pad 4 --steps "$2"; }

row() { printf '%-28s %s\n' "$@"; }

study_scratch() {
    scratch scratch "$FINE"
    scratch scratch-long $((STEPS + FINE))
    pretrain mean3bit --steps "$STEPS"
    finetune mean3bit
    row "steps" "accuracy, %"
    row "$FINE from scratch" "$(last scratch test_accuracy)"
    row "$((STEPS + FINE)) from scratch" "$(last scratch-long test_accuracy)"
    row "$STEPS, then $FINE" "$(last mean3bit-fine test_accuracy)"
}

study_targets() {
    local target
    row "target" "accuracy after fine-tuning, %"
    for target in mean3bit down4x4 pixels; do
        pretrain $target --target $target --steps "$STEPS"
        finetune $target
        row $target "$(last $target-fine test_accuracy)"
    done
}

study_share() {
    local share
    row "share corrupted" "hidden colours right, %; accuracy after fine-tuning, %"
    for share in 0.15 0.5; do
        pretrain share-$share --corrupt $share --steps "$STEPS"
        finetune share-$share
        row $share "$(last share-$share model_accuracy); $(last share-$share-fine test_accuracy)"
    done
}

study_steps() {
    local steps
    row "steps of pre-training" "hidden colours right, %; accuracy after fine-tuning, %"
    for steps in $((STEPS / 8)) $((STEPS / 4)) $((STEPS / 2)) "$STEPS"; do
        pretrain steps-$steps --steps "$steps"
        finetune steps-$steps
        row "$steps" "$(last steps-$steps model_accuracy); $(last steps-$steps-fine test_accuracy)"
    done
}

"study_$1"
