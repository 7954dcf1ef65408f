using System.Globalization;
using System.Text.RegularExpressions;
using ILGPU;
using RefConv.Kernels;

namespace RefConv.Bench.Ladder;

/// <summary>Runs steps on a device: checks what they compute, times them, shows what their PTX has.</summary>
internal static class Climb
{
    /// <summary>Runs a step; returns the largest error relative to Σ|a·b| over the elements looked at, and the shortest time.</summary>
    public static (double Error, double Milliseconds) Run(Step step, IlgpuDevice device, int size)
    {
        if (size % 128 != 0) throw new ArgumentException($"The matrices must be a multiple of 128 large, because no step has code for edges; {size} is not.");
        using var a = device.Rent((long)size * size);
        using var b = device.Rent((long)size * size);
        using var c = device.Rent((long)size * size);
        float[] valuesA = Values(size, 1), valuesB = Values(size, 2), result = new float[size * size];
        device.Write(a.View, valuesA);
        device.Write(b.View, valuesB);
        device.Kernels.Fill(c.View, double.NaN);
        var matrices = new Matrices { A = device.View(a.View), B = device.View(b.View), C = device.View(c.View), Size = size };
        var clock = GpuBackend.Inspect(device);
        double best = double.PositiveInfinity;
        // The first compiles. The simulation is too slow to be asked again, and its time says nothing.
        for (int i = 0; i < (device.IsSimulated ? 1 : 6); i++)
            best = Math.Min(best, clock.Milliseconds(() => { }, () => device.Launcher.Launch(step.Kernel, (size / step.TileColumns, size / step.TileRows, 1), matrices)));
        device.Read(c.View, result);
        return (Error(valuesA, valuesB, result, size), best);
    }

    /// <summary>Instructions of a step's PTX that tell how it works.</summary>
    public static string Facts(Step step)
    {
        string ptx = GpuRuntime.CompileToPtx(step.Kernel.Method).Ptx;
        string[] of = ["ld.global.f32", "ld.global.v4.f32", "st.global.f32", "st.global.v4.f32", "ld.shared.f32", "ld.shared.v4.f32", "mul.f32", "cvt.rna.tf32.f32", "mma.sync", "cp.async", "bar.sync", ".local"];
        return string.Join(", ", of.Select(i => (Name: i, Count: Regex.Count(ptx, Regex.Escape(i) + @"[\s.]"))).Where(i => i.Count > 0).Select(i => $"{i.Count} {i.Name}"));
    }

    private static float[] Values(int size, ulong tag)
    {
        var random = new RandomStream(11, tag);
        float[] values = new float[size * size];
        for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextNormal();
        return values;
    }

    /// <summary>All elements of small matrices, of large ones some thousands in all parts of it; nothing may be NaN.</summary>
    private static double Error(float[] a, float[] b, float[] c, int size)
    {
        if (c.Any(float.IsNaN)) return double.PositiveInfinity;
        double worst = 0;
        int stride = Math.Max(1, size * size / 16384);
        for (int at = 0; at < c.Length; at += stride | 1)
        {
            int row = at / size, column = at % size;
            double sum = 0, terms = 0;
            for (int k = 0; k < size; k++)
            {
                double product = (double)a[(row * size) + k] * b[(k * size) + column];
                sum += product;
                terms += Math.Abs(product);
            }
            worst = Math.Max(worst, Math.Abs(c[at] - sum) / terms);
        }
        return worst;
    }

    public static string Row(Step step, int size, double error, double milliseconds, bool onGpu)
    {
        double flops = 2.0 * size * size * size / (milliseconds * 1e9);
        string rate = onGpu ? string.Create(CultureInfo.InvariantCulture, $"{flops,6:F2} TFLOP/s, {flops / step.Peak:P0} of an H100's peak") : "time on no GPU: says nothing";
        return string.Create(CultureInfo.InvariantCulture, $"{step.Name,-10} error {error:E1} ({(error <= step.Accuracy ? "right" : "WRONG")})  {milliseconds,10:F3} ms  {rate}; expected {step.ExpectedShare:P0} ({step.Bound})");
    }
}
