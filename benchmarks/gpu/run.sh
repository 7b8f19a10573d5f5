#!/usr/bin/env bash
# What a GPU gives, measured beside the bare engines in at most eight minutes, on one machine with one GPU:
#
#     benchmarks/gpu/run.sh                  # PYTHON=python, SIZE=1B (or 7B), LIMIT_S=460, JUDGEBENCH_MIRROR=FOLDER
#     SIZE=tiny benchmarks/gpu/run.sh        # the same on a CPU: whether it runs, not how fast it is
#
# The checkpoint is made on the spot, with random weights. Each part is a process of its own, so that its memory is free
# for the next and a part that fails costs no other; a part for which there is no time, engine or file says so. The last
# line of a part has its figure and the figure that is wanted. It ends with 1 if a part failed.
set -uo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python}
size=${SIZE:-1B}
[[ $size == tiny ]] && limit=3600 || limit=460
deadline=$((SECONDS + ${LIMIT_S:-$limit}))
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false VLLM_NO_USAGE_STATS=1 JUDGEBENCH_CACHE="$folder/cache"
if [[ $size == tiny ]]; then # few and busy cores: more threads or processes are many times slower
    export OMP_NUM_THREADS=1 VLLM_CPU_KVCACHE_SPACE=1 VLLM_ENABLE_V1_MULTIPROCESSING=0
fi
failed=0

# part NAME MOST-SECONDS
part() {
    local left=$((deadline - SECONDS))
    if ((left < 10)); then
        echo "$1: left out, no time is left"
        return
    fi
    local most=$(($2 < left && limit == 460 ? $2 : left))
    timeout -k 5 "$most" "$python" benchmarks/gpu/parts.py "$1" --size "$size" --folder "$folder" ||
        { echo "$1: failed or took too long ($?)"; failed=1; }
}

part checkpoint 120
part vllm 120
part hf 90
part labels 60
part reward 60
part turns 60
part overlap 90
part real 240
exit "$failed"
