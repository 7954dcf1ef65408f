#!/usr/bin/env bash
# Makes docs/results/models.md from what the tests measure now: tests/Golden/models_table.sh
# A test that has something to say of an architecture calls ModelsTable.Record; of several values of one column the largest is shown.
set -euo pipefail
cd "$(dirname "$0")/../.."
figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
REFCONV_MODELS_TABLE=$figures dotnet test tests/RefConv.Tests -c Release --filter "FullyQualifiedName~ParityTests|FullyQualifiedName~Onnx"
{
  cat <<'TEXT'
# Every architecture beside PyTorch

Weights and images are filled by a fixed rule on both sides. Compared with PyTorch 1.13 in double precision (torchvision's model, or the authors' definition
written again, in `tests/Golden/definitions`): the keys and shapes of the state dict, exactly; the class scores in evaluation mode (largest error relative to the
largest score; at most 1e-4 passes); in one training step the loss, every gradient and every running statistic (largest error relative to the tensor's norm; at
most 1e-3 passes). ONNX: scores of the exported model in ONNX Runtime, for batches of one and three images through one file, compared with RefConv's (largest error
relative to the largest score).

Image, parameters and multiply-adds (of one image) are those of the published model. The errors are measured where that takes moments: scores and gradients on images of 16×16 to 64×64, with
RepVGG, FasterNet T1 to L and VGG narrower than published; ONNX on narrow models (as published with `REFCONV_PARITY_FULL=1`: all within 1e-4 too, on 2026-11-22). Values are the fixed rule of the fixtures' script at places
n(n+1)/2 and not at n, where whole maps came out nearly constant and PyTorch's own single-precision gradients were tens of per cent away from its double-precision ones.

Made by `tests/Golden/models_table.sh`; the fixtures by `tests/Golden/torch_parity.py`.

| architecture | image | parameters | multiply-adds, millions | scores | gradients | ONNX |
|---|---|---|---|---|---|---|
TEXT
  awk -F'\t' '
    function grouped(n,   s, r) { for (s = sprintf("%.0f", n); length(s) > 3; s = substr(s, 1, length(s) - 3)) r = "," substr(s, length(s) - 2) r; return s r }
    function error(key) { return key in value ? sprintf("%.1e", value[key]) : "–" }
    { key = $1 FS $2; if (!(key in value) || $3 + 0 > value[key]) value[key] = $3 + 0; names[$1] = 1 }
    END {
      for (n in names) {
        if (!(n FS "image" in value)) continue # not a classifier
        size = value[n FS "image"]
        printf "| `%s` | %d×%d | %s | %.1f | %s | %s | %s |\n", n, size, size, grouped(value[n FS "parameters"]), value[n FS "multiply-adds"] / 1e6,
          error(n FS "logits error"), error(n FS "gradient error"), error(n FS "onnx error")
      }
    }' "$figures" | sort -V
} > docs/results/models.md
echo "docs/results/models.md: $(grep -c '^| `' docs/results/models.md) architectures"
