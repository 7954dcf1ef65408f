using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Softmax(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView y)
    {
        int classes = g.Classes;
        float* xs = P(x), ys = P(y);
        ParallelRange(g.N, RowsAPiece(classes), (first, last) =>
        {
            for (long n = first; n < last; n++) SoftmaxRow(xs + (n * classes), ys + (n * classes), classes, out _, out _);
        });
    }

    public void SoftmaxCrossEntropyForward(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView probabilities, BufferView loss)
    {
        int classes = g.Classes, rows = g.N;
        double epsilon = g.LabelSmoothing;
        float* xs = P(x), ps = P(probabilities), label = P(labels);
        using var scratch = _device.Scratch(2L * rows);
        double* losses = (double*)scratch.Pointer; // [N]
        ParallelRange(rows, RowsAPiece(classes), (first, last) =>
        {
            for (long n = first; n < last; n++)
            {
                float* row = xs + (n * classes);
                double sum = SoftmaxRow(row, ps + (n * classes), classes, out float max, out double fromMax);
                // −Σ t·(x − log Σ e^x), written with x − max everywhere: large scores then cost no digits.
                losses[n] = Math.Log(sum) - ((1 - epsilon) * (row[(int)label[n]] - (double)max));
                if (epsilon != 0) losses[n] -= epsilon * fromMax / classes;
            }
        });
        double total = 0;
        for (int n = 0; n < rows; n++) total += losses[n];
        *P(loss) = (float)(total / rows);
    }

    public void SoftmaxCrossEntropyBackward(in SoftmaxCrossEntropyGeometry g, BufferView probabilities, BufferView labels, BufferView dloss, BufferView dx, bool accumulate)
    {
        int classes = g.Classes;
        float* ps = P(probabilities), label = P(labels), dxs = P(dx);
        double scale = *P(dloss) / (double)g.N, even = g.LabelSmoothing / classes, peak = even + 1 - g.LabelSmoothing;
        ParallelRange(g.N, RowsAPiece(classes), (first, last) =>
        {
            for (long n = first; n < last; n++)
            {
                float* p = ps + (n * classes), d = dxs + (n * classes);
                int hit = (int)label[n];
                double before = accumulate ? d[hit] : 0;
                // All classes as if none were the right one, then that one again.
                switch (Simd.MaxWidth)
                {
                    case 16: ShiftAndScale<Vector512<float>>(p, d, classes, (float)even, (float)scale, accumulate); break;
                    case 8: ShiftAndScale<Vector256<float>>(p, d, classes, (float)even, (float)scale, accumulate); break;
                    case 4: ShiftAndScale<Vector128<float>>(p, d, classes, (float)even, (float)scale, accumulate); break;
                    default: ShiftAndScale<float>(p, d, classes, (float)even, (float)scale, accumulate); break;
                }
                d[hit] = (float)(before + ((p[hit] - peak) * scale));
            }
        });
    }

    private static long RowsAPiece(int classes) => Math.Max(1, ElementGrain / 4 / classes);

    private static double SoftmaxRow(float* x, float* y, int count, out float max, out double fromMax) => Simd.MaxWidth switch
    {
        16 => SoftmaxRow<Vector512<float>>(x, y, count, out max, out fromMax),
        8 => SoftmaxRow<Vector256<float>>(x, y, count, out max, out fromMax),
        4 => SoftmaxRow<Vector128<float>>(x, y, count, out max, out fromMax),
        _ => SoftmaxRow<float>(x, y, count, out max, out fromMax),
    };

    /// <summary>y = softmax(x). Returns Σ e^(x − max), and gives the maximum and Σ (x − max). The last vector is filled up with −∞, which adds e^−∞ = 0.</summary>
    private static double SoftmaxRow<V>(float* x, float* y, int count, out float max, out double fromMax) where V : unmanaged
    {
        int width = Simd.Width<V>(), whole = count / width * width, rest = count - whole;
        V largest = Simd.LoadPartial<V>(x + whole, rest, float.NegativeInfinity);
        for (int i = 0; i < whole; i += width) largest = Simd.Max(largest, Simd.Load<V>(x + i));
        max = Simd.LargestLane(largest);

        V top = Simd.Broadcast<V>(max);
        double* sums = stackalloc double[2 * width]; // [Σ e^(x − max), Σ (x − max)] by lane
        new Span<double>(sums, 2 * width).Clear();
        for (int i = 0; i < whole; i += width)
        {
            V d = Simd.Subtract(Simd.Load<V>(x + i), top), e = Simd.Exp(d);
            Simd.Store(y + i, e);
            Simd.AddToDoubles(sums, e);
            Simd.AddToDoubles(sums + width, d);
        }
        double sum = 0;
        fromMax = 0;
        if (rest > 0)
        {
            V e = Simd.Exp(Simd.Subtract(Simd.LoadPartial<V>(x + whole, rest, float.NegativeInfinity), top));
            Simd.StorePartial(y + whole, e, rest);
            Simd.AddToDoubles(sums, e);
            for (int i = whole; i < count; i++) fromMax += x[i] - max;
        }
        for (int lane = 0; lane < width; lane++)
        {
            sum += sums[lane];
            fromMax += sums[width + lane];
        }
        MapRange<V, ScaleFunction>(new ScaleFunction((float)(1 / sum)), y, y, count, accumulate: false);
        return sum;
    }

    /// <summary>d (+)= (p − even)·scale</summary>
    private static void ShiftAndScale<V>(float* p, float* d, int count, float even, float scale, bool accumulate) where V : unmanaged =>
        MapRange<V, ShiftAndScaleFunction>(new ShiftAndScaleFunction(even, scale), p, d, count, accumulate);

    private readonly struct ShiftAndScaleFunction(float even, float scale) : IElementFunction
    {
        private readonly float _even = even, _scale = scale;

        public V Apply<V>(V p) where V : unmanaged => Simd.Multiply(Simd.Subtract(p, Simd.Broadcast<V>(_even)), Simd.Broadcast<V>(_scale));
    }
}
