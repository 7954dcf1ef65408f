using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>Pooling with channels in the lanes: every pixel of a window is one load, whatever the channels count.</summary>
internal sealed unsafe partial class CpuKernels
{
    public void AvgPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => ForOutputRows(g, new AverageWindow(g, P(x), P(y)));

    public void MaxPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => ForOutputRows(g, new LargestOfWindow(g, P(x), P(y)));

    /// <remarks>Each input pixel gathers from the windows that cover it, so that every element of dx is written once, by one thread.</remarks>
    public void AvgPool2dBackward(in Pool2dGeometry g, BufferView dy, BufferView dx, bool accumulate)
    {
        var geometry = g;
        var gather = new GatherAverage(g, P(dy), P(dx), accumulate);
        long grain = Math.Max(1, ElementGrain / ((long)g.W * g.C));
        ParallelRange((long)g.N * g.H, grain, (first, last) =>
        {
            var k = gather;
            for (long row = first; row < last; row++)
            for (int w = 0; w < geometry.W; w++)
                OverChannels(in k, row / geometry.H, row % geometry.H, w, 0, geometry.C);
        });
    }

    /// <remarks>
    /// Windows overlap, so an output's gradient is added where its window's largest element lies. A piece of work is a block of channels of one
    /// image: nobody else writes there.
    /// </remarks>
    public void MaxPool2dBackward(in Pool2dGeometry g, BufferView x, BufferView dy, BufferView dx, bool accumulate)
    {
        const int Channels = 32;
        var geometry = g;
        var scatter = new ScatterToLargest(g, P(x), P(dy), P(dx));
        float* dxs = P(dx);
        int blocks = Pieces(g.C, Channels);
        ParallelIfWorth(checked(g.N * blocks), g.InputLength, item =>
        {
            var k = scatter;
            int n = item / blocks, c = item % blocks * Channels, end = Math.Min(geometry.C, c + Channels);
            if (!accumulate)
            {
                long pixels = (long)geometry.H * geometry.W;
                for (long p = 0; p < pixels; p++) new Span<float>(dxs + (((n * pixels) + p) * geometry.C) + c, end - c).Clear();
            }
            for (int p = 0; p < geometry.P; p++)
            for (int q = 0; q < geometry.Q; q++)
                OverChannels(in k, n, p, q, c, end);
        });
    }

    private void ForOutputRows<K>(in Pool2dGeometry g, K kernel) where K : struct, IRowKernel
    {
        var geometry = g;
        long grain = Math.Max(1, ElementGrain / ((long)g.Q * g.C * g.Stride * g.Stride));
        ParallelRange((long)g.N * g.P, grain, (first, last) =>
        {
            var k = kernel;
            for (long row = first; row < last; row++)
            for (int q = 0; q < geometry.Q; q++)
                OverChannels(in k, row / geometry.P, row % geometry.P, q, 0, geometry.C);
        });
    }

    /// <summary>The part of output (p, q)'s window that lies inside the image: rows [Top, Bottom), columns [Left, Right).</summary>
    private readonly struct PoolWindow
    {
        public readonly int Top, Bottom, Left, Right;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public PoolWindow(in Pool2dGeometry g, int p, int q)
        {
            int h = (p * g.Stride) - g.Padding, w = (q * g.Stride) - g.Padding;
            Top = Math.Max(0, h);
            Bottom = Math.Min(g.H, h + g.R);
            Left = Math.Max(0, w);
            Right = Math.Min(g.W, w + g.S);
        }
    }

    // The pooling kernels are row kernels in which "image" is n, "row" is a row of the map (p or h) and "rows" is the column (q or w).

    private readonly struct AverageWindow(Pool2dGeometry g, float* x, float* y) : IRowKernel
    {
        private readonly Pool2dGeometry _g = g;
        private readonly float* _x = x, _y = y;

        public void Run<V>(long n, long p, int q, int c) where V : unmanaged
        {
            var window = new PoolWindow(_g, (int)p, q);
            V sum = Simd.Broadcast<V>(0);
            for (int h = window.Top; h < window.Bottom; h++)
            {
                float* x = _x + (((((n * _g.H) + h) * _g.W) + window.Left) * _g.C) + c;
                for (int w = window.Left; w < window.Right; w++, x += _g.C) sum = Simd.Add(sum, Simd.Load<V>(x));
            }
            int divisor = _g.CountIncludePad ? _g.R * _g.S : (window.Bottom - window.Top) * (window.Right - window.Left);
            Simd.Store(_y + (((((n * _g.P) + p) * _g.Q) + q) * _g.C) + c, Simd.Multiply(sum, Simd.Broadcast<V>(1f / divisor)));
        }
    }

    private readonly struct LargestOfWindow(Pool2dGeometry g, float* x, float* y) : IRowKernel
    {
        private readonly Pool2dGeometry _g = g;
        private readonly float* _x = x, _y = y;

        public void Run<V>(long n, long p, int q, int c) where V : unmanaged
        {
            var window = new PoolWindow(_g, (int)p, q);
            V largest = Simd.Broadcast<V>(float.NegativeInfinity);
            for (int h = window.Top; h < window.Bottom; h++)
            {
                float* x = _x + (((((n * _g.H) + h) * _g.W) + window.Left) * _g.C) + c;
                for (int w = window.Left; w < window.Right; w++, x += _g.C) largest = Simd.Max(largest, Simd.Load<V>(x));
            }
            Simd.Store(_y + (((((n * _g.P) + p) * _g.Q) + q) * _g.C) + c, largest);
        }
    }

    private readonly struct GatherAverage(Pool2dGeometry g, float* dy, float* dx, bool accumulate) : IRowKernel
    {
        private readonly Pool2dGeometry _g = g;
        private readonly float* _dy = dy, _dx = dx;
        private readonly bool _accumulate = accumulate;

        public void Run<V>(long n, long h, int w, int c) where V : unmanaged
        {
            // Window p covers row h when p·stride − padding ≤ h < p·stride − padding + R.
            int fromP = FirstWindow((int)h, _g.R), endP = Math.Min(_g.P, (((int)h + _g.Padding) / _g.Stride) + 1);
            int fromQ = FirstWindow(w, _g.S), endQ = Math.Min(_g.Q, ((w + _g.Padding) / _g.Stride) + 1);
            V sum = Simd.Broadcast<V>(0);
            for (int p = fromP; p < endP; p++)
            for (int q = fromQ; q < endQ; q++)
            {
                var window = new PoolWindow(_g, p, q);
                int divisor = _g.CountIncludePad ? _g.R * _g.S : (window.Bottom - window.Top) * (window.Right - window.Left);
                V d = Simd.Load<V>(_dy + (((((n * _g.P) + p) * _g.Q) + q) * _g.C) + c);
                sum = Simd.Fma(d, Simd.Broadcast<V>(1f / divisor), sum);
            }
            float* dx = _dx + (((((n * _g.H) + h) * _g.W) + w) * _g.C) + c;
            Simd.Store(dx, _accumulate ? Simd.Add(Simd.Load<V>(dx), sum) : sum);
        }

        /// <summary>The smallest p ≥ 0 with p·stride − padding + size &gt; at: ⌈(at + padding − size + 1) / stride⌉.</summary>
        private int FirstWindow(int at, int size)
        {
            int over = at + _g.Padding - size + 1;
            return over <= 0 ? 0 : (over + _g.Stride - 1) / _g.Stride;
        }
    }

    private readonly struct ScatterToLargest(Pool2dGeometry g, float* x, float* dy, float* dx) : IRowKernel
    {
        private readonly Pool2dGeometry _g = g;
        private readonly float* _x = x, _dy = dy, _dx = dx;

        /// <summary>
        /// Each lane has its own largest element, so each keeps the number of its tap (as a float). The gradient is then added at every tap, and
        /// zero where the lane chose another: no lane has to go its own way.
        /// </summary>
        public void Run<V>(long n, long p, int q, int c) where V : unmanaged
        {
            var window = new PoolWindow(_g, (int)p, q);
            V largest = Simd.Broadcast<V>(float.NegativeInfinity), chosen = Simd.Broadcast<V>(0);
            int tap = 0;
            for (int h = window.Top; h < window.Bottom; h++)
            {
                float* from = _x + Input(n, h, window.Left, c);
                for (int w = window.Left; w < window.Right; w++, from += _g.C, tap++)
                {
                    V x = Simd.Load<V>(from), number = Simd.Broadcast<V>(tap);
                    // Greater, or the first NaN: a NaN is not equal to itself, and the largest so far still is.
                    V ifNumber = Simd.SelectGreater(x, largest, number, chosen);
                    V ifNaN = Simd.SelectEqual(largest, largest, number, chosen);
                    chosen = Simd.SelectEqual(x, x, ifNumber, ifNaN);
                    largest = Simd.Max(largest, x);
                }
            }

            V dy = Simd.Load<V>(_dy + (((((n * _g.P) + p) * _g.Q) + q) * _g.C) + c);
            tap = 0;
            for (int h = window.Top; h < window.Bottom; h++)
            {
                float* to = _dx + Input(n, h, window.Left, c);
                for (int w = window.Left; w < window.Right; w++, to += _g.C, tap++)
                {
                    V share = Simd.SelectEqual(chosen, Simd.Broadcast<V>(tap), dy, Simd.Broadcast<V>(0));
                    Simd.Store(to, Simd.Add(Simd.Load<V>(to), share));
                }
            }
        }

        private long Input(long n, int h, int w, int c) => (((((n * _g.H) + h) * _g.W) + w) * _g.C) + c;
    }
}
