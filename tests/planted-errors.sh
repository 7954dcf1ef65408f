#!/usr/bin/env bash
# Plants one error at a time in a copy of the sources and checks that a test notices. A line that says SURVIVED is a hole in the tests.
# Takes about half a minute an error: tests/planted-errors.sh [regular expression that a row must match]
# TESTS=… is the filter of the tests that must notice (as of dotnet test --filter), where one knows which they are.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'git -C "$root" worktree remove --force "$copy"' EXIT
git -C "$root" worktree add -q --detach "$copy" HEAD
cd "$copy"

# what goes wrong | file | sed command
errors=$(cat <<'ROWS'
batch norm forward: √var + ε instead of √(var + ε), reference|src/Kernels/BatchNorm/BatchNorm.Reference.cs|s/1 \/ Math.Sqrt(variance + g.Epsilon)/1 \/ (Math.Sqrt(variance) + g.Epsilon)/
batch norm forward: √var + ε instead of √(var + ε), CPU|src/Kernels/BatchNorm/BatchNorm.Cpu.cs|s/1 \/ Math.Sqrt(variance + epsilon)/1 \/ (Math.Sqrt(variance) + epsilon)/
batch norm evaluation: √var + ε instead of √(var + ε), CPU|src/Kernels/BatchNorm/BatchNorm.Cpu.cs|s/gammas\[c\] \/ Math.Sqrt(variances\[c\] + g.Epsilon)/gammas[c] \/ (Math.Sqrt(variances[c]) + g.Epsilon)/
batch norm: biased running variance, reference|src/Kernels/BatchNorm/BatchNorm.Reference.cs|s/Math.Max(1, g.Rows - 1)/g.Rows/
batch norm backward: dγ and dβ swapped in dx, reference|src/Kernels/BatchNorm/BatchNorm.Reference.cs|s/(z - (sumBeta \/ g.Rows) - (xhat \* sumGamma \/ g.Rows))/(z - (sumGamma \/ g.Rows) - (xhat * sumBeta \/ g.Rows))/
batch norm backward: dγ and dβ swapped in dx, CPU|src/Kernels/BatchNorm/BatchNorm.Cpu.cs|s/inverses\[c\] \* sums.Sum(1)\[c\]/inverses[c] * sums.Sum(0)[c]/
refocus: group order by position instead of in runs, reference|src/Kernels/Refocus/Refocus.Reference.cs|s/(d \/ g.Groups \* g.Groups) + j, row, column/(d % (g.D \/ g.Groups)) + (j * (g.D \/ g.Groups)), row, column/
refocus map gradient: kernel and map tap swapped, reference|src/Kernels/Refocus/Refocus.Reference.cs|s/dws\[KernelIndex(g, d, y, x)\] \* b\[KernelIndex(g, (d \/ g.Groups \* g.Groups) + j, row, column)\]/b[KernelIndex(g, d, y, x)] * dws[KernelIndex(g, (d \/ g.Groups * g.Groups) + j, row, column)]/
refocus basis gradient: shortcut forgotten, reference|src/Kernels/Refocus/Refocus.Reference.cs|s/double sum = shortcut ? [^;]*;/double sum = 0;/
refocus: group order by position instead of in runs, CPU|src/Kernels/Refocus/Refocus.Cpu.cs|s/group = d \/ g.Groups;/group = d % (g.D \/ g.Groups);/
stochastic depth: what stays is not scaled|src/Tensor/Ops/StochasticDepthOp.cs|s/1 \/ (1 - _p), accumulate/1, accumulate/
stochastic depth: one decision for all images|src/Tensor/Ops/StochasticDepthOp.cs|s/_stream, (ulong)i)/_stream, 0)/
stochastic depth backward: overwrites instead of adding|src/Tensor/Ops/StochasticDepthOp.cs|s/Gradient(_x, out bool accumulate), accumulate)/Gradient(_x, out _), false)/
linear backward: x and dy swapped in dW|src/Tensor/Ops/LinearOp.cs|s/_x.Data, dy, Gradient(_w/dy, _x.Data, Gradient(_w/
multiply backward: own factor instead of the other|src/Tensor/Ops/ElementwiseOps.cs|s/kernels.Multiply(dy, _b.Data, Gradient(_a/kernels.Multiply(dy, _a.Data, Gradient(_a/
convolution backward: dx overwrites instead of adding|src/Tensor/Ops/Conv2dOp.cs|s/, Gradient(_x, out bool accumulate), accumulate)/, Gradient(_x, out _), false)/
runs of channels: the next pixel's gradient lies where it would in a dense map|src/Kernels/Conv2d/Conv2d.Cpu.PixelMap.cs|s/ \* TargetW) + w) \* TargetPitch/ * TargetW) + w) * TargetC/
sum: gradient handed on to both terms|src/Tensor/Op.cs|s/if (Output.TryMoveGradientTo(input)) return;/if (Output.TryMoveGradientTo(input)) { }/
cross-entropy backward: target added instead of taken away, CPU|src/Kernels/SoftmaxCrossEntropy/SoftmaxCrossEntropy.Cpu.cs|s/((p\[hit\] - peak) \* scale)/((p[hit] + peak) * scale)/
SGD: weight decay on the velocity's sign, CPU|src/Kernels/SgdStep/SgdStep.Cpu.cs|s/(float)g.WeightDecay)/(float)-g.WeightDecay)/
schedule: cosine starts again after the end|src/Optim/Schedules.cs|s/double progress = Math.Min(1, step \/ (double)_rest)/double progress = step \/ (double)_rest/
basis cache: a new basis is not noticed|src/Layers/Reparam/RefConv2d.cs|s/_unfoldedVersion != Basis.Version/_unfoldedVersion < 0/
merge in training mode|src/Layers/Reparam/Reparameterization.cs|s/m.Module.Training)/m.Module.Training \&\& m.Name == "none")/
moments: the last block counted as a full one|src/Kernels/Conv2d/Conv2d.Cpu.Gather.cs|s/int rows = Math.Min(plan.RowsPerBlock, plan.Map.Points - (block \* plan.RowsPerBlock));/int rows = plan.RowsPerBlock;/
strips: the left padding is not taken off|src/Kernels/Conv2d/Conv2d.Cpu.FewChannels.cs|s/ - (g.PadLeft \* g.C);/;/
strips: rows below the input are read|src/Kernels/Conv2d/Conv2d.Cpu.FewChannels.cs|s/to = (uint)h < (uint)g.H ? right \* g.C : from;/to = h >= 0 ? right * g.C : from;/
strips: rows of the result do not move together|src/Kernels/Conv2d/Conv2d.Cpu.FewChannels.cs|s/channels != padded \&\& i < points/channels > padded \&\& i < points/
strips: every block's moments in the same place|src/Kernels/Conv2d/Conv2d.Cpu.FewChannels.cs|s/(((long)b \* panels.Count) + panel)/(((long)0 * panels.Count) + panel)/
strips: the weight gradient of a part begins anew at every block|src/Kernels/Conv2d/Conv2d.Cpu.FewChannels.cs|s/adds || b > firstBlock/adds/
depthwise: the activation in registers is done again afterwards|src/Kernels/Conv2d/Conv2d.Cpu.Depthwise.cs|s/Finish.ChangesValues \&\& !FinishesInRegisters/Finish.ChangesValues/
depthwise: the activation in registers comes before the residual|src/Kernels/Conv2d/Conv2d.Cpu.Depthwise.cs|s/=> !Accumulate \&\& !Finish.HasResidual/=> true/
moments: every band of a depthwise result in the same place|src/Kernels/Conv2d/Conv2d.Cpu.Depthwise.Finish.cs|s/(row \/ t.BandRows)/0/
moments: the third vector's sum goes on from the second's|src/Kernels/Gemm/Gemm.Cpu.Finish.cs|s/(s2, q2) = (Simd.Add(s2, d)/(s2, q2) = (Simd.Add(s1, d)/
moments: what is written past the caches is not written|src/Kernels/Conv2d/Conv2d.Cpu.Gather.cs|s/ColumnMoments.Add<V, Streamed>(\(.*\), target + m, targetOffset)/ColumnMoments.Add<V>(\1)/
batch norm: Hardsigmoid's slope for Hardswish's|src/Kernels/BatchNorm/BatchNorm.Cpu.cs|s/new BatchNormInputGradient<HardswishGradient>/new BatchNormInputGradient<HardsigmoidGradient>/
exponential: the exponent's second half forgotten|src/Kernels/Cpu/Simd.Exp.cs|s/ \* PowerOfTwo(exponent - part)/ * PowerOfTwo(part)/
weights: two columns of sixteen rows mixed|src/Tensor/WeightTranspose.cs|s/v1 = Avx512F.UnpackHigh(ab01, cd01)/v1 = Avx512F.UnpackHigh(ab23, cd01)/
batch norm backward: the residual's gradient is not written|src/Kernels/BatchNorm/BatchNorm.Cpu.Rows.cs|s/Simd.Store(_dy + at, z);//
saving memory: running statistics move twice|src/Tensor/Ops/BatchNorm2dOp.cs|s/default, default, _momentum/_runningMean.Data, _runningVar.Data, _momentum/
refocus step: velocity of the first row for all|src/Kernels/Refocus/Refocus.Cpu.Grouped.cs|s/step.Velocity + at, count)/step.Velocity, count)/
deferred gradient: lost when more is added|src/Tensor/Tensor.cs|s/^        WriteDeferred();$//
ASR: β is not scaled when merged|src/Layers/Reparam/AsrNorm.cs|s/BatchNorm2d batch => \[batch.Weight, batch.Bias\]/BatchNorm2d batch => (Parameter[])[batch.Weight]/
ASR: a layer norm's β is not scaled when merged|src/Layers/Reparam/AsrNorm.cs|s/\[layer.Weight, layer.Bias\]/[layer.Weight]/
ASR: layer norms are not found|src/Layers/Reparam/ConvSites.cs|s/is BatchNorm2d or LayerNorm)/is BatchNorm2d)/
ASR: the sum of the units instead of the product|src/Layers/Reparam/AsrConv2d.cs|s/product.Multiply(v, name)/product.Add(v, name)/
DRConv: with alpha every region learns from all pixels alike|src/Tensor/Ops/RegionConv2dOp.cs|s/kernels.Multiply(dy, part.View, part.View, accumulate: false)/kernels.Scale(dy, part.View, 1, accumulate: false)/
DRConv: alpha is not handed on|src/Layers/Reparam/DRConv2d.cs|s/softKernels: _options.UseAlpha/softKernels: false/
DyRep: what grew behind a 1×1 pads with zeros|src/Layers/Reparam/PaddedNorm.cs|s/Border(1, 1).Reshape(Norm.Bias.Shape), options, Name);/null, options, Name);/
DyRep: the bias that a block behind a 1×1 left is forgotten|src/Layers/Reparam/PaddedNorm.cs|s/(grows.Weight, grows.Bias)/(grows.Weight, (Parameter?)null)/
DyRep: what is nested behind a 1×1 is not built again|src/Layers/Reparam/DyRepBlock.cs|s/Where(b => b is Main or Second)/Where(b => b is Main)/
branches: an average pads half a window whatever the padding|src/Layers/Reparam/BranchBlock.cs|s/return x.AvgPool2d(size, o.StrideH, p, name: name);/return x.AvgPool2d(size, o.StrideH, size \/ 2, name: name);/
DRConv: pixels of two regions in one tile, CPU|src/Kernels/RegionConv2d/RegionConv2d.Cpu.Tiles.cs|s/ \&\& labels\[order\[end\]\] == labels\[order\[at\]\]//
DRConv: of equals the highest, CPU|src/Kernels/RegionConv2d/RegionConv2d.Cpu.cs|s/values\[c\] > values\[best\]/values[c] >= values[best]/
DRConv: of equals the highest, reference|src/Kernels/RegionConv2d/RegionConv2d.Reference.cs|s/> S(x)\[(row \* channels) + best\]/>= S(x)[(row * channels) + best]/
DRConv: the mean is not taken off the scores, reference|src/Kernels/RegionConv2d/RegionConv2d.Reference.cs|s/(scores\[c\] - mean), accumulate/scores[c], accumulate/
max pool backward: a window's rows outside the band are written too|src/Kernels/Pool2d/Pool2d.Cpu.Windows.cs|s/(Math.Max(0, _top - h), Math.Min(_window.Rows, _bottom - h))/(Math.Max(0, _top - h), _window.Rows)/
max pool backward: the tap counts from the window's first row|src/Kernels/Pool2d/Pool2d.Cpu.Windows.cs|s/((_window.Top + _firstRow) \* _g.S)/(_window.Top * _g.S)/
workers: the last run of pieces is left out|src/Kernels/Cpu/WorkerPool.cs|s/for (int i = 0; i < Threads; i++)$/for (int i = 0; i < Threads - 1; i++)/
gathered product: moments of a row block in the place of its piece|src/Kernels/Conv2d/Conv2d.Cpu.Gather.cs|s/(rowBlock \* (long)panels.Count) + panel/(item * (long)panels.Count) + panel/
adaptive pool: bins end where the next begins|src/Kernels/AdaptiveAvgPool2d/AdaptiveAvgPool2d.cs|s/((bin + 1L) \* length) + bins - 1)/((bin + 1L) * length))/
DyRep: ε of the main norm forgotten|src/Layers/Reparam/DyRepBlock.cs|s/Math.Sqrt(1 + norm.Eps)/1.0/
DyRep: scores are not written down|src/Layers/Reparam/DyRep.cs|s/if (conv.Batches > 0) scores/if (conv.Batches < 0) scores/
DyRep: what survives loses its velocity|src/Models/Train/Trainer.cs|s/s => kept.Contains(s.Key/s => !kept.Contains(s.Key/
DyRep: the bias left by a block is not described|src/Layers/Reparam/DyRep.cs|s/if (conv.HasExtraBias) blocks/if (conv.Batches < 0) blocks/
plan: constants of operations end with the recording|src/Tensor/Inference/PlanStep.cs|s/!i.IsSymbolic \&\& Tape.Current.TryTake/i.IsSymbolic \&\& Tape.Current.TryTake/
plan: shift of the norm forgotten|src/Tensor/Inference/PlanStep.cs|s/(_bias\[i\] \* scale\[i\]) + shift\[i\]/_bias[i] * scale[i]/
plan: a residual that is read later is written over|src/Tensor/Inference/ArenaLayout.cs|s/lastRead.GetValueOrDefault(t, -1) > index)/false)/
plan: a result in the place of one that is still read|src/Tensor/Inference/ArenaLayout.cs|s/place.First <= o.Last)/place.First < o.Last)/
plan: a result with two readers fused away|src/Tensor/Inference/PlanBuilder.cs|s/_readers\[tensor\] == 1 \&\& //
Winograd: residual forgotten|src/Kernels/Gemm/Gemm.Cpu.Finish.cs|s/if (f.HasResidual) v = Simd.Add(v, Simd.Load<V>(row + f.Residual + i));//
Winograd weight gradient: a power of a point, tiles of dy|src/Kernels/Conv2d/Conv2d.Cpu.Winograd.Transforms.cs|s/Simd.Fma(Simd.Broadcast<V>(B2), d3, d1)/Simd.Fma(Simd.Broadcast<V>(A2), d3, d1)/
Winograd weight gradient: the next tiles overwrite the sums|src/Kernels/Conv2d/Conv2d.Cpu.Winograd.WeightGradient.cs|s/load: tile > firstTile)/load: false)/
Winograd weight gradient: parts of the tiles overlap|src/Kernels/Conv2d/Conv2d.Cpu.Winograd.WeightGradient.cs|s/(int)((split + 1L) \* plan.Tiles \/ plan.Splits)/Math.Min(plan.Tiles, 1 + (int)((split + 1L) * plan.Tiles \/ plan.Splits))/
groups that share a tile: all read the second group|src/Kernels/Conv2d/Conv2d.Cpu.Packing.cs|s/new GroupOffsets(Depth, 2 \* Depth, 3 \* Depth)/new GroupOffsets(Depth, Depth, Depth)/
layer norm: what the float left of the mean forgotten, CPU|src/Kernels/LayerNorm/LayerNorm.Cpu.cs|s/(float)(-rest \* inverse)/0f/
layer norm backward: a power of invStd too few, CPU|src/Kernels/LayerNorm/LayerNorm.Cpu.cs|s/-inverse \* inverse \* inverse \* zx/-inverse * inverse * zx/
layer norm backward: the last group of rows forgotten, CPU|src/Kernels/LayerNorm/LayerNorm.Cpu.cs|s/ || row == last - 1)/)/
PReLU: slopes from the positive side, CPU|src/Kernels/PReLU/PReLU.Cpu.cs|s/Simd.Fma(Simd.Min(/Simd.Fma(Simd.Max(/
PReLU: 1 at zero, reference|src/Kernels/PReLU/PReLU.Reference.cs|s/bool positive = S(x)\[i\] > 0/bool positive = S(x)[i] >= 0/
depth to space: PyTorch's order and TensorFlow's swapped, reference|src/Kernels/DepthToSpace/DepthToSpace.Reference.cs|s/g.Mode == DepthToSpaceMode.CRD/g.Mode != DepthToSpaceMode.CRD/
replaced channels: gradient of what was replaced is kept|src/Tensor/Ops/ReplaceChannelsOp.cs|s/foreach (var (first, count) in Kept)$/foreach (var (first, count) in new[] { (0, _channels) })/
two maps in turn: b's gradient overwrites, CPU|src/Kernels/Channels/Channels.Cpu.Interleave.cs|s/Emit(b + i, odd, accumulateB)/Emit(b + i, odd, false)/
two maps in turn: pitches swapped, CPU|src/Kernels/Channels/Channels.Cpu.Interleave.cs|s/fromA + (row \* shape.PitchA)/fromA + (row * shape.PitchB)/
two maps in turn: two lanes mixed at 512 bits|src/Kernels/Cpu/Simd.Interleave.cs|s/4, 20, 5, 21, 6, 22, 7, 23/4, 20, 5, 21, 6, 22, 23, 7/
two maps in turn: the same channels twice at the same time|src/Tensor/Ops/InterleaveOp.cs|s/return a == b \&\&.*/return false;/
runs of channels: read from the first channel on|src/Tensor/StridedRows.cs|s/Data.Slice(Offset, Data.Length - Offset)/Data/
runs of channels: not copied when their source goes|src/Tensor/Tape.cs|s/_ = borrower.Data;//
runs of channels: gradient of what nobody reads is not zero|src/Tensor/Tensor.cs|s/^        WriteMissing();$//
runs of channels: a gradient that is there is overwritten|src/Tensor/Tensor.cs|s/accumulate = _written == null;/accumulate = false;/
runs of channels: read where they lie by a convolution that cannot|src/Kernels/Conv2d/Conv2d.Cpu.cs|s/g is { R: 1, S: 1, Groups: 1 } \&\& !g.IsDepthwise \&\& /g.Groups == 1 \&\& /
runs of channels: a source is kept for its run's sake|src/Tensor/Ops/Conv2dOp.cs|s/if (_x.IsDropped \&\& Tape.Differentiates/if (false \&\& Tape.Differentiates/
plan: a run of channels read in place by a step that cannot|src/Tensor/Inference/PlanBuilder.cs|s/slice.CanBorrow \&\& slice.Output != Output \&\& .*/slice.CanBorrow \&\& slice.Output != Output;/
plan: channel factors folded although an activation came first|src/Tensor/Inference/PlanBuilder.cs|s/ConvStep { IsOpen: true } conv/ConvStep conv/
CWN backward: mean of the gradient forgotten, CPU|src/Kernels/WeightNorm/WeightNorm.Cpu.cs|s/shift\[o\] = g.Center ? .*;/shift[o] = 0;/
OWN backward: wrong divided difference, reference|src/Kernels/Orthogonalize/Orthogonalize.Reference.cs|s/-sum \/ (sa \* sb \* (sa + sb))/-sum \/ (sa * sb * 2 * sa)/
Adam: the largest square forgotten, CPU|src/Kernels/AdamStep/AdamStep.Cpu.cs|s/Simd.Max(Simd.Load<V>(largest), square)/square/
sum of norms backward: dβ overwritten instead of added, CPU|src/Kernels/BatchNormSum/BatchNormSum.Cpu.cs|s/gradients\[i\].AccumulateBeta ? dbeta\[c\] : 0/0/
sum of norms backward: the residual's gradient forgotten|src/Tensor/Ops/BatchNormSumOp.cs|s/if (Needs(_residual)) PassGradient(kernels, _residual!);//
branches: dilation forgotten in the padding of a smaller kernel|src/Layers/Reparam/BranchBlock.cs|s/options.PadTop - (options.DilationH \* top)/options.PadTop - top/
branches: the inherited bias taken up with the wrong sign|src/Layers/Reparam/BranchBlock.cs|s/mean\[c\] -= bias\[c\];/mean[c] += bias[c];/
padded norm: biased running variance|src/Layers/Reparam/PaddedNorm.cs|s/m \* rows \/ Math.Max(1, rows - 1))/m)/
algebra: 1×1 then k×k, bias through one tap only|src/Layers/Reparam/KernelAlgebra.cs|s/foreach (double w in plane) result.Bias\[o\] += w \* first/result.Bias[o] += plane[0] * first/
plan: constants of a norm in the wrong order|src/Tensor/Inference/PlanStep.cs|s/_constants.View.Slice(i \* c, c)/_constants.View.Slice((3 - i) * c, c)/
norms' gradients: the missing one of the two is added to what lies there|src/Tensor/Op.cs|s/if (accumulate \&\& !toB) kernels.Fill(db, 0);//
algebra: √var + ε instead of √(var + ε)|src/Layers/Reparam/KernelAlgebra.cs|s/Math.Sqrt(variance\[c\] + norm.Eps)/(Math.Sqrt(variance[c]) + norm.Eps)/
algebra: the identity counts channels over all groups|src/Layers/Reparam/KernelAlgebra.cs|s/result\[o, o % result.GroupIn, height \/ 2, width \/ 2\] = 1/result[o, Math.Min(o, result.GroupIn - 1), height \/ 2, width \/ 2] = 1/
algebra: a kernel placed a row too high in even sizes|src/Layers/Reparam/KernelAlgebra.cs|s/int top = (height \/ 2) - (kernel.Height \/ 2)/int top = (height - kernel.Height) \/ 2/
algebra: an average that divides by the width twice|src/Layers/Reparam/KernelAlgebra.cs|s/= 1.0 \/ (height \* width)/= 1.0 \/ (width * width)/
algebra: k×k then k×k, all rows in the same place|src/Layers/Reparam/KernelAlgebra.cs|s/ + (from \/ second.Width) + a)/ + (from \/ second.Width))/
algebra: k×k then 1×1, groups forgotten|src/Layers/Reparam/KernelAlgebra.cs|/public static Kernel ThenPointwise/,/^    }/s/int middle = o \/ second.GroupOut \* second.GroupIn/int middle = 0/
algebra: kernels joined in the wrong order|src/Layers/Reparam/KernelAlgebra.cs|s/kernels.SelectMany(k => k.Weight)/kernels.Reverse().SelectMany(k => k.Weight)/
algebra: refocusing without its group|src/Layers/Reparam/KernelAlgebra.cs|s/kernel.Weight.AsSpan(((d \/ g \* g) + j) \* kernel.Area/kernel.Weight.AsSpan(j * kernel.Area/
CLB: the first bias forgotten|src/Layers/Reparam/CollapsibleConv2d.cs|s/First.Bias!.Reshape(new Shape(1, 1, 1, First.OutChannels)).Conv2d(Second.Weight, Second.Bias, Second.Options, name: Name).Reshape(new Shape(OutChannels))/Second.Bias/
SESR: ×4 starts from ×2 with nothing of it|src/Models/Zoo/Sesr.cs|s/StartsWith("last.", StringComparison.Ordinal)/Length > 0/
CLB: the residual at the next tap|src/Layers/Reparam/CollapsibleConv2d.cs|s/double\[\] identity = KernelAlgebra.Identity(OutChannels, KernelSize.H, KernelSize.W, Options.Groups).Weight;/double[] identity = [0, .. KernelAlgebra.Identity(OutChannels, KernelSize.H, KernelSize.W, Options.Groups).Weight[..^1]];/
OWN: groups as large as a filter|src/Layers/Reparam/Own.cs|s/Math.Min(filters, elements - 1), limit/Math.Min(filters, elements), limit/
WN backward: the part along the filter stays, CPU|src/Kernels/WeightNorm/WeightNorm.Cpu.cs|s/along\[o\] = (float)(scales/along[o] = 0 * (float)(scales/
ACB: the lines have the square's padding|src/Layers/Reparam/Acb.cs|s/Branches.Aligned(conv.Options, conv.KernelSize, size)/conv.Options/
RepVGG: an identity whatever the padding|src/Layers/Reparam/RepVgg.cs|s/return middle is { PadTop: 0, PadBottom: 0, PadLeft: 0, PadRight: 0 } ?/return middle.StrideH == 1 ?/
DBB: the border is β alone|src/Layers/Reparam/PaddedNorm.cs|s/Constant(norm.Bias), norm.RunningMean, norm.RunningVar, training: false, eps/Constant(norm.Bias), Full(norm.RunningMean.Shape, 0), norm.RunningVar, training: false, eps/
DBB: the 1×1 without its identity when merged|src/Layers/Reparam/IdentityConv2d.cs|s/KernelAlgebra.Identity(_channels, 1, 1, _groups),$/Kernel.Zero(_channels, _channels \/ _groups, 1, 1, _groups),/
merge: the shift moves the mean the wrong way|src/Layers/Reparam/ModelMerge.cs|s/mean\[c\] -= b\[c\]/mean[c] += b[c]/
merge: the norm that comes back divides by √(1 + ε)|src/Layers/Reparam/AbsorbedNorm.cs|s/1 - Eps/1/
DyRep: everything below the mean is cut|src/Layers/Reparam/DyRepBlock.cs|s/i.Value < mean \&\& i.Value < 0.1/i.Value < mean/
DyRep: the lowest score grows|src/Layers/Reparam/DyRepEvolution.cs|s/scored.MaxBy(/scored.MinBy(/
refocus: an even map|src/Layers/Reparam/RefConv2d.cs|s/limit % 2 == 1 ? limit : limit - 1/limit/
ASR without a norm: the bias is not scaled|src/Layers/Reparam/AsrConv2d.cs|s/base.EffectiveBias()?.Multiply(Factors(), Name)/base.EffectiveBias()/
DRConv: a mask shared with a layer that stays plain|src/Layers/Reparam/DRConv.cs|s/ \&\& site.Selected?.Contains(prefix + c.Key) != false//
branches: another method's norm is passed over when merged|src/Layers/Reparam/BranchBlock.cs|s/^            throw new InvalidOperationException(\$"A {Norm.*$/            return Branches.KernelOf(Conv);/
EMA: the shares of average and value swapped|src/Models/Train/ModelEma.cs|s/double weight = 1 - DecayAt(step)/double weight = DecayAt(step)/
EMA: statistics are not averaged|src/Models/Train/ModelEma.cs|s/if (average.IsInteger)/if (!average.RequiresGrad)/
clipping: every norm alone|src/Kernels/ClipNorm/ClipNorm.Cpu.cs|s/squares += SumOfSquares(gradient)/squares = Math.Max(squares, SumOfSquares(gradient))/
clipping: short gradients are made longer|src/Kernels/ClipNorm/ClipNorm.cs|s/return clip < 1 ? Scale \* clip : Scale;/return Scale * clip;/
loss scale: a step that overflows counts|src/Models/Train/LossScaler.cs|s/return finite;/return true;/
mixup: the second label counts as much as the first|src/Models/Train/TrainingStep.cs|s/1 - batch.Share)/batch.Share)/
step schedule: one step late|src/Optim/Schedules.cs|s/m => m <= step/m => m < step/
sum of squares: the rest behind whole vectors forgotten, CPU|src/Kernels/Reduce/Reduce.Cpu.cs|s/sum += F.Of(x\[i\]);//
basis trained|src/Layers/Reparam/RefConv2d.cs|s/basis.Trainable = options.BaseTrainable;/basis.Trainable = true;/
landscape: one norm for a whole layer instead of each filter's|src/Models/Analysis/Landscape/LandscapeDirection.cs|s/int filter = d.Length \/ parameter.TorchShape\[0\];/int filter = d.Length;/
landscape: the second direction by the first coordinate|src/Models/Analysis/Landscape/MovingModel.cs|s/kernels.Scale(dy.Data, parameter.Data, y, accumulate: true)/kernels.Scale(dy.Data, parameter.Data, x, accumulate: true)/
landscape: curvature divided by h instead of h²|src/Models/Analysis/Sharpness.cs|s/f(-h)) \/ (h \* h)/f(-h)) \/ h/
landscape: goes on with a part of another one|src/Models/Analysis/Landscape/LandscapePart.cs|s/part.Fingerprint != fingerprint || //
path: components of weights that are not centred|src/Models/Analysis/Landscape/PathDirections.cs|s/v - mean\[k \/ n\] - mean\[k % n\] + all/v/
path: epochs under the next one's number|src/Models/Train/Trainer.cs|s/SaveEpoch(Model, State.Epoch, _info)/SaveEpoch(Model, State.Epoch + 1, _info)/
attack: the box not in the units of normalised pictures|src/Models/Analysis/AdversarialAttack.cs|s/clean\[k\] + (attack.Epsilon \/ std)/clean[k] + attack.Epsilon/
attack: PGD without a random start|src/Models/Analysis/AdversarialAttack.cs|s/2.5 \* epsilon \/ steps, RandomStart: true/2.5 * epsilon \/ steps, RandomStart: false/
analysis: the kernel that is used in the place of the basis|src/Models/Analysis/KernelPair.cs|s/after with { Weight = form.Basis.ToTorchDouble() }/after/
analysis: entropy instead of divergence|src/Models/Analysis/KernelAnalysis.cs|s/(log\[i\]\[t\] - log\[j\]\[t\])/log[i][t]/
analysis: rows of several refocus groups in one map|src/Models/Analysis/KernelStudy.cs|s/Math.Min(channels, g.Groups)/channels/
cost: the transform counted once a picture|src/Models/Analysis/TrainingCost.cs|s/(l.TrainMacs \* batch) + l.TransformMacs/(l.TrainMacs + l.TransformMacs) * batch/
ablation: the random base is the trained one|src/Layers/Reparam/RefConv2d.cs|s/if (options.BaseRandom) /if (options.BaseRandom \&\& options.MapK == 99) /
ablation: the learnable base is frozen|src/Layers/Reparam/RefConv2d.cs|s/basis.Trainable = options.BaseTrainable;/basis.Trainable = false;/
ablation: a learnable base cannot be merged|src/Tensor/Op.cs|s/Tape.IsSymbolic \&\& Output.IsSymbolic) throw/Tape.IsSymbolic) throw/
ablation: finetune at the recipe's learning rate|src/Models/Train/AblationTable.cs|s/Recipe with { LearningRate = FinetuneRate }, Baseline/Recipe, Baseline/
ablation: retrain from initial weights|src/Models/Train/AblationTable.cs|s/new TrainingRow(Retrain, Recipe, Baseline)/new TrainingRow(Retrain, Recipe)/
ablation: no-shortcut with the shortcut|src/Models/Train/AblationTable.cs|s/new() { Shortcut = false }/new()/
ablation: a stopped row begins again|src/Models/Train/TrainingTable.cs|s/File.Exists(folder.LastFile) ? Trainer.Resume(folder, device) : //
ablation: a row goes on from a start that failed|src/Models/Train/TrainingTable.cs|s/.Failed is { } reason)/.Failed is { Length: 0 } reason)/
ablation: pairs by order instead of by seed|src/Models/Report/AblationReport.cs|s/\.Join(Good(other), r => r.Seed, r => r.Seed, /.Zip(Good(other), /
ablation: another baseline in the same folder|src/Models/Train/AblationSetup.cs|s/Recipe, BaseEpochs, FinetuneRate) ==/Recipe) ==/;s/other.Recipe, other.BaseEpochs, other.FinetuneRate)/other.Recipe)/
ablation: another recipe of a row, the set-up deleted|src/Models/Train/TrainingTable.cs|s/is var there \&\& there != row.Recipe with { Seed = seed })/is var there \&\& there.Epochs < 0)/
ablation: t with the wrong root|src/Models/Analysis/PairedDifference.cs|s/Math.Sqrt(n));/Math.Sqrt(n - 1));/
ablation: a deviation of one seed|src/Models/Report/MeanDeviation.cs|s/values.Count < 2 ? null : /values.Count < 1 ? null : /
statistics: a tie up to rounding counts as certain|src/Models/Analysis/StudentsT.cs|s/deviation <= 1e-12 + (1e-9 \* Math.Abs(mean))/deviation < 0/
statistics: the quantile of one side|src/Models/Analysis/StudentsT.cs|s/(middle, degrees) > level/(middle, degrees) > 2 * level/
analysis: redundancy at equal size without the scale|src/Models/Analysis/KernelStudy.cs|s/double scale = Math.Sqrt(before \/ after);/double scale = after > 0 ? 1 : 0;/
step time: always SGD|src/Models/Analysis/StepTime.cs|s/recipe.MakeOptimizer(/new Recipe().MakeOptimizer(/
recipe: the plan of an ablation is not checked|src/Models/Train/RecipeFile.cs|s/        Ablation?.Validate();//
report: a model that was analysed twice is two|src/Models/Report/Claims.cs|s/g.DistinctBy(f => f.Identity)/g/
report: other pictures are a repetition|src/Models/Report/Claims.cs|s/f => (f.Model, f.Data)/f => (f.Model, Data: (string?)null)/
report: trained models told apart by their paths|src/Models/Report/Reading/ReportRun.cs|s/Fingerprint ?? Subject ?? File/Subject ?? File/
event files: the check sum turned the other way|src/Models/Train/TensorBoard/EventFile.cs|s/RotateRight(~crc, 15)/RotateLeft(~crc, 15)/
event files: no mark of where a file begins|src/Models/Train/TensorBoard/EventFile.cs|s/Bytes(7, Varint(1, SessionStart))/Bytes(7, [])/
report: a saddle cut the other way|src/Models/Report/Charts/MarchingSquares.cs|s/case 5 when middle: case 10 when !middle/case 5 when !middle: case 10 when middle/
report: intervals without √n|src/Models/Report/Interval.cs|s/ \* s \/ Math.Sqrt(values.Count)/ * s/
report: one seed suffices|src/Models/Report/Interval.cs|s/Half is { } h and > 0 \&\& Mean - h > threshold/Mean - (Half ?? 0) > threshold/
report: differences that are not paired|src/Models/Report/Claims.cs|s/theirs\[seed\].Accuracy)/theirs.Values.Average(r => r.Accuracy))/
report: half an epoch of a cut log counts|src/Models/Report/Reading/ReportRun.cs|s/public bool IsEmpty => .*/public bool IsEmpty => false;/
report: a tag in a run's name|src/Models/Report/Num.cs|s/.Replace("<", "&lt;")//
report: tables sort one way only|src/Models/Report/PageScript.cs|s/return up?order(a,b):order(b,a)/return order(a,b)/
report: the first row is missing in CSV|src/Models/Report/PageScript.cs|s/csv(d.head,d.rows)/csv(d.head,d.rows.slice(1))/
report: rows and columns swapped under the pointer|src/Models/Report/PageScript.cs|s/short(d.rows\[i\]\[j+1\])}};/short(d.rows[j][i+1])}};/
memory: a block does not join the free one behind it|src/Kernels/Cpu/BlockHeap.cs|s/if (block.After is { IsFree: true } after)/if (block.After is { IsFree: true, Bytes: < 0 } after)/
memory: any block of the bin instead of the best|src/Kernels/Cpu/BlockHeap.cs|s/best != null \&\& !IsBetter(block, best)/best != null/
memory: a block behind a split knows the wrong neighbour|src/Kernels/Cpu/BlockHeap.cs|s/if (rest.After is { } after) after.Before = rest;//
memory: an activation says that it reads nothing|src/Tensor/Ops/ElementwiseOps.cs|s/BackwardReads(Tensor tensor) => tensor == _x;/BackwardReads(Tensor tensor) => false;/
memory: a maximum says that it reads nothing|src/Tensor/Ops/PoolOps.cs|s/=> _max \&\& tensor == _x;/=> false;/
memory: a norm with a residual says that it does not read its result|src/Tensor/Ops/BatchNorm2dOp.cs|s/tensor == Output ? ReadsResult : /tensor != Output \&\& /
memory: an outer tape does not learn what an inner one reads|src/Tensor/Tape.cs|s/tape = tape._outer) tape._read/tape = null) tape._read/
memory: a result that another tensor shows is dropped|src/Tensor/Tape.cs|s/ \&\& !tensor.HasView / /
memory: what is expensive is computed again too|src/Tensor/Ops/BatchNorm2dOp.cs|s/CanRecompute \&\& Geometry.Activation is not ([^)]*);/CanRecompute;/
ROWS
)
tests=${TESTS:-"FullyQualifiedName~KernelConformance|FullyQualifiedName~WinogradTests|FullyQualifiedName~BlockHeapTests|FullyQualifiedName~Tests.Engine|FullyQualifiedName~Tests.Layers|FullyQualifiedName~Tests.Methods|FullyQualifiedName~Tests.Analysis|FullyQualifiedName~Tests.Models.AblationTests|FullyQualifiedName~TrainingHelpersTests|FullyQualifiedName~SesrTests|FullyQualifiedName~LossScalerTests|FullyQualifiedName~Tests.Report|FullyQualifiedName~RecipeFilesTests"}
survived=0
while IFS='|' read -r what file command; do
  [[ $# -gt 0 && ! "$what" =~ $* ]] && continue
  sed -i "$command" "$file"
  if git diff --quiet; then
    verdict="NOT PLANTED (the source has changed: mend this row)"
    survived=$((survived + 1))
  elif ! dotnet build tests/RefConv.Tests -c Release -v quiet --nologo -p:RunAnalyzers=false -p:TreatWarningsAsErrors=false >build.log 2>&1; then # style is not what is tested here
    verdict="does not compile"
  elif dotnet test tests/RefConv.Tests -c Release --no-build --nologo \
      --filter "$tests" >test.log 2>&1; then
    verdict="SURVIVED"
    survived=$((survived + 1))
  else
    verdict="caught, $(grep -oE 'Failed: +[0-9]+' test.log | tail -1 | grep -oE '[0-9]+') tests failed"
  fi
  echo "$what: $verdict"
  git checkout -q -- .
done <<<"$errors"
exit $((survived > 0))
