#!/usr/bin/env bash
# gpu.sh OUT PART ...: what only a GPU can show, and a table of all that is in OUT.
#
#   forms   the training steps in their forms and in `fit` (`gpu_forms.py`), as far as FORMS_S seconds go: 40 to 90 s a form
#   fixed   three of them with deterministic operations, as trainings have them by default
#   peer    a step in PyTorch, PEER, at 299 pixels and batch 64, eager and compiled, in float32 and bfloat16
#   paper   color:blue at the paper's settings, begun or gone on with in the background, where it stays when this script ends
#   wait    until `paper` has ended, for LIMIT_S seconds at the most, with what it said last
#   pack    ends `paper` and puts what is worth keeping into OUT/run.tar.xz.NN, pieces of 15 MB; of a tuning that isn't done its
#           newest checkpoint
#   table   the table alone
#
# One thing at a time: what else uses the GPU spoils the times, XLA's own too, by which it chooses convolutions, and then a step takes
# minutes to compile. A quarter of an hour is enough for `forms peer`, or for `paper`, then `wait` and `pack`. From the environment:
#   PARTS     folder with TensorFlow in pieces, part.*, and assemble.sh, which is called with PARTS and TARGET and leaves TARGET/env.sh
#   TARGET    where to ($PARTS-tensorflow); where its env.sh is already, it is taken as it is
#   PYTHON    the interpreter (python3)
#   WEIGHTS   an InceptionV3 file without its top, NAME.weights.h5, for `paper` (none: random ones)
#   PEER      a program in PyTorch, called with batch size, pixels, f32 or bf16, and perhaps `compile`, whose last line says the time
#   RUNS      where the run goes, which is large (OUT-runs)
#   FORMS_S, PEER_S, LIMIT_S   seconds of `forms` (300), of each of `peer` (150), and of `wait` (300)
#   ONLY      patterns of `case: form` for `forms`, with commas between
#   DRY       print the commands and run none
#   TINY      on a CPU, with networks so small that times say nothing: to try this script
set -uo pipefail
out=${1:?"gpu.sh OUT PART ..."}
shift
[ $# -gt 0 ] || { echo "gpu.sh: received no part, expected forms, fixed, peer, paper, wait, pack or table" >&2 && exit 2; }
for part in "$@"; do
  case $part in forms | fixed | peer | paper | wait | pack | table) ;;
  *) echo "gpu.sh: $part is no part, expected forms, fixed, peer, paper, wait, pack or table" >&2 && exit 2 ;;
  esac
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
runs=${RUNS:-$out-runs}
run=$runs/paper-blue
python=${PYTHON:-python3}
if [ -n "${PARTS:-}" ] && [ -z "${DRY:-}" ]; then
  target=${TARGET:-$PARTS-tensorflow}
  [ -e "$target/env.sh" ] || timeout 240 bash "$PARTS/assemble.sh" "$PARTS" "$target" || exit 3
  . "$target/env.sh"
fi
export PYTHONPATH="$(dirname "$here")${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
if [ -z "${DRY:-}${TINY:-}" ] && [[ " $* " =~ \ (forms|fixed|paper)\  ]]; then
  nvidia-smi -L
  "$python" -c "import tensorflow as tf; raise SystemExit(0 if tf.config.list_physical_devices('GPU') else 1)" ||
    { echo "gpu.sh: TensorFlow sees no GPU here: see what it says above, with TF_CPP_MIN_LOG_LEVEL=0" && exit 3; }
fi
program=("$python") blue=(run paper --gan.generator bundled --estimator.image-size 96)
[ -n "${WEIGHTS:-}" ] && blue+=(--estimator.weights "file:$WEIGHTS") || blue+=(--estimator.weights none)
if [ -n "${TINY:-}" ]; then
  program+=("$here/gpu_tiny.py")
  blue=(run smoke --gan.generator train)
fi
blue+=(--compute.no-deterministic --interactions.objective color:blue --estimator.trainable all --evaluation.no-judge
  --estimator.checkpoint-every 5000 --tuning.checkpoint-every 2500 --tuning.checkpoint-minutes 1)

does() { # does WORD ...: says a command and runs it
  echo "+ $*"
  [ -n "${DRY:-}" ] || "$@"
}

peer() {
  local words
  [ -n "${PEER:-}${DRY:-}" ] || { echo "gpu.sh: PEER names no program, expected one for the part peer: name it, or leave it out" >&2 && return 2; }
  for words in "f32" "bf16" "f32 compile" "bf16 compile"; do
    echo "+ python3 ${PEER:-PEER} 64 299 $words"
    [ -z "${DRY:-}" ] || continue
    # shellcheck disable=SC2086
    env LD_LIBRARY_PATH= PYTHONPATH= timeout "${PEER_S:-150}" python3 "$PEER" 64 299 $words >"$out/peer-${words/ /-}.txt" 2>&1
    tail -n 1 "$out/peer-${words/ /-}.txt"
  done
}

running() { [ -e "$run.pid" ] && kill -0 "$(cat "$run.pid")" 2>/dev/null; }

paper() {
  echo "+ pir-tf ${blue[*]} --run-dir $run"
  [ -z "${DRY:-}" ] || return
  running && echo "gpu.sh: paper goes on already" && return
  mkdir -p "$runs"
  setsid "${program[@]}" -m pir_tf.cli "${blue[@]}" --run-dir "$run" >>"$run.log" 2>&1 </dev/null &
  echo $! >"$run.pid"
}

waited() {
  local end=$((SECONDS + ${LIMIT_S:-300}))
  while running && [ $SECONDS -lt $end ]; do sleep 0.5; done
  running || echo "gpu.sh: paper has ended"
  tail -c 400 "$run.log" | tr '\r' '\n' | tail -n 3
  tail -n 1 "$run"/tuning/history.csv 2>/dev/null
}

pack() {
  local list=() name=${run##*/}
  running && kill -s TERM -- "-$(cat "$run.pid")" # what the background began hears no Ctrl-C
  for _ in {1..60}; do running && sleep 0.5; done
  running && kill -s KILL -- "-$(cat "$run.pid")"
  cd "$runs" || exit 1
  mapfile -t list < <(find "$name"* -type f ! -path '*/estimator/*.keras' ! -path '*/gan/*.keras' ! -path '*/checkpoints/*')
  [ -e "$name/tuning/done.json" ] || mapfile -t -O ${#list[@]} list < <(find "$name/tuning/checkpoints" -type f 2>/dev/null)
  tar cf - "${list[@]}" | xz -T0 -1 | split -b 15000000 -d - "$out/run.tar.xz."
}

forms=("${program[@]}" "$here/gpu_forms.py" "$out/forms.json" --fit --seconds "${FORMS_S:-300}" --only "${ONLY:-*}")
fixed=("${program[@]}" "$here/gpu_forms.py" "$out/fixed.json" --deterministic --only "*at 96*: xla,ACGAN*: xla")
for part in "$@"; do
  case $part in
    forms) does "${forms[@]}" ;;
    fixed) XLA_FLAGS="${XLA_FLAGS:-} --xla_gpu_deterministic_ops=true" does "${fixed[@]}" ;;
    peer) peer ;;
    paper) paper ;;
    wait) [ -n "${DRY:-}" ] || waited ;;
    pack) [ -n "${DRY:-}" ] || (pack) ;;
  esac
done
[ -n "${DRY:-}" ] || "$python" "$here/gpu_table.py" "$out" | tee "$out/table.txt"
