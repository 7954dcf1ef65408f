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
            nint below = (nint)_g.W * _g.C, next = _g.C;
            if (_window is { Rows: 3, Columns: 3 }) // nearly all windows there are, without loops of three
            {
                float* second = line + below, third = second + below;
                largest = Largest3(Largest3(Largest3(largest, line, next), second, next), third, next);
            }
            else
            {
                for (int r = 0; r < _window.Rows; r++, line += below)
                {
                    float* pixel = line;
                    for (int s = 0; s < _window.Columns; s++, pixel += next) largest = Simd.Max(largest, Simd.Load<V>(pixel));
                }
            }
            Simd.Store(_to + c, largest);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Largest3<V>(V largest, float* pixel, nint next) where V : unmanaged =>
        Simd.Max(Simd.Max(Simd.Max(largest, Simd.Load<V>(pixel)), Simd.Load<V>(pixel + next)), Simd.Load<V>(pixel + (2 * next)));

    /// <summary>
    /// Adds dy of one window to dx at the first largest element of it, in each lane its own, where that lies in rows [top, bottom). Which tap that is (its place in
    /// the window, row by row) is found first, as a float.
    /// </summary>
    private struct AddToLargest(Pool2dGeometry g, float* x, float* dy, float* dx, int top, int bottom) : IPoolKernel
    {
        private readonly Pool2dGeometry _g = g;
        private readonly int _p = g.P, _q = g.Q, _top = top, _bottom = bottom, _line = g.W * g.C;
        private readonly float* _x = x, _dy = dy, _dx = dx;
        private PoolWindow _window;
        private int _firstRow, _endRow; // of the window's rows inside the image, those in the band
        private float* _from;

        public void Locate(int n, int p, int q)
        {
            _window.Locate(_g, n, p, q);
            int h = (p * _g.Stride) - _g.Padding + _window.Top;
            (_firstRow, _endRow) = (Math.Max(0, _top - h), Math.Min(_window.Rows, _bottom - h));
            _from = _dy + (((((long)n * _p) + p) * _q) + q) * _g.C;
        }

        public readonly void Run<V>(long image, long row, int c) where V : unmanaged
        {
            float* line = _x + _window.First + c;
            int tap = (_window.Top * _g.S) + _window.Left;
            V largest = Simd.Load<V>(line), chosen = Simd.Broadcast<V>(tap);
            for (int r = 0; r < _window.Rows; r++, line += _line, tap += _g.S)
            {
                float* pixel = line;
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
            V dy = Simd.Load<V>(_from + c);
            tap = ((_window.Top + _firstRow) * _g.S) + _window.Left;
            float* to = _dx + _window.First + ((long)_firstRow * _line) + c;
            for (int r = _firstRow; r < _endRow; r++, to += _line, tap += _g.S)
            {
                float* pixel = to;
                for (int s = 0; s < _window.Columns; s++, pixel += _g.C)
                    Simd.Store(pixel, Simd.Add(Simd.Load<V>(pixel), Simd.SelectEqual(chosen, Simd.Broadcast<V>(tap + s), dy, Simd.Broadcast<V>(0))));
            }
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
