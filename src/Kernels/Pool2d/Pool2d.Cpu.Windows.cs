using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>A kernel for all channels of one pixel. What does not depend on the channel (which window, where in memory) is found once a pixel.</summary>
internal interface IPoolKernel : IRowKernel
{
    /// <summary>Turns to a pixel. The channels are then run over with <see cref="IRowKernel.Run"/>, whose image and rows do not matter.</summary>
    void Locate(int n, int row, int column);
}

internal sealed unsafe partial class CpuKernels
{
    /// <summary>The part of window (p, q) that lies inside the image.</summary>
    private struct PoolWindow
    {
        /// <summary>Its size inside the image.</summary>
        public int Rows, Columns;

        /// <summary>Its first row and column, counted from the window's own corner (in the padding).</summary>
        public int Top, Left;

        /// <summary>Element of x at its first pixel, channel 0.</summary>
        public long First;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Locate(in Pool2dGeometry g, int n, int p, int q)
        {
            int h = (p * g.Stride) - g.Padding, w = (q * g.Stride) - g.Padding; // the corner
            Top = Math.Max(0, -h);
            Left = Math.Max(0, -w);
            Rows = Math.Min(g.H - h, g.R) - Top;
            Columns = Math.Min(g.W - w, g.S) - Left;
            First = (((((long)n * g.H) + h + Top) * g.W) + w + Left) * g.C;
        }
    }

    private struct AverageWindow(Pool2dGeometry g, float* x, float* y) : IPoolKernel
    {
        private readonly Pool2dGeometry _g = g;
        private readonly int _p = g.P, _q = g.Q;
        private readonly float* _x = x, _y = y;
        private PoolWindow _window;
        private float* _to;
        private float _share;

        public void Locate(int n, int p, int q)
        {
            _window.Locate(_g, n, p, q);
            _to = _y + (((((long)n * _p) + p) * _q) + q) * _g.C;
            _share = 1f / (_g.CountIncludePad ? _g.R * _g.S : _window.Rows * _window.Columns);
        }

        public readonly void Run<V>(long image, long row, int c) where V : unmanaged
        {
            V sum = Simd.Broadcast<V>(0);
            float* line = _x + _window.First + c;
            for (int r = 0; r < _window.Rows; r++, line += (long)_g.W * _g.C)
            {
                float* pixel = line;
                for (int s = 0; s < _window.Columns; s++, pixel += _g.C) sum = Simd.Add(sum, Simd.Load<V>(pixel));
            }
            Simd.Store(_to + c, Simd.Multiply(sum, Simd.Broadcast<V>(_share)));
        }
    }

    private struct LargestOfWindow(Pool2dGeometry g, float* x, float* y) : IPoolKernel
    {
        private readonly Pool2dGeometry _g = g;
        private readonly int _p = g.P, _q = g.Q;
        private readonly float* _x = x, _y = y;
        private PoolWindow _window;
        private float* _to;

        public void Locate(int n, int p, int q)
        {
            _window.Locate(_g, n, p, q);
            _to = _y + (((((long)n * _p) + p) * _q) + q) * _g.C;
        }

        public readonly void Run<V>(long image, long row, int c) where V : unmanaged
        {
            V largest = Simd.Broadcast<V>(float.NegativeInfinity);
            float* line = _x + _window.First + c;
            for (int r = 0; r < _window.Rows; r++, line += (long)_g.W * _g.C)
            {
                float* pixel = line;
                for (int s = 0; s < _window.Columns; s++, pixel += _g.C) largest = Simd.Max(largest, Simd.Load<V>(pixel));
            }
            Simd.Store(_to + c, largest);
        }
    }

    /// <summary>Writes down, for one window, the tap (its place in the window, row by row) of the first largest element; in each lane its own, as a float.</summary>
    private struct FindLargest(Pool2dGeometry g, float* x, float* taps, int firstRow) : IPoolKernel
    {
        private readonly Pool2dGeometry _g = g;
        private readonly int _q = g.Q, _firstRow = firstRow;
        private readonly float* _x = x, _taps = taps;
        private PoolWindow _window;
        private float* _to;

        public void Locate(int n, int p, int q)
        {
            _window.Locate(_g, n, p, q);
            _to = _taps + ((((long)(p - _firstRow) * _q) + q) * _g.C);
        }

        public readonly void Run<V>(long image, long row, int c) where V : unmanaged
        {
            float* line = _x + _window.First + c;
            V largest = Simd.Load<V>(line), chosen = Simd.Broadcast<V>((_window.Top * _g.S) + _window.Left);
            for (int r = 0; r < _window.Rows; r++, line += (long)_g.W * _g.C)
            {
                float* pixel = line;
                int tap = ((_window.Top + r) * _g.S) + _window.Left;
                for (int s = 0; s < _window.Columns; s++, pixel += _g.C)
                {
                    V x = Simd.Load<V>(pixel), number = Simd.Broadcast<V>(tap + s);
                    // Greater, or the first NaN: a NaN is not equal to itself, and the largest so far still is.
                    V ifNumber = Simd.SelectGreater(x, largest, number, chosen);
                    V ifNaN = Simd.SelectEqual(largest, largest, number, chosen);
                    chosen = Simd.SelectEqual(x, x, ifNumber, ifNaN);
                    largest = Simd.Max(largest, x);
                }
            }
            Simd.Store(_to + c, chosen);
        }
    }

    /// <summary>The windows over one input pixel: rows [FromP, EndP), columns [FromQ, EndQ).</summary>
    private struct CoveringWindows
    {
        public int FromP, EndP, FromQ, EndQ;

        public void Locate(in Pool2dGeometry g, int outputRows, int outputColumns, int h, int w)
        {
            FromP = FirstWindow(g, h, g.R);
            EndP = Math.Min(outputRows, LastWindow(g, h) + 1);
            FromQ = FirstWindow(g, w, g.S);
            EndQ = Math.Min(outputColumns, LastWindow(g, w) + 1);
        }
    }

    /// <summary>dx[h,w] (+)= Σ over the windows on (h, w) that chose it, of dy</summary>
    private struct GatherFromLargest(Pool2dGeometry g, float* dy, float* taps, float* dx, int firstRow, bool accumulate) : IPoolKernel
    {
        private readonly Pool2dGeometry _g = g;
        private readonly int _p = g.P, _q = g.Q, _firstRow = firstRow;
        private readonly float* _dy = dy, _taps = taps, _dx = dx;
        private readonly bool _accumulate = accumulate;
        private CoveringWindows _windows;
        private int _h, _w;
        private float* _dyImage, _to;

        public void Locate(int n, int h, int w)
        {
            _windows.Locate(_g, _p, _q, h, w);
            (_h, _w) = (h, w);
            _dyImage = _dy + ((long)n * _p * _q * _g.C);
            _to = _dx + (((((long)n * _g.H) + h) * _g.W) + w) * _g.C;
        }

        public readonly void Run<V>(long image, long row, int c) where V : unmanaged
        {
            V sum = _accumulate ? Simd.Load<V>(_to + c) : Simd.Broadcast<V>(0);
            for (int p = _windows.FromP; p < _windows.EndP; p++)
            {
                int line = (_h + _g.Padding - (p * _g.Stride)) * _g.S;
                for (int q = _windows.FromQ; q < _windows.EndQ; q++)
                {
                    V here = Simd.Broadcast<V>(line + _w + _g.Padding - (q * _g.Stride)); // this pixel's tap in window (p, q)
                    V chosen = Simd.Load<V>(_taps + ((((long)(p - _firstRow) * _q) + q) * _g.C) + c);
                    V dy = Simd.Load<V>(_dyImage + ((((long)p * _q) + q) * _g.C) + c);
                    sum = Simd.Add(sum, Simd.SelectEqual(chosen, here, dy, Simd.Broadcast<V>(0)));
                }
            }
            Simd.Store(_to + c, sum);
        }
    }

    /// <summary>dx[h,w] (+)= Σ over the windows on (h, w), of dy / divisor</summary>
    private struct GatherAverage(Pool2dGeometry g, float* dy, float* dx, bool accumulate) : IPoolKernel
    {
        private readonly Pool2dGeometry _g = g;
        private readonly int _p = g.P, _q = g.Q;
        private readonly float* _dy = dy, _dx = dx;
        private readonly bool _accumulate = accumulate;
        private CoveringWindows _windows;
        private float* _dyImage, _to;

        public void Locate(int n, int h, int w)
        {
            _windows.Locate(_g, _p, _q, h, w);
            _dyImage = _dy + ((long)n * _p * _q * _g.C);
            _to = _dx + (((((long)n * _g.H) + h) * _g.W) + w) * _g.C;
        }

        public readonly void Run<V>(long image, long row, int c) where V : unmanaged
        {
            V sum = Simd.Broadcast<V>(0);
            float share = 1f / (_g.R * _g.S);
            for (int p = _windows.FromP; p < _windows.EndP; p++)
            for (int q = _windows.FromQ; q < _windows.EndQ; q++)
            {
                if (!_g.CountIncludePad)
                {
                    var window = default(PoolWindow);
                    window.Locate(_g, 0, p, q);
                    share = 1f / (window.Rows * window.Columns);
                }
                sum = Simd.Fma(Simd.Load<V>(_dyImage + ((((long)p * _q) + q) * _g.C) + c), Simd.Broadcast<V>(share), sum);
            }
            Simd.Store(_to + c, _accumulate ? Simd.Add(Simd.Load<V>(_to + c), sum) : sum);
        }
    }
}
