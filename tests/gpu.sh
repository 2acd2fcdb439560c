#!/usr/bin/env bash
# gpu.sh OUT [PART ...]: what only a GPU can show, in parts of minutes, and a table of all that is in OUT last.
#
#   tuning-299  the tuning step at 299 pixels op by op, by XLA and by XLA in bfloat16, bare and in `fit`; then PEER eager and compiled
#   frozen      the frozen InceptionV3 at 299 pixels, folded or not, its weights as constants or not, NCHW or NHWC, channels
#               filled up, in float32 and bfloat16; then the tuning step with the fastest (`gpu_frozen.py`)
#   acgan       the ACGAN's step in the forms of `tuning-299`; what `fit` adds on the host
#   fixed       the ACGAN's step with deterministic operations, as trainings have it by default
#   tuning-75   the tuning step at 75 pixels, as at 299
#   run         color:blue at the paper's settings but for a few steps, by XLA
#   paper       color:blue at the paper's settings, for LIMIT_S seconds; the same command goes on with it, also on another
#               machine that RUNS was copied to
#   table       the table alone
#
# Without a part: all but `paper`, in this order. Most of the time goes into compiling, 30 to 70 s a form. A part has a time
# limit of its own, and all together have TOTAL_S seconds; what was measured until then is kept, as NAME.part.json. A part that is
# done, with its NAME.json in OUT, is not done again. For fifteen minutes of one machine, of which starting it and TensorFlow take
# three: `gpu.sh OUT tuning-299 frozen`, then `TOTAL_S=150 gpu.sh OUT acgan fixed`; the others another time. A case of `pir-tf bench`
# that is cut off before all of its forms are compiled leaves nothing; `frozen` leaves each form, and takes the time that is left.
#
# OUT gets a few small files: a JSON a part, table.txt and log.txt. From the environment:
#   PARTS     folder with shared `gpu/pack.sh`'s part.* and `gpu/assemble.sh`: TensorFlow is put together at TARGET first
#   TARGET    where to ($PARTS-tensorflow); where its env.sh is already, it is taken as it is
#   PYTHON    the interpreter (python3)
#   WEIGHTS   an InceptionV3 file without its top (none: random ones, whose results say nothing and whose times do)
#   PEER      shared `peers/torch_gpu.py`, which then takes turns with ours, eager and compiled
#   RUNS      where the runs go, which are large (OUT-runs)
#   TOTAL_S, LIMIT_S, FROZEN_S   seconds of all parts (560), of `paper` (520), and of `frozen` (400)
#   DRY       print the commands and run none
#   TINY      on a CPU, with networks so small that times say nothing: to try this script
set -uo pipefail
out=${1:?"gpu.sh OUT [PART ...]"}
shift
[ $# -gt 0 ] || set -- tuning-299 frozen acgan fixed tuning-75 run
for part in "$@"; do
  case $part in acgan | frozen | tuning-299 | tuning-75 | fixed | run | paper | table) ;;
  *) echo "gpu.sh: $part is no part, expected acgan, frozen, tuning-299, tuning-75, fixed, run, paper or table" >&2 && exit 2 ;;
  esac
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
runs=${RUNS:-$out-runs}
end=$((SECONDS + ${TOTAL_S:-560})) slower=1
exec > >(tee -a "$out/log.txt") 2>&1

table() { "$python" "$here/gpu_table.py" "$out" "$runs" >"$out/table.new" && mv "$out/table.new" "$out/table.txt"; }

finish() { # the table last, whatever happened before
  [ -n "${DRY:-}" ] || { table; echo; cat "$out/table.txt"; }
}

limited() { # limited SECONDS WORD ...: a command within so many seconds, and before the end of all; false where it wasn't done
  local left=$((end - SECONDS)) most=$(($1 * slower)) code
  if [ "$left" -lt 5 ]; then
    echo "gpu.sh: no time is left for this"
    return 1
  fi
  timeout -k 15 -s INT $((left < most ? left : most)) "${@:2}"
  code=$?
  [ "$code" = 0 ] || echo "gpu.sh: it ended with $code, where 124, 130 or 137 means that its time was up"
  return "$code"
}

pir_tf() { # pir_tf SECONDS WORD ...
  echo "+ pir-tf ${*:2}"
  [ -n "${DRY:-}" ] || limited "$1" "${run[@]}" -m pir_tf.cli "${@:2}"
}

bench() { # bench NAME SECONDS PATTERN [option ...]
  [ -e "$out/$1.json" ] && return
  pir_tf "$2" bench --forms gpu --rounds "$rounds" --only "$3" --json "$out/$1.part.json" "${@:4}" &&
    [ -z "${DRY:-}" ] && mv "$out/$1.part.json" "$out/$1.json"
}

frozen() {
  local most=${FROZEN_S:-400} left=$((end - SECONDS - 20)) words
  words=("$out/frozen.part.json" --rounds "$rounds" --seconds $((left < most ? left : most)))
  [ -n "${TINY:-}" ] && words+=(--pixels 75 --batch 2 --layer mixed0 --forms "${TINY_FORMS:-xla folded*}")
  [ -e "$out/frozen.json" ] && return
  echo "+ gpu_frozen.py ${words[*]}"
  [ -n "${DRY:-}" ] ||
    { limited $((most + 60)) "${run[@]}" "$here/gpu_frozen.py" "${words[@]}" && mv "${words[0]}" "$out/frozen.json"; }
}

python=${PYTHON:-python3}
trap finish EXIT
trap 'exit 130' INT TERM
if [ -n "${PARTS:-}" ] && [ -z "${DRY:-}" ]; then
  target=${TARGET:-$PARTS-tensorflow}
  [ -e "$target/env.sh" ] || limited 240 bash "$PARTS/assemble.sh" "$PARTS" "$target" || exit 3
  . "$target/env.sh"
fi
export PYTHONPATH="$(dirname "$here")${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
if [ -z "${DRY:-}${TINY:-}" ] && [ "$*" != table ]; then
  nvidia-smi -L
  "$python" -c "import tensorflow as tf; raise SystemExit(0 if tf.config.list_physical_devices('GPU') else 1)" ||
    { echo "gpu.sh: TensorFlow sees no GPU here: see what it says above, with TF_CPP_MIN_LOG_LEVEL=0" && exit 3; }
fi
run=("$python") rounds=5
weights=${WEIGHTS:+file:$WEIGHTS}
blue=(run paper --compute.no-deterministic --gan.generator bundled --interactions.objective color:blue --estimator.trainable all
  --estimator.image-size 96 --estimator.weights "${weights:-none}")
short=(--estimator.steps 500 --tuning.steps 1000)
if [ -n "${TINY:-}" ]; then
  run+=("$here/gpu_tiny.py") rounds=1 slower=10
  blue=(run smoke --gan.generator train --interactions.objective color:blue --estimator.trainable all)
  short=(--estimator.steps 6 --tuning.steps 6)
fi
peer=()
if [ -n "${PEER:-}" ]; then
  torch="env LD_LIBRARY_PATH= PYTHONPATH= python3 $PEER {batch} {pixels} f32"
  peer=(--peer "$torch" "$torch compile")
fi

for part in "$@"; do
  case $part in
    # ACGAN and `the smallest step, on the host`
    acgan) bench acgan 180 '[At][Ch][Ge]*' --no-deterministic ;;
    frozen) frozen ;;
    tuning-299) bench tuning-299 330 'tuning*at 299*' --no-deterministic ${peer[@]+"${peer[@]}"} ;;
    tuning-75) bench tuning-75 300 'tuning*at 75*' --no-deterministic ${peer[@]+"${peer[@]}"} ;;
    fixed) bench fixed 150 'ACGAN*' --deterministic ;;
    run)
      pir_tf 300 "${blue[@]}" "${short[@]}" --compute.jit-compile on --evaluation.no-judge --run-dir "$runs/short-blue"
      ;;
    paper)
      pir_tf "${LIMIT_S:-520}" "${blue[@]}" --estimator.checkpoint-minutes 1 --tuning.checkpoint-minutes 1 \
        --run-dir "$runs/paper-blue" || echo "paper: not done yet; the same command goes on with it"
      ;;
  esac
  [ -n "${DRY:-}" ] || table
done
