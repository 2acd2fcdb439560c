#!/usr/bin/env bash
# gpu.sh OUT PART ...: what only a GPU can show, and a table of all that is in OUT.
#
#   forms   the training steps in their forms and in `fit` (`gpu_forms.py`), as far as FORMS_S seconds go: 40 to 90 s a form
#   fixed   three of them with deterministic operations, as trainings have them by default
#   peer    a step in PyTorch, PEER, at 299 pixels and batch 64, eager and compiled, in float32 and bfloat16
#   bench   `pir-tf bench` at 299 pixels, PEER in turn with ours, eager and compiled, in float32
#   paper   OBJECTIVE at the paper's settings, begun or gone on with in the background, where it stays when this script ends
#   wait    until `paper` has ended, for LIMIT_S seconds at the most, with what it said last
#   pack    ends `paper` and makes of it what another machine needs to go on with it, in pieces of 15 MB; then as `pieces`
#   pieces  those of PIECES go to OUT
#   unpack  a run goes to RUNS from the folder PACKED, where all its pieces lie
#   table   the table alone
#
# One thing at a time: what else uses the GPU spoils the times, XLA's own too, by which it chooses convolutions, and then a step
# takes minutes to compile. Where a machine is had for minutes, and calls there are short and carry little:
#   - `forms`, `peer` and `bench` are a call each. One that is cut off ends without its table: `gpu_table.py OUT` has it.
#   - `paper` takes two or three such machines: `--dry-run` reckons 19 minutes for its trainings and their compiling (with the
#     bundled GAN, at 96 pixels, without the second judge), and nobody has done it to its end. Choose LIMIT_S so that `pack`
#     is in time.
#   - A packed run is about 10 pieces, twice that while the estimator is trained: PIECES=0-3 with `pack`, then PIECES=4-7 with
#     `pieces`. The next machine takes them two at a time, to PACKED.
# The exit status is the worst of all parts: 0 where all was done. From the environment:
#   PARTS      folder with TensorFlow in pieces, part.*, and assemble.sh, which is called with PARTS and TARGET and leaves
#              TARGET/env.sh
#   TARGET     where to ($PARTS-tensorflow); where its env.sh is already, it is taken as it is
#   PYTHON     the interpreter (python3)
#   OBJECTIVE, NAME, MORE   what `paper` optimizes (color:blue), the run's name (paper-blue), and more words for `pir-tf run`
#   WEIGHTS, RANGE   an InceptionV3 file without its top, NAME.weights.h5, for `paper` (none: random ones), and the pixel values
#              that it expects ("-1 1", as Keras's own)
#   PEER       a program in PyTorch, called with batch size, pixels, f32 or bf16, and perhaps `compile`, whose last line says
#              MILLISECONDS ms
#   RUNS       where runs go, which are large (OUT-runs): set it where OUT is another one in each call
#   PIECES     pieces that go to OUT, 0-3 (all)
#   PACKED     where pieces lie for `unpack`
#   FORMS_S, PEER_S, LIMIT_S   seconds of `forms` and of `fixed` (300), of each of `peer` (100), and of `wait` (300)
#   ONLY       patterns of `case: form` for `forms`, with commas between
#   DRY        print the commands and run none
#   TINY       on a CPU, with networks so small that times say nothing: to try this script
set -uo pipefail
out=${1:?"gpu.sh OUT PART ..."}
shift
expected="forms, fixed, peer, bench, paper, wait, pack, pieces, unpack or table"
lacks() { echo "gpu.sh: $*" >&2 && return 2; }
wrong() { lacks "$@" || exit; }
[ $# -gt 0 ] || wrong "received no part, expected $expected"
for part in "$@"; do
  case $part in forms | fixed | peer | bench | paper | wait | pack | pieces | unpack | table) ;;
  *) wrong "$part is no part, expected $expected" ;;
  esac
done
objective=${OBJECTIVE:-color:blue}
name=${NAME:-paper-$(tr ':=,' '---' <<<"${objective#color:}")}
if [ -z "${DRY:-}" ]; then
  if [[ " $* " =~ \ (peer|bench)\  ]] && ! [ -f "${PEER:-}" ]; then
    wrong "PEER is '${PEER:-}', expected a program's file for the parts peer and bench: name it, or leave them out"
  fi
  if [[ " $* " == *" unpack "* ]] && ! [ -e "${PACKED:-}/run.tar.xz.00" ]; then
    wrong "PACKED is '${PACKED:-}', expected a folder with run.tar.xz.00 and what follows: name it, or leave out unpack"
  fi
  for file in ${WEIGHTS:+"$WEIGHTS"}; do
    [ -f "$file" ] || wrong "WEIGHTS is '$file', which is no file: name one, or leave it out"
  done
fi
[[ ${PIECES:-0} =~ ^[0-9]+(-[0-9]+)?$ ]] || wrong "PIECES is '$PIECES', expected FIRST-LAST, as 0-3: change it"
mkdir -p "$out"
out=$(cd "$out" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
runs=$(realpath -m "${RUNS:-$out-runs}")
run=$runs/$name
python=${PYTHON:-python3}
if [ -n "${PARTS:-}" ] && [ -z "${DRY:-}" ]; then
  target=${TARGET:-$PARTS-tensorflow}
  [ -e "$target/env.sh" ] || timeout 240 bash "$PARTS/assemble.sh" "$PARTS" "$target" || exit 3
  . "$target/env.sh"
fi
export PYTHONPATH="$(dirname "$here")${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
if [ -z "${DRY:-}${TINY:-}" ] && [[ " $* " =~ \ (forms|fixed|bench|paper)\  ]]; then
  nvidia-smi -L
  "$python" -c "import tensorflow as tf; raise SystemExit(0 if tf.config.list_physical_devices('GPU') else 1)" ||
    { echo "gpu.sh: TensorFlow sees no GPU here: see what it says above, with TF_CPP_MIN_LOG_LEVEL=0" && exit 3; }
fi
program=("$python") job=(run paper --gan.generator bundled --estimator.image-size 96) bench=(bench)
[ -n "${WEIGHTS:-}" ] && job+=(--estimator.weights "file:$WEIGHTS") || job+=(--estimator.weights none)
# shellcheck disable=SC2206
[ -z "${RANGE:-}" ] || job+=(--estimator.input-range $RANGE)
if [ -n "${TINY:-}" ]; then
  program+=("$here/gpu_tiny.py")
  job=(run smoke --gan.generator train) bench+=(--forms gpu)
fi
# shellcheck disable=SC2206
job+=(--compute.no-deterministic --interactions.objective "$objective" --estimator.trainable all --evaluation.no-judge
  --estimator.checkpoint-every 5000 --tuning.checkpoint-every 2500 --tuning.checkpoint-minutes 1 ${MORE:-})

does() { # does WORD ...: says a command and runs it
  echo "+$(printf ' %q' "$@")"
  [ -n "${DRY:-}" ] || "$@"
}

forms() { # forms WORD ...: where a form ends or spoils its process, another one goes on with those that are left
  local begun=$SECONDS code=0 tries
  for tries in {1..20}; do
    does "$@" --seconds $((${FORMS_S:-300} - SECONDS + begun))
    code=$?
    case $code in 75 | 132 | 134 | 135 | 136 | 137 | 139 | 142) ;; *) return $code ;; esac
  done
  return $code
}

peer() {
  local words said code=0
  for words in "f32" "bf16" "f32 compile" "bf16 compile"; do
    echo "+ python3 ${PEER:-PEER} 64 299 $words"
    [ -z "${DRY:-}" ] || continue
    said=$out/peer-${words/ /-}.txt
    # shellcheck disable=SC2086
    env LD_LIBRARY_PATH= PYTHONPATH= timeout "${PEER_S:-100}" python3 "$PEER" 64 299 $words >"$said" 2>&1 || code=1
    tail -n 1 "$said"
  done
  return $code
}

running() { [ -e "$run.pid" ] && kill -0 "$(cat "$run.pid")" 2>/dev/null; }

paper() {
  echo "+ pir-tf ${job[*]} --run-dir $run"
  [ -z "${DRY:-}" ] || return 0
  running && echo "gpu.sh: $name goes on already" && return 0
  mkdir -p "$runs" && : >>"$run.log" || return 1
  setsid "${program[@]}" -m pir_tf.cli "${job[@]}" --run-dir "$run" >>"$run.log" 2>&1 </dev/null &
  echo $! >"$run.pid"
}

waited() {
  local end=$((SECONDS + ${LIMIT_S:-300}))
  [ -e "$run.log" ] || lacks "there is no $run.log, expected what the part paper began: set RUNS and NAME as there" || return
  while running && [ $SECONDS -lt $end ]; do sleep 0.5; done
  tail -c 400 "$run.log" | tr '\r' '\n' | tail -n 3
  tail -n 1 "$run"/tuning/history.csv 2>/dev/null
  running && echo "gpu.sh: $name goes on" && return 0
  echo "gpu.sh: $name has ended"
  [ -e "$run/report/done.json" ]
}

pack() { # what a stage that isn't done goes on from, too: the newest checkpoint of its own, and the networks of those before it
  local list=() more=() stage newest
  running && kill -s TERM -- "-$(cat "$run.pid")" # what the background began hears no Ctrl-C
  for _ in {1..60}; do running && sleep 0.5; done
  running && kill -s KILL -- "-$(cat "$run.pid")"
  [ -d "$run" ] || lacks "$run is no folder, expected a run: set RUNS and NAME as for paper" || return
  cd "$runs" || return 1
  [ ! -e "$name/evaluation/done.json" ] || more=(! -path '*/estimator/*.keras' ! -path '*/gan/*.keras')
  [ ! -e "$name/gan/done.json" ] || more+=(! -path '*/gan/best.npz')
  mapfile -t list < <(find "$name" "$name.log" -type f ! -path '*/checkpoints/*' ! -name '.*' "${more[@]}")
  for stage in gan estimator tuning evaluation; do
    [ ! -e "$name/$stage/done.json" ] || continue
    for newest in $(find "$name/$stage" -type d -name checkpoints 2>/dev/null); do
      newest=$(find "$newest" -name 'step-*.npz' | sort | tail -n 1)
      [ -z "$newest" ] || list+=("$newest")
    done
  done
  rm -rf pieces && mkdir pieces && tar cf - "${list[@]}" | xz -T0 -1 | split -b 15000000 -d - "pieces/run.tar.xz." && pieces
}

pieces() {
  local all=("$runs"/pieces/run.tar.xz.*) first=0 last number
  [ -e "${all[0]}" ] || lacks "$runs/pieces is empty, expected what pack makes: call it first, with the same RUNS" || return
  last=$((${#all[@]} - 1))
  echo "gpu.sh: $name is pieces 0 to $last"
  [ -z "${PIECES:-}" ] || { first=$((10#${PIECES%-*})) && last=$((10#${PIECES#*-})); }
  for ((number = first; number <= last && number < ${#all[@]}; number++)); do cp "${all[number]}" "$out" || return 1; done
}

unpack() { mkdir -p "$runs" && cat "$PACKED"/run.tar.xz.* | tar xJf - -C "$runs"; }

forms=("${program[@]}" "$here/gpu_forms.py" "$out/forms.json" --fit --only "${ONLY:-*}")
fixed=("${program[@]}" "$here/gpu_forms.py" "$out/fixed.json" --deterministic --only "*at 96*: xla,ACGAN*: xla")
theirs="env LD_LIBRARY_PATH= PYTHONPATH= python3 ${PEER:-PEER} {batch} {pixels} f32"
bench=("${program[@]}" -m pir_tf.cli "${bench[@]}" --no-deterministic --only "*at 299*" --rounds 5)
bench+=(--json "$out/bench.json" --peer "$theirs" "$theirs compile")
worst=0
for part in "$@"; do
  case $part in
    forms) forms "${forms[@]}" ;;
    fixed) XLA_FLAGS="${XLA_FLAGS:-} --xla_gpu_deterministic_ops=true" forms "${fixed[@]}" ;;
    peer) peer ;;
    bench) does "${bench[@]}" ;;
    paper) paper ;;
    wait) [ -n "${DRY:-}" ] || waited ;;
    pack) [ -n "${DRY:-}" ] || (pack) ;;
    pieces) [ -n "${DRY:-}" ] || pieces ;;
    unpack) [ -n "${DRY:-}" ] || unpack ;;
  esac
  code=$?
  [ $code -le $worst ] || worst=$code
done
[ -n "${DRY:-}" ] || "$python" "$here/gpu_table.py" "$out" | tee "$out/table.txt" || worst=1
exit $worst
