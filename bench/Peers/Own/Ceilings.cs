using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace RefConv.Bench;

/// <summary>What this machine can do at best, measured in the same run: the ceiling that kernels are held against.</summary>
/// <param name="GigaFlops">Multiply-adds in registers, all threads together, multiply and add counted as two: GFLOP/s.</param>
/// <param name="ReadGigabytes">Reading main memory, all threads together: GB/s.</param>
/// <param name="CopyGigabytes">Copying within main memory, bytes read and written counted: GB/s.</param>
internal readonly record struct Ceilings(double GigaFlops, double ReadGigabytes, double CopyGigabytes)
{
    /// <summary>A buffer each for reading and writing, far larger than any cache (floats).</summary>
    private const int BufferFloats = 64 << 20;

    /// <summary>The best of so many tries: others can only slow us down.</summary>
    private const int Tries = 8;

    /// <summary>No more tries after so long: without vectors one takes its time.</summary>
    private const double MostSeconds = 0.4;

    /// <summary>
    /// Share of the shortest time possible in the time taken: 1 is perfect. The shortest time is that of the multiply-adds at the peak rate or that of
    /// moving the operands once at the faster of the two memory rates, whichever is longer. Work that beats its memory time had operands in a
    /// cache: then memory was not its limit, and only the multiply-adds count.
    /// </summary>
    public double Share(double flops, double bytes, double milliseconds)
    {
        double compute = flops / GigaFlops / 1e6, memory = bytes / Math.Max(ReadGigabytes, CopyGigabytes) / 1e6;
        return (memory > milliseconds ? compute : Math.Max(compute, memory)) / milliseconds;
    }

    /// <summary>Measures for half a second or so.</summary>
    /// <param name="threads">Threads, as many as the kernels will use.</param>
    public static unsafe Ceilings Measure(int threads)
    {
        float* from = (float*)NativeMemory.AlignedAlloc(4 * (nuint)BufferFloats, 64), to = (float*)NativeMemory.AlignedAlloc(4 * (nuint)BufferFloats, 64);
        try
        {
            int slice = BufferFloats / threads / 64 * 64;
            // Touched by the thread that will use it, and before the clock runs: the first touch of a page is not what we measure.
            Best(threads, t => { new Span<float>(from + ((long)t * slice), slice).Fill(1); new Span<float>(to + ((long)t * slice), slice).Fill(2); }, tries: 1);
            double fma = MultiplyAddRate(threads);
            float[] sinks = new float[threads];
            double read = Best(threads, t => sinks[t] += Sum(from + ((long)t * slice), slice), Tries);
            double copy = Best(threads, t => Copy(from + ((long)t * slice), to + ((long)t * slice), slice), Tries);
            GC.KeepAlive(sinks);
            double bytes = 4.0 * slice * threads;
            return new(fma / 1e9, bytes / read / 1e9, 2 * bytes / copy / 1e9);
        }
        finally
        {
            NativeMemory.AlignedFree(from);
            NativeMemory.AlignedFree(to);
        }
    }

    /// <summary>Sums under way at once: a multiply-add takes four cycles to finish and two begin in each, so eight would do.</summary>
    private const int Chains = 12;

    private static int Lanes => Vector512.IsHardwareAccelerated ? 16 : Vector256.IsHardwareAccelerated ? 8 : Vector128.IsHardwareAccelerated ? 4 : 1;

    /// <summary>Runs work on threads of its own, all at once; seconds of the fastest try, from the first thread's start to the last one's end.</summary>
    private static double Best(int threads, Action<int> work, int tries)
    {
        double best = double.MaxValue, spent = 0;
        for (int i = 0; i < tries && (i < 2 || spent < MostSeconds); i++)
        {
            using var gate = new Barrier(threads);
            long[] starts = new long[threads], ends = new long[threads];
            Thread[] all = [.. Enumerable.Range(0, threads).Select(t => new Thread(() =>
            {
                gate.SignalAndWait();
                starts[t] = Stopwatch.GetTimestamp();
                work(t);
                ends[t] = Stopwatch.GetTimestamp();
            }))];
            foreach (var thread in all) thread.Start();
            foreach (var thread in all) thread.Join();
            double seconds = Stopwatch.GetElapsedTime(starts.Min(), ends.Max()).TotalSeconds;
            spent += seconds;
            best = Math.Min(best, seconds);
        }
        return best;
    }

    /// <summary>
    /// Operations a second. All threads compute at the same time, as they will in kernels, but each is timed for itself and by its best try:
    /// the moment in which nobody else was on its core need not be the same for all.
    /// </summary>
    private static double MultiplyAddRate(int threads)
    {
        const int Steps = 250_000, Repeats = 200;
        double[] seconds = new double[threads];
        float[] sinks = new float[threads];
        Best(threads, t =>
        {
            double best = double.MaxValue, spent = 0;
            for (int i = 0; i < Repeats && spent < MostSeconds; i++)
            {
                long started = Stopwatch.GetTimestamp();
                sinks[t] += MultiplyAdd(Steps);
                double once = Stopwatch.GetElapsedTime(started).TotalSeconds;
                spent += once;
                best = Math.Min(best, once);
            }
            seconds[t] = best;
        }, tries: 1);
        GC.KeepAlive(sinks);
        return seconds.Sum(s => 2.0 * Chains * Lanes * Steps / s);
    }

    private static float MultiplyAdd(int steps) =>
        Vector512.IsHardwareAccelerated ? MultiplyAdd512(steps) : Vector256.IsHardwareAccelerated ? MultiplyAdd256(steps)
        : Vector128.IsHardwareAccelerated ? MultiplyAdd128(steps) : MultiplyAddScalar(steps);

    // The same loop at three widths. Twelve independent sums, each in a register: nothing is loaded or stored. s·a + b with a < 1 stays finite.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float MultiplyAdd512(int steps)
    {
        Vector512<float> a = Vector512.Create(0.999f), b = Vector512.Create(0.001f);
        Vector512<float> s0 = b, s1 = b, s2 = b, s3 = b, s4 = b, s5 = b, s6 = b, s7 = b, s8 = b, s9 = b, s10 = b, s11 = b;
        for (int i = 0; i < steps; i++)
        {
            s0 = Vector512.MultiplyAddEstimate(s0, a, b);
            s1 = Vector512.MultiplyAddEstimate(s1, a, b);
            s2 = Vector512.MultiplyAddEstimate(s2, a, b);
            s3 = Vector512.MultiplyAddEstimate(s3, a, b);
            s4 = Vector512.MultiplyAddEstimate(s4, a, b);
            s5 = Vector512.MultiplyAddEstimate(s5, a, b);
            s6 = Vector512.MultiplyAddEstimate(s6, a, b);
            s7 = Vector512.MultiplyAddEstimate(s7, a, b);
            s8 = Vector512.MultiplyAddEstimate(s8, a, b);
            s9 = Vector512.MultiplyAddEstimate(s9, a, b);
            s10 = Vector512.MultiplyAddEstimate(s10, a, b);
            s11 = Vector512.MultiplyAddEstimate(s11, a, b);
        }
        return Vector512.Sum(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float MultiplyAdd256(int steps)
    {
        Vector256<float> a = Vector256.Create(0.999f), b = Vector256.Create(0.001f);
        Vector256<float> s0 = b, s1 = b, s2 = b, s3 = b, s4 = b, s5 = b, s6 = b, s7 = b, s8 = b, s9 = b, s10 = b, s11 = b;
        for (int i = 0; i < steps; i++)
        {
            s0 = Vector256.MultiplyAddEstimate(s0, a, b);
            s1 = Vector256.MultiplyAddEstimate(s1, a, b);
            s2 = Vector256.MultiplyAddEstimate(s2, a, b);
            s3 = Vector256.MultiplyAddEstimate(s3, a, b);
            s4 = Vector256.MultiplyAddEstimate(s4, a, b);
            s5 = Vector256.MultiplyAddEstimate(s5, a, b);
            s6 = Vector256.MultiplyAddEstimate(s6, a, b);
            s7 = Vector256.MultiplyAddEstimate(s7, a, b);
            s8 = Vector256.MultiplyAddEstimate(s8, a, b);
            s9 = Vector256.MultiplyAddEstimate(s9, a, b);
            s10 = Vector256.MultiplyAddEstimate(s10, a, b);
            s11 = Vector256.MultiplyAddEstimate(s11, a, b);
        }
        return Vector256.Sum(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float MultiplyAdd128(int steps)
    {
        Vector128<float> a = Vector128.Create(0.999f), b = Vector128.Create(0.001f);
        Vector128<float> s0 = b, s1 = b, s2 = b, s3 = b, s4 = b, s5 = b, s6 = b, s7 = b, s8 = b, s9 = b, s10 = b, s11 = b;
        for (int i = 0; i < steps; i++)
        {
            s0 = Vector128.MultiplyAddEstimate(s0, a, b);
            s1 = Vector128.MultiplyAddEstimate(s1, a, b);
            s2 = Vector128.MultiplyAddEstimate(s2, a, b);
            s3 = Vector128.MultiplyAddEstimate(s3, a, b);
            s4 = Vector128.MultiplyAddEstimate(s4, a, b);
            s5 = Vector128.MultiplyAddEstimate(s5, a, b);
            s6 = Vector128.MultiplyAddEstimate(s6, a, b);
            s7 = Vector128.MultiplyAddEstimate(s7, a, b);
            s8 = Vector128.MultiplyAddEstimate(s8, a, b);
            s9 = Vector128.MultiplyAddEstimate(s9, a, b);
            s10 = Vector128.MultiplyAddEstimate(s10, a, b);
            s11 = Vector128.MultiplyAddEstimate(s11, a, b);
        }
        return Vector128.Sum(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float MultiplyAddScalar(int steps)
    {
        float a = 0.999f, b = 0.001f;
        float s0 = b, s1 = b, s2 = b, s3 = b, s4 = b, s5 = b, s6 = b, s7 = b, s8 = b, s9 = b, s10 = b, s11 = b;
        for (int i = 0; i < steps; i++)
        {
            (s0, s1, s2, s3) = ((s0 * a) + b, (s1 * a) + b, (s2 * a) + b, (s3 * a) + b);
            (s4, s5, s6, s7) = ((s4 * a) + b, (s5 * a) + b, (s6 * a) + b, (s7 * a) + b);
            (s8, s9, s10, s11) = ((s8 * a) + b, (s9 * a) + b, (s10 * a) + b, (s11 * a) + b);
        }
        return s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11;
    }

    /// <summary>Four sums, so that the additions do not wait for each other: memory is the limit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static unsafe float Sum(float* values, int count)
    {
        Vector256<float> s0 = default, s1 = default, s2 = default, s3 = default;
        for (int i = 0; i < count; i += 32)
        {
            s0 += Vector256.Load(values + i);
            s1 += Vector256.Load(values + i + 8);
            s2 += Vector256.Load(values + i + 16);
            s3 += Vector256.Load(values + i + 24);
        }
        return Vector256.Sum(s0 + s1 + s2 + s3);
    }

    /// <summary>Writes past the caches, as a kernel with a large result would: otherwise every line is read before it is written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static unsafe void Copy(float* from, float* to, int count)
    {
        for (int i = 0; i < count; i += 8) Vector256.StoreAlignedNonTemporal(Vector256.Load(from + i), to + i);
    }
}
