#!/usr/bin/env bash
# Everything that only a GPU can show, in under nine minutes. Two steps, because the machine with the GPU often has no SDK:
#
#   bench/gpu.sh publish FOLDER      where there is .NET and ILGPU: makes a self-contained folder (one program, the PyTorch script, this script)
#   FOLDER/gpu.sh [run] [gpubench options]
#                                    where there is a GPU: needs its driver; PyTorch and cuDNN for the baselines, and says what it leaves out without them
#
# In a checkout on a machine that has both, `bench/gpu.sh` does one after the other. The figures go to results/<gpu>-<date>.json beside this script (or into the folder $RESULTS), and
# the last thing printed is a table.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

publish() {
  local folder=$1
  dotnet publish "$here/Gpu" -c Release -r linux-x64 --self-contained -p:Ilgpu=true -p:PublishSingleFile=true -p:EnableCompressionInSingleFile=true \
    -p:IncludeNativeLibrariesForSelfExtract=true -p:DebugType=none -o "$folder"
  cp "$here/gpu.sh" "$here/Peers/torch_gpu.py" "$folder/"
  rm -f "$folder"/*.xml "$folder"/*.pdb
  du -sh "$folder"
}

run() {
  local program=$1 script=$2 results=${RESULTS:-$3} status=0
  shift 3
  mkdir -p "$results"
  local python=${PYTHON:-python3} torch=""
  local gpu
  gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1 | tr ' /' '--' | tr -cd 'A-Za-z0-9.-' || true)
  local out="$results/${gpu:-gpu}-$(date -u +%Y-%m-%d).json"
  # cuDNN and cuBLAS as PyTorch brings them along, where they are not installed for the whole system.
  local libraries
  libraries=$("$python" - <<'PY' 2>/dev/null || true
import glob, os, torch
site = os.path.dirname(os.path.dirname(torch.__file__))
print(":".join(sorted({os.path.dirname(p) for p in glob.glob(site + "/nvidia/**/lib/lib*.so*", recursive=True)} | {os.path.join(os.path.dirname(torch.__file__), "lib")})))
PY
)
  export LD_LIBRARY_PATH="${libraries:+$libraries:}${LD_LIBRARY_PATH:-}"
  if [ -n "$libraries" ]; then
    torch=$(mktemp)
    timeout 110 "$python" "$script" >"$torch" || echo "PyTorch's figures broke off; those that are there are used." >&2
  else
    echo "There is no PyTorch here ($python): whole steps are shown without a baseline." >&2
  fi
  echo "Figures go to $out"
  # With what the parts may take beyond their shares (a fifth) and PyTorch's 110 s this ends within nine minutes, whatever fails.
  "$program" --out "$out" ${torch:+--torch "$torch"} --seconds 340 "$@" || status=$?
  [ -z "$torch" ] || rm -f "$torch"
  return $status
}

case "${1:-}" in
  publish) publish "${2:?usage: gpu.sh publish FOLDER}" ;;
  *)
    [ "${1:-}" = run ] && shift
    if [ -x "$here/gpubench" ]; then
      run "$here/gpubench" "$here/torch_gpu.py" "$here/results" "$@"
    else
      folder=$(mktemp -d)
      trap 'rm -rf "$folder"' EXIT
      publish "$folder"
      run "$folder/gpubench" "$folder/torch_gpu.py" "$here/results" "$@"
    fi
    ;;
esac
