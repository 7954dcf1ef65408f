using System.Diagnostics;
using RefConv.Bench.Cudnn;
using RefConv.Kernels;

namespace RefConv.Bench.Gpu;

/// <summary>Convolutions beside cuDNN on the same buffers, batch norm and the refocusing transform, and the ceilings: copying and cuBLAS.</summary>
internal static class Layers
{
    private const long WorkspaceBytes = 1L << 30;

    public static void Run(Settings settings, Results results, Stopwatch clock)
    {
        if (!Run(settings, results, clock, tf32: false)) return;
        if (settings.Device.StartsWith("cuda", StringComparison.Ordinal)) Run(settings, results, clock, tf32: true);
    }

    /// <returns>False when the time was over.</returns>
    private static bool Run(Settings settings, Results results, Stopwatch clock, bool tf32)
    {
        using var device = GpuBackend.Open(settings.Device, tf32 ? GpuPrecision.Tf32 : GpuPrecision.Float32);
        using var timer = new GpuTimer(device, settings.Quick);
        timer.Inspector.Bind(); // cuDNN and cuBLAS work in the current context
        double copyRate = Ceilings(device, timer, settings, results, tf32);
        string? missing = settings.Device.StartsWith("cuda", StringComparison.Ordinal) ? NativeLibraries.Missing() : "the device is not CUDA";
        if (missing != null) results.Note($"no cuDNN beside the layers: {missing}");
        using var cudnn = missing == null ? new CudnnHandle(timer.Inspector.Stream) : null;
        using var workspace = device.Rent(cudnn == null ? 1 : settings.Quick ? 1 << 20 : WorkspaceBytes / 4);
        var peer = cudnn == null ? null : new CudnnPeer(cudnn, timer.Inspector.Address(workspace.View), 4 * workspace.View.Length);
        foreach (var row in LayerCase.All.Where(c => c.Batch == 8 && !c.Packed && c.Accuracy == Conv2dAccuracy.Exact && !(tf32 && c.Geometry.IsDepthwise)))
        {
            if (IsOver(row.Name)) return false;
            Layer(row, row.Geometry with { N = settings.Quick ? 1 : settings.Batch }, device, timer, peer, results, copyRate, tf32);
        }
        if (tf32) return true;
        foreach (var (rows, c) in (ReadOnlySpan<(long, int)>)[(112 * 112, 64), (56 * 56, 144), (28 * 28, 128), (14 * 14, 512), (7 * 7, 1024)])
        {
            if (IsOver("batch norm")) return false;
            Norm(new BatchNormGeometry(rows * (settings.Quick ? 1 : settings.Batch), c, Activation: ActivationKind.ReLU), device, timer, results, copyRate);
        }
        foreach (var g in (ReadOnlySpan<RefocusGeometry>)[new(512, 512, 1, 3, 3, 3), new(256, 256, 1, 3, 3, 3), new(1024, 1024, 1024, 3, 3, 3), new(512, 512, 512, 3, 3, 3), new(960, 960, 960, 3, 3, 3), new(128, 128, 32, 3, 3, 3), new(384, 384, 384, 7, 7, 3)])
        {
            if (IsOver("refocusing")) return false;
            Refocus(g, device, timer, peer, results, copyRate);
        }
        return true;

        bool IsOver(string next)
        {
            if (clock.Elapsed.TotalSeconds <= settings.Seconds) return false;
            results.Note($"layers from {next} on{(tf32 ? " (tf32)" : "")} were left out: the time was over.");
            return true;
        }
    }

    /// <summary>Bytes a second that the driver copies from device memory to device memory, read and written both counted.</summary>
    private static double Ceilings(Device device, GpuTimer timer, Settings settings, Results results, bool tf32)
    {
        long floats = settings.Quick ? 1 << 16 : 1 << 28;
        using var from = device.Rent(floats);
        using var to = device.Rent(floats);
        double ms = timer.Milliseconds(_ => timer.Inspector.Copy(from.View, to.View));
        double rate = 8.0 * floats / ms * 1e3;
        results.Add("ceiling", "device-to-device copy", null, ms, null, null, ("GBs", Math.Round(rate / 1e9)));
        if (!settings.Device.StartsWith("cuda", StringComparison.Ordinal) || NativeLibraries.Missing() != null) return rate;
        const int n = 8192;
        using var factors = new OperandSets(device, [(long)n * n, (long)n * n, (long)n * n], sets: 1);
        using var gemm = new CublasGemm(timer.Inspector.Stream, tf32);
        double time = timer.Milliseconds(i => gemm.Run(n, timer.Inspector.Address(factors[i][0]), timer.Inspector.Address(factors[i][1]), timer.Inspector.Address(factors[i][2])));
        results.Add("ceiling", $"cuBLAS {n}³ {(tf32 ? "tf32" : "fp32")}", null, time, null, null, ("TFLOPs", Math.Round(2.0 * n * n * n / time / 1e9, 1)));
        return rate;
    }

    private static void Layer(LayerCase row, Conv2dGeometry g, Device device, GpuTimer timer, CudnnPeer? peer, Results results, double copyRate, bool tf32)
    {
        using var operands = new OperandSets(device, [g.InputLength, g.WeightLength, g.OutputLength]);
        var kernels = device.Kernels;
        double ms = timer.Milliseconds(i =>
        {
            var s = operands[i];
            switch (row.Direction)
            {
                case Conv2dDirection.Forward: kernels.Conv2dForward(g, s[0], s[1], default, s[2]); break;
                case Conv2dDirection.InputGradient: kernels.Conv2dInputGradient(g, s[2], s[1], s[0], accumulate: false); break;
                default: kernels.Conv2dWeightGradient(g, s[0], s[2], s[1], accumulate: false); break;
            }
        });
        var direction = row.Direction switch { Conv2dDirection.Forward => CudnnDirection.Forward, Conv2dDirection.InputGradient => CudnnDirection.InputGradient, _ => CudnnDirection.WeightGradient };
        var best = peer?.Best(g, direction, tf32, operands, timer);
        double bytes = 4.0 * (g.InputLength + g.WeightLength + g.OutputLength);
        string precision = tf32 ? "tf32" : "fp32";
        results.Add("layers", $"{row.Name} {row.Op} {precision}", $"{row.Class} {precision}", ms, best?.Milliseconds, best == null ? null : "cuDNN", ("best", best?.How),
            ("TFLOPs", Math.Round(2.0 * g.Macs / ms / 1e9, 2)), ("ofCopy", Math.Round(bytes / ms * 1e3 / copyRate, 3)));
    }

    private static void Norm(BatchNormGeometry g, Device device, GpuTimer timer, Results results, double copyRate)
    {
        long n = g.Rows * g.C;
        using var operands = new OperandSets(device, [n, n, n, g.C, g.C, g.C, g.C, g.C, g.C, g.C, g.C]);
        double forward = timer.Milliseconds(i =>
        {
            var s = operands[i];
            device.Kernels.BatchNormTraining(g, s[0], default, s[3], s[4], s[5], s[6], 0.1, s[7], s[8], default, s[1]);
        });
        results.Add("layers", $"batchnorm {g} forward", "batchnorm", forward, null, null, ("ofCopy", Math.Round(3 * 4.0 * n / forward * 1e3 / copyRate, 3)));
        double backward = timer.Milliseconds(i =>
        {
            var s = operands[i];
            device.Kernels.BatchNormTrainingBackward(g, s[0], default, s[1], s[3], s[4], s[7], s[8], s[2], s[9], s[10], false, false);
        });
        results.Add("layers", $"batchnorm {g} backward", "batchnorm", backward, null, null, ("ofCopy", Math.Round(5 * 4.0 * n / backward * 1e3 / copyRate, 3)));
    }

    /// <summary>The transform beside the grouped convolution over one picture of D channels that it is, as cuDNN would run it.</summary>
    private static void Refocus(RefocusGeometry g, Device device, GpuTimer timer, CudnnPeer? peer, Results results, double copyRate)
    {
        using var operands = new OperandSets(device, [g.KernelLength, Math.Max(g.UnfoldedLength, 1), g.MapLength, g.KernelLength, g.MapLength]);
        BufferView Unfolded(BufferView[] s) => g.UnfoldedLength == 0 ? default : s[1];
        for (int i = 0; i < operands.Count; i++)
        {
            if (g.UnfoldedLength > 0) device.Kernels.RefocusUnfold(g, operands[i][0], operands[i][1]);
        }
        int pad = g.MapK / 2;
        var convolution = new Conv2dGeometry(1, g.R, g.S, g.D, g.D, g.MapK, g.MapK) { PadTop = pad, PadBottom = pad, PadLeft = pad, PadRight = pad, Groups = g.D / g.Groups };
        using var cudnnOperands = new OperandSets(device, [convolution.InputLength, convolution.WeightLength, convolution.OutputLength]);
        Time("forward", CudnnDirection.Forward, i => device.Kernels.RefocusForward(g, operands[i][0], Unfolded(operands[i]), operands[i][2], operands[i][3], shortcut: true), g.MapLength + (2 * g.KernelLength));
        Time("map_gradient", CudnnDirection.WeightGradient, i => device.Kernels.RefocusMapGradient(g, operands[i][0], Unfolded(operands[i]), operands[i][3], operands[i][4], accumulate: false), g.MapLength + (2 * g.KernelLength));

        void Time(string op, CudnnDirection direction, Action<int> work, long floats)
        {
            double ms = timer.Milliseconds(work);
            var best = peer?.Best(convolution, direction, tf32: false, cudnnOperands, timer);
            results.Add("layers", $"refocus {g} {op}", "refocus fp32", ms, best?.Milliseconds, best == null ? null : "cuDNN", ("best", best?.How), ("ofCopy", Math.Round(4.0 * floats / ms * 1e3 / copyRate, 3)));
        }
    }
}

/// <summary>Several sets of the same operands, used in turn, so that nothing is found in a cache by chance; of changing values, because a processor of constants runs cooler.</summary>
internal sealed class OperandSets : IDisposable
{
    private readonly DeviceBuffer[][] _sets;

    public OperandSets(Device device, long[] lengths, int sets = 3)
    {
        _sets = [.. Enumerable.Range(0, sets).Select(_ => lengths.Select(device.Rent).ToArray())];
        using var level = device.Rent(lengths.Max());
        ulong stream = 0;
        foreach (var buffer in _sets.SelectMany(s => s))
        {
            // Eight levels, drawn on the device: sums of halves that are there or not.
            for (int bit = 0; bit < 3; bit++)
            {
                var part = level.View.Slice(0, buffer.Length);
                device.Kernels.Fill(part, 0.01 / (1 << bit));
                device.Kernels.Dropout(7, stream++, 0.5, part, buffer.View, accumulate: bit > 0);
            }
        }
    }

    public int Count => _sets.Length;

    public BufferView[] this[int i] => [.. _sets[i % _sets.Length].Select(b => b.View)];

    public void Dispose()
    {
        foreach (var buffer in _sets.SelectMany(s => s)) buffer.Dispose();
    }
}
