#!/usr/bin/env bash
# What a GPU gives, measured beside the bare engines in less than eight minutes, on one machine with one GPU:
#
#     benchmarks/gpu/run.sh                  # PYTHON=python, SIZE=1B (or 7B), JUDGEBENCH_MIRROR=FOLDER
#     SIZE=tiny benchmarks/gpu/run.sh        # the same on a CPU: whether it runs, not how fast it is
#
# The checkpoint is made on the spot, with random weights. Each part is a process of its own, so that its memory is free
# for the next one. A part may use its share of the seconds, which are 465 in all, and what the parts before it left
# over; one that takes longer is ended, and costs no other. A part that lacks an engine, a file or a package says so. The
# last line of a part has its figure and the figure that is wanted. The script exits with 1 if a part failed.
set -uo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python}
size=${SIZE:-1B}
pace=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Official files that were fetched before are in the user's cache, which no part is to change.
known=$("$python" -c 'from judgebench.models.call_store import default_cache_dir as cache; print(cache())')
[[ -d $known ]] && export JUDGEBENCH_MIRROR="${JUDGEBENCH_MIRROR:+$JUDGEBENCH_MIRROR:}$known"
export JUDGEBENCH_CACHE="$folder/cache"
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false VLLM_NO_USAGE_STATS=1 VLLM_LOGGING_LEVEL=ERROR
if [[ $size == tiny ]]; then # few and busy cores: more threads or processes are many times slower
    pace=4
    export OMP_NUM_THREADS=1 VLLM_CPU_KVCACHE_SPACE=1 VLLM_ENABLE_V1_MULTIPROCESSING=0
fi
failed=0
due=0

# part NAME SECONDS
part() {
    due=$((due + $2 * pace))
    local left=$((due - SECONDS))
    timeout -k 5 "$left" "$python" benchmarks/gpu/parts.py "$1" --size "$size" --folder "$folder"
    case $? in
    0) return ;;
    124 | 137) echo "$1: ended after $left s, which is all the time it has" ;;
    *) echo "$1: failed" ;;
    esac
    failed=1
}

part checkpoint 15
part vllm 90
part hf 40
part labels 20
part reward 20
part turns 20
part overlap 25
part real_hf 55
part real_vllm 45
part install 15
part beside_hf 70
part beside_vllm 50
echo "$SECONDS s in all"
exit "$failed"
