#!/usr/bin/env bash
# Runs spin over the models: those of the code as it is must have no error and no part that is never reached, and each
# mutant must have one. README.md describes the models. No arguments.
set -euo pipefail
cd "$(dirname "$0")"

faults=0
fault() {
    echo "model: $*" >&2
    faults=$((faults + 1))
}

# The README's table has a row for each SYNC name of the C++ code, and the files and mutants it names are there.
check_table() {
    diff <(grep -ohE 'SYNC [a-z]+( [a-z]+)* \((acquire|release|seq_cst)' ../shim/src/*.?pp | sed 's/^SYNC //; s/ (.*//' | sort -u) \
        <(sed -n 's/^| `\([a-z ]*\)` |.*/\1/p' README.md | sort -u) ||
        fault "README.md's table (>) and the SYNC names in shim/src (<) differ"
    local name
    for name in $(grep -ohE '[a-z]+\.pml' README.md ../docs/ordering.md | sort -u); do
        [ -f "$name" ] || fault "$name is named in README.md or docs/ordering.md, and is not there"
    done
    for name in $(grep -ohE '`[A-Z]+(_[A-Z]+)+`' README.md ../docs/ordering.md | tr -d '`' | sort -u); do
        grep -qE "^#.*\b$name\b" ./*.pml || fault "mutant $name is named in README.md or docs/ordering.md, and is in no model"
    done
    # A switch in a model that no run below turns is a mutant that was forgotten.
    for name in $(grep -ohE '^#(ifdef|ifndef|if|elif) .*' ./*.pml | grep -oE '\b[A-Z]+(_[A-Z]+)*\b' | sort -u); do
        grep -qE "(-D|\b)$name\b" check.sh || fault "$name is asked for in a model, and no run defines it"
    done
}

# Builds and runs one model; sets errors, states and seconds, and leaves the report in $scratch.
run() {
    local model=$1 start report
    shift
    start=$EPOCHREALTIME
    (
        cd "$scratch"
        rm -f pan* ./*.trail
        spin -a "$@" "$model.pml" >spin.out 2>&1 || { cat spin.out >&2; exit 1; }
        gcc -w "$optimise" -DSAFETY -DMEMLIM=450 -o pan pan.c
        ./pan -m100000 -w20 >report 2>&1 || true # what it found is in the report
    )
    report=$scratch/report
    errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$report")
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$report")
    seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
    # Not searched to the end: neither "no error" nor "an error" follows.
    if [ -z "$errors" ] || [ -z "$states" ] || grep -qE 'too small|MEMLIM bound|out of memory' "$report"; then
        cat "$report" >&2
        fault "$model $*: the search did not come to its end"
        errors=unknown
    fi
}

say() { printf '%-60s %9s states %5s s  %s\n' "$1" "${states:-0}" "$seconds" "$2"; }

# correct STATES MODEL FLAGS: no error, at least so many states, and every line reached.
correct() {
    local least=$1 dead
    shift
    optimise=-O1
    run "$@"
    dead=$(grep -E 'pml:[0-9]+, state' "$scratch/report" | grep -v -- '"-end-"' || true)
    if [ "$errors" != 0 ]; then
        say "$*" "ERROR"
        grep -m1 'pan:1:' "$scratch/report" >&2 || true
        (cd "$scratch" && spin -t -p "${@:2}" "$1.pml" 2>&1 | tail -40 >&2) || true
        fault "$* has an error"
    elif [ -n "$dead" ]; then
        say "$*" "NOT REACHED"
        printf '%s\n' "$dead" >&2
        fault "$* has parts that are never reached: it proves nothing about them"
    elif [ "$states" -lt "$least" ]; then
        say "$*" "TOO FEW STATES"
        fault "$* has $states states, fewer than $least: something holds it up"
    else
        say "$*" "holds"
    fi
}

# mutant MODEL MUTANT FLAGS: an error must be found.
mutant() {
    local found
    optimise=-O0 # the compiler takes longer than the search
    run "$1" "-D$2" "${@:3}"
    if [ "$errors" = 0 ]; then
        say "$*" "NOT FOUND"
        fault "$*: spin finds no error, so nothing shows that the protection is needed"
    else
        found=$(sed -n 's/^pan:1: *\(.*\) (at depth.*/\1/p' "$scratch/report" | head -1)
        say "$*" "found: $found"
    fi
}

check_table
if ! command -v spin >/dev/null; then
    if [ -n "${CI:-}" ]; then
        echo "model: spin is missing (Debian, Ubuntu: apt-get install spin)" >&2
        exit 1
    fi
    echo "model: skipped, spin is not installed (Debian, Ubuntu: apt-get install spin)"
    exit $((faults != 0))
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
cp ./*.pml "$scratch"

correct 50000 publish
correct 50000 publish -DFILTERED
correct 100000 publish -DCAPACITY=3 -DCHUNK=2 -DRECORDS=5
correct 300000 publish -DKILLS=1
correct 300000 publish -DKILLS=1 -DFILTERED
mutant publish STAMP_FIRST
mutant publish NO_STAMP_RELEASE
mutant publish NO_STAMP_ACQUIRE
mutant publish NO_BEGIN_FENCE
mutant publish NO_OVERWRITE_ACQUIRE
mutant publish NO_SECOND_LOOK
mutant publish ONE_SLOT_MORE
mutant publish CHECKS_THE_LAST -DCAPACITY=3 -DCHUNK=2 -DRECORDS=5
mutant publish NO_HEAD_RELEASE
mutant publish TICKS_BEFORE_STAMP
mutant publish NO_TICKS_RELEASE
mutant publish NO_TICKS_ACQUIRE
mutant publish NO_CLOSED_RELEASE
mutant publish NO_CLOSED_ACQUIRE
mutant publish NO_COUNT_RELEASE -DFILTERED
mutant publish NO_COUNT_ACQUIRE -DFILTERED
mutant publish NO_LOOK_AT_STAMP -DKILLS=1
mutant publish COUNTERS_NOT_MENDED -DKILLS=1 -DFILTERED
mutant publish RECOVERED_COUNT_PLAIN -DKILLS=1 -DFILTERED

correct 300000 saved -DKILLS=1
mutant saved NO_ZERO
mutant saved NO_SAVED_RELEASE
mutant saved NO_SAVED_RELEASE_FENCE
mutant saved NO_SAVED_ACQUIRE
mutant saved NO_SAVED_ACQUIRE_FENCE
mutant saved NO_SECOND_LOOK
mutant saved NO_OVERWRITE_ACQUIRE
mutant saved HEAD_BEFORE_SAVED -DKILLS=1
mutant saved MOVED_AGAIN -DKILLS=1

correct 30000 seqlock -DKILLS=1 -DROUNDS=3
correct 50000 seqlock -DKILLS=1 -DCLOSER
mutant seqlock NO_RELEASE_FENCE
mutant seqlock NO_LAST_RELEASE
mutant seqlock NO_ACQUIRE
mutant seqlock NO_ACQUIRE_FENCE
mutant seqlock NO_LOOK_AT_ODD
mutant seqlock NO_SECOND_LOOK
mutant seqlock NO_REPAIR -DKILLS=1
mutant seqlock VERSION_LOADED_THEN_STORED -DCLOSER

correct 200000 sleep
correct 500000 sleep -DKILLS=1
correct 500000 sleep -DTWO_READERS
mutant sleep NO_BARRIER
mutant sleep NO_WRITER_FENCE
mutant sleep NO_READER_FENCE
mutant sleep NO_SECOND_LOOK
mutant sleep NO_LOOK_AT_CLOSED
mutant sleep NO_LOOK_AT_PLACE
mutant sleep LOOK_BEFORE_HEAD
mutant sleep BIT_AFTER_LOOK
mutant sleep WAKE_BEFORE_BIT
mutant sleep WORD_NOT_COMPARED
mutant sleep NO_TIME_LIMIT
mutant sleep ENDER_LOOKS_FIRST
mutant sleep CLOSED_PLAIN
mutant sleep PLACE_PLAIN
mutant sleep BARRIER_TOLD_LATE -DKILLS=1

correct 500000 resume
correct 500000 resume -DKILLS=2 -DFILTERS=1
correct 500000 resume -DKILLS=2 -DFILTERS=1 -DGET_MANY
mutant resume SINGLE_PROGRESS_COPY
mutant resume WHICH_FIRST
mutant resume HANDED_AFTER
mutant resume HANDED_BY_COMMIT
mutant resume NO_GOING_BACK
mutant resume NO_SUMS
mutant resume EXPECTED_KEPT
mutant resume LOST_KEPT
mutant resume NO_SECOND_LOOK

correct 100000 trade
correct 4000 trade -DRING
mutant trade STAMP_FIRST
mutant trade STAMP_FIRST -DRING
mutant trade LOOK_BEFORE_STAMP
mutant trade LOOK_BEFORE_STAMP -DRING
mutant trade NO_WRITER_FENCE
mutant trade NO_WRITER_FENCE -DRING
mutant trade NO_READER_FENCE
mutant trade NO_READER_FENCE -DRING
mutant trade NO_SECOND_LOOK
mutant trade NO_SECOND_LOOK -DRING
mutant trade WORD_KEPT
mutant trade WORD_KEPT -DRING
mutant trade WORD_LOADED_LATE
mutant trade WORD_LOADED_LATE -DRING
mutant trade MARK_CLEARED_LAST
mutant trade NO_LOOK_AT_TAKEN -DRING
mutant trade TAKEN_FIRST -DRING

if [ "$faults" != 0 ]; then
    echo "model: $faults faults" >&2
    exit 1
fi
echo "model: all hold, every mutant is found"
