#!/bin/sh
# Coverage-guided fuzzing: shim/fuzz/run.sh SECONDS [TARGET]...
#
# Compiles the targets with clang's libFuzzer, AddressSanitizer and UBSan into $BUILD (build/fuzz) and runs each
# for so many seconds, from the corpus in shim/fuzz/corpus and what earlier runs have added in $BUILD/corpus.
# Ends with 1 on a finding and says where the input lies. README.md tells what to do with it.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
build=${BUILD:-build/fuzz}
cxx=${FUZZ_CXX:-clang++}
jobs=${JOBS:-2}
all=$(cd shim/fuzz/corpus && echo *)
seconds=${1:-}
case $seconds in '' | *[!0-9]*)
    echo "usage: $0 SECONDS [TARGET]...   targets: $all" >&2
    exit 2 ;;
esac
shift
targets=${*:-$all}
for target in $targets; do
    if ! [ -f "shim/fuzz/$target.cpp" ]; then
        echo "$0: there is no target '$target'; targets: $all" >&2
        exit 2
    fi
done
mkdir -p "$build/finds"
if ! echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    "$cxx" -fsanitize=fuzzer,address,undefined -x c++ - -o "$build/probe" 2>"$build/probe.log"; then
    echo "$0: '$cxx' with libFuzzer is needed (Debian 12: apt-get install clang libclang-rt-14-dev; else set FUZZ_CXX)" >&2
    exit 3
fi

sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
flags="-std=c++17 -O1 -g -Wall -Wextra -Wno-unknown-pragmas -pthread $sanitize -fsanitize=fuzzer-no-link"
flags="$flags -DTK_COMPAT=6711 -Ishim/include -Ishim/src -Ishim/compat -Ishim/fuzz"
link="-pthread -ldl $(cat shim/fuzz/wrapped)"

{
    objects=
    rules=
    for source in shim/src/*.cpp shim/compat/*.cpp shim/compat/trader/*.cpp shim/fuzz/world.cpp; do
        object=$build/$(basename "$(dirname "$source")")_$(basename "$source" .cpp).o
        objects="$objects $object"
        rules="$rules
$object: $source shim/fuzz/run.sh
	@$cxx $flags -MMD -MP -c $source -o $object"
    done
    for target in $targets; do
        rules="$rules
$build/$target.o: shim/fuzz/$target.cpp shim/fuzz/run.sh
	@$cxx $flags -MMD -MP -c shim/fuzz/$target.cpp -o $build/$target.o
$build/$target: $build/$target.o $objects shim/fuzz/wrapped
	@$cxx $sanitize -fsanitize=fuzzer $build/$target.o $objects $link -o $build/$target"
    done
    printf 'all:'
    for target in $targets; do printf ' %s' "$build/$target"; done
    echo "$rules"
    echo "-include $build/*.d"
} > "$build/rules.mk"
make -s -j "$jobs" -f "$build/rules.mk" all

scratch=$(mktemp -d /dev/shm/tickshim-run-XXXXXX 2>/dev/null || mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
TICKSHIM_TEST_DIR=$scratch
export TICKSHIM_TEST_DIR

status=0
for target in $targets; do
    echo "== fuzz $target: $seconds s"
    mkdir -p "$build/corpus/$target"
    if "$build/$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -max_len=8192 -len_control=0 -use_value_profile=1 \
        -print_final_stats=1 -verbosity=1 -artifact_prefix="$build/finds/$target-" "$build/corpus/$target" \
        "shim/fuzz/corpus/$target" >"$build/$target.log" 2>&1; then
        grep -E 'stat::number_of_executed_units|stat::average_exec' "$build/$target.log"
        grep -E ' cov: ' "$build/$target.log" | tail -n 1
    else
        status=1
        tail -n 60 "$build/$target.log"
        echo "== FINDING in $target; the input:"
        # The name that libFuzzer gave it, or where it is when the run ended otherwise.
        grep -o "$build/finds/$target-[^ ]*" "$build/$target.log" || echo "$build/$target.log has what it said"
        echo "== again: $build/$target INPUT"
    fi
done
exit "$status"
