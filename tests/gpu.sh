#!/usr/bin/env bash
# gpu.sh OUT [PART ...]: what only a GPU can show, in parts of minutes, and a table of all that is in OUT last.
#
#   bench   the steps op by op, by XLA and by XLA in bfloat16, bare and in `fit`; about six minutes, most of it compiling
#   fixed   the ACGAN's step with deterministic operations, as trainings have it by default; two minutes
#   run     color:blue at the paper's settings but for a few steps, by XLA; three minutes
#   paper   color:blue at the paper's settings, for LIMIT_S seconds; the same command goes on with it, also on another machine
#           that OUT was copied to
#   table   the table alone
#
# Without a part: bench, fixed and run. A part that is done, with its file in OUT, is not done again. From the environment:
#   PYTHON    the interpreter, with the package on its path (python3)
#   WEIGHTS   an InceptionV3 file without its top (none: random ones, whose results say nothing and whose times do)
#   PEER      shared `peers/torch_gpu.py`, which then takes turns with ours, eager and compiled
#   LIMIT_S   seconds of `paper` in one call (520)
#   DRY       print the commands and run none
set -euo pipefail
out=${1:?"gpu.sh OUT [bench|fixed|run|paper|table ...]"}
shift
[ $# -gt 0 ] || set -- bench fixed run
mkdir -p "$out"
python=${PYTHON:-python3}
weights=${WEIGHTS:+file:$WEIGHTS}
here=$(cd "$(dirname "$0")" && pwd)
blue=(run paper --gan.generator bundled --interactions.objective color:blue --estimator.trainable all
  --estimator.image-size 96 --estimator.weights "${weights:-none}")
saving=(--estimator.checkpoint-minutes 1 --tuning.checkpoint-minutes 1)

pir_tf() {
  echo "+ pir-tf $*"
  [ -n "${DRY:-}" ] || "$python" -m pir_tf.cli "$@"
}

bench() { # bench NAME PATTERN [option ...]: a case into a file of its own, so that a machine that goes takes nothing along
  [ -e "$out/$1.json" ] || pir_tf bench --forms gpu --rounds 5 --only "$2" --json "$out/$1.json" "${@:3}"
}

peer=()
if [ -n "${PEER:-}" ]; then
  torch="env LD_LIBRARY_PATH= PYTHONPATH= python3 $PEER {batch} {pixels} f32"
  peer=(--peer "$torch" "$torch compile")
fi

for part in "$@"; do
  case $part in
    bench)
      bench acgan-64 'ACGAN*' --no-deterministic
      bench tuning-75 'tuning*at 75*' --no-deterministic "${peer[@]}"
      bench tuning-299 'tuning*at 299*' --no-deterministic "${peer[@]}"
      ;;
    fixed) bench acgan-64-fixed 'ACGAN*' --deterministic ;;
    run)
      pir_tf "${blue[@]}" --compute.jit-compile on --estimator.steps 500 --tuning.steps 1000 --evaluation.no-judge \
        --run-dir "$out/short-blue"
      ;;
    paper)
      export -f pir_tf
      export python DRY="${DRY:-}"
      timeout -s INT "${LIMIT_S:-520}" bash -c 'pir_tf "$@"' - "${blue[@]}" "${saving[@]}" --run-dir "$out/paper-blue" ||
        echo "paper: not done yet; the same command goes on with it"
      ;;
    table) ;;
    *) echo "gpu.sh: $part is no part, expected bench, fixed, run, paper or table" >&2 && exit 2 ;;
  esac
done
[ -n "${DRY:-}" ] || "$python" "$here/gpu_table.py" "$out"
