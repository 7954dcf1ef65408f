namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void AvgPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y)
    {
        for (int n = 0; n < g.N; n++)
        for (int p = 0; p < g.P; p++)
        for (int q = 0; q < g.Q; q++)
        for (int c = 0; c < g.C; c++)
        {
            double sum = 0;
            var window = new Window(g, p, q);
            for (int h = window.Top; h < window.Bottom; h++)
            for (int w = window.Left; w < window.Right; w++)
                sum += S(x)[PoolInput(g, n, h, w, c)];
            S(y)[PoolOutput(g, n, p, q, c)] = sum / window.Divisor;
        }
    }

    public void AvgPool2dBackward(in Pool2dGeometry g, BufferView dy, BufferView dx, bool accumulate)
    {
        if (!accumulate) S(dx).Clear();
        for (int n = 0; n < g.N; n++)
        for (int p = 0; p < g.P; p++)
        for (int q = 0; q < g.Q; q++)
        for (int c = 0; c < g.C; c++)
        {
            var window = new Window(g, p, q);
            for (int h = window.Top; h < window.Bottom; h++)
            for (int w = window.Left; w < window.Right; w++)
                S(dx)[PoolInput(g, n, h, w, c)] += S(dy)[PoolOutput(g, n, p, q, c)] / window.Divisor;
        }
    }

    public void MaxPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y)
    {
        for (int n = 0; n < g.N; n++)
        for (int p = 0; p < g.P; p++)
        for (int q = 0; q < g.Q; q++)
        for (int c = 0; c < g.C; c++)
            S(y)[PoolOutput(g, n, p, q, c)] = S(x)[FirstLargest(g, S(x), n, p, q, c)];
    }

    public void MaxPool2dBackward(in Pool2dGeometry g, BufferView x, BufferView dy, BufferView dx, bool accumulate)
    {
        if (!accumulate) S(dx).Clear();
        for (int n = 0; n < g.N; n++)
        for (int p = 0; p < g.P; p++)
        for (int q = 0; q < g.Q; q++)
        for (int c = 0; c < g.C; c++)
            S(dx)[FirstLargest(g, S(x), n, p, q, c)] += S(dy)[PoolOutput(g, n, p, q, c)];
    }

    /// <summary>Where the window's largest element is: the first of equals, row by row, and the first NaN if there is one.</summary>
    private static int FirstLargest(in Pool2dGeometry g, Span<double> x, int n, int p, int q, int c)
    {
        var window = new Window(g, p, q);
        int best = PoolInput(g, n, window.Top, window.Left, c);
        for (int h = window.Top; h < window.Bottom; h++)
        for (int w = window.Left; w < window.Right; w++)
        {
            int i = PoolInput(g, n, h, w, c);
            if (x[i] > x[best] || (double.IsNaN(x[i]) && !double.IsNaN(x[best]))) best = i;
        }
        return best;
    }

    private static int PoolInput(in Pool2dGeometry g, int n, int h, int w, int c) => (((((n * g.H) + h) * g.W) + w) * g.C) + c;

    private static int PoolOutput(in Pool2dGeometry g, int n, int p, int q, int c) => (((((n * g.P) + p) * g.Q) + q) * g.C) + c;

    /// <summary>The part of output (p, q)'s window that lies inside the image, and what an average divides by.</summary>
    private readonly struct Window(in Pool2dGeometry g, int p, int q)
    {
        private readonly int _whole = g.CountIncludePad ? g.R * g.S : 0;

        public int Top { get; } = Math.Max(0, (p * g.Stride) - g.Padding);

        public int Bottom { get; } = Math.Min(g.H, (p * g.Stride) - g.Padding + g.R);

        public int Left { get; } = Math.Max(0, (q * g.Stride) - g.Padding);

        public int Right { get; } = Math.Min(g.W, (q * g.Stride) - g.Padding + g.S);

        public int Divisor => _whole != 0 ? _whole : (Bottom - Top) * (Right - Left);
    }
}
