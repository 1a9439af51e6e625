#!/bin/sh
# The shim's own tests: shim/tests/run.sh [plain|asan|tsan|all] [part of a test's name]...
#
# Compiles the shim's sources together with the tests (no .so, so that internals can be reached) into
# $BUILD (build/shim-tests) and runs them: as they are, under AddressSanitizer and UBSan, and under
# ThreadSanitizer. Under AddressSanitizer the corpora of shim/fuzz are replayed too (alone: asan replay). Before
# that the memory orders' comments are checked (sync_comments.awk).
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
build=${BUILD:-build/shim-tests}
cxx=${CXX:-g++}
jobs=${JOBS:-2}
mode=all
if [ $# -gt 0 ]; then
    mode=$1
    shift
fi
case $mode in plain | asan | tsan) modes=$mode ;; all) modes="plain asan tsan" ;;
    *) echo "usage: $0 [plain|asan|tsan|all] [part of a test's name]..." >&2; exit 2 ;;
esac

flags="-std=c++17 -O1 -g -Wall -Wextra -Werror -pthread -Ishim/include -Ishim/src -Ishim/tests"
# The tests stop the code at these calls: hooks.cpp.
link="-pthread -ldl -Wl,--wrap=syscall -Wl,--wrap=clock_gettime -Wl,--wrap=fopen"

flags_of() {
    case $1 in
        asan) echo "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" ;;
        # GCC warns (-Wtsan) that its ThreadSanitizer does not follow atomic_thread_fence. The fences stay:
        # what they order are relaxed atomic words, which are never reported as races, and the stamps and
        # Head give the ordering that ThreadSanitizer does see. So the warning is noise here; what it costs
        # is that a missing fence is not found by this run.
        tsan) echo "-fsanitize=thread -Wno-tsan" ;;
    esac
}

# Not under ThreadSanitizer, by name: it cannot see what another process does, does not follow a fork
# out of a process that has had threads, and makes single steps endless.
tsan_skips="--skip process --skip killed --skip instruction --skip takeover"
# AddressSanitizer: the single-stepped ones only cost time there, their sibling in plain sees the same.
asan_skips="--skip instruction"

skips_of() {
    case $1 in tsan) echo "$tsan_skips" ;; asan) echo "$asan_skips" ;; esac
}

scratch=$(mktemp -d /dev/shm/tickshim-run-XXXXXX 2>/dev/null || mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
TICKSHIM_TEST_DIR=$scratch
export TICKSHIM_TEST_DIR

echo "== memory orders"
awk -f shim/tests/sync_comments.awk shim/src/*.hpp shim/src/*.cpp

objects_in() {
    for source in shim/"$2"/*.cpp; do printf '%s ' "$1/$(basename "$2")_$(basename "$source" .cpp).o"; done
}

# make does the parallel part and knows what has changed since the last run.
compile() {
    out=$build/$1
    mkdir -p "$out"
    {
        objects=
        rules=
        for source in shim/src/*.cpp shim/tests/*.cpp; do
            object=$out/$(basename "$(dirname "$source")")_$(basename "$source" .cpp).o
            objects="$objects $object"
            rules="$rules
$object: $source shim/tests/run.sh
	@$cxx $flags $(flags_of "$1") -MMD -MP -c $source -o $object"
        done
        programs=$out/shim_tests
        if [ -f shim/compat/tests/test_ftd.cpp ]; then
            programs="$programs $out/test_ftd $out/test_trader"
        fi
        replays=
        if [ "$1" = asan ]; then
            for source in shim/compat/*.cpp shim/compat/trader/*.cpp shim/fuzz/*.cpp; do
                object=$out/$(basename "$(dirname "$source")")_$(basename "$source" .cpp).o
                rules="$rules
$object: $source shim/tests/run.sh
	@$cxx $flags $(flags_of "$1") -DTK_COMPAT=6711 -Ishim/compat -Ishim/fuzz -MMD -MP -c $source -o $object"
            done
            parts="$out/fuzz_replay.o $out/fuzz_world.o $(objects_in "$out" src) $(objects_in "$out" compat)"
            parts="$parts $(objects_in "$out" compat/trader)"
            for folder in shim/fuzz/corpus/*; do
                target=$(basename "$folder")
                programs="$programs $out/replay_$target"
                replays="$replays
$out/replay_$target: $out/fuzz_$target.o $parts shim/fuzz/wrapped
	@$cxx $(flags_of "$1") $out/fuzz_$target.o $parts -pthread -ldl $(cat shim/fuzz/wrapped) -o \$@"
            done
        fi
        echo "all: $programs"
        echo "$out/shim_tests: $objects"
        echo "	@$cxx $(flags_of "$1") $objects $link -o \$@"
        echo "$out/test_ftd: shim/compat/tests/test_ftd.cpp shim/compat/ftd.cpp shim/compat/ftd.hpp"
        echo "	@$cxx $flags $(flags_of "$1") -Ishim/compat shim/compat/tests/test_ftd.cpp shim/compat/ftd.cpp -o \$@"
        trader="shim/compat/trader/dispatch.cpp shim/compat/trader/flow.cpp shim/compat/trader/structs.cpp"
        trader="shim/compat/tests/test_trader.cpp $trader shim/compat/faults.cpp shim/compat/ftd.cpp"
        echo "$out/test_trader: $trader $(echo shim/compat/*.hpp shim/compat/t*/*.hpp shim/compat/trader/*.inc)"
        echo "	@$cxx $flags $(flags_of "$1") -Ishim/compat $trader -o \$@"
        echo "$rules$replays"
        echo "-include $out/*.d"
    } > "$out/rules.mk"
    make -s -j "$jobs" -f "$out/rules.mk" all
}

status=0
for m in $modes; do
    echo "== $m: compile"
    compile "$m"
    echo "== $m: run"
    if [ "$m $*" != "asan replay" ]; then
        # shellcheck disable=SC2046
        "$build/$m/shim_tests" $(skips_of "$m") "$@" || status=1
    fi
    for program in test_ftd test_trader; do
        if [ -x "$build/$m/$program" ] && [ $# -eq 0 ]; then
            timeout 300 "$build/$m/$program" || status=1
        fi
    done
    if [ "$m" = asan ] && { [ $# -eq 0 ] || [ "$*" = replay ]; }; then
        echo "== $m: what the fuzzer starts from, and what it has found"
        for folder in shim/fuzz/corpus/*; do
            "$build/$m/replay_$(basename "$folder")" "$folder" || status=1
        done
    fi
done
if [ "$status" -eq 0 ]; then echo "== all passed"; else echo "== FAILED"; fi
exit "$status"
