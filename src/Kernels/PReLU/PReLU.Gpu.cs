using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void PReLUForward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView y)
    {
        bool wide = g.C % 4 == 0 && AreAligned(x, alpha, y);
        var work = Columns(g.Rows, wide ? g.C / 4 : g.C);
        LaunchColumns(wide ? PReLUKernel<Float4> : PReLUKernel<Float1>, work, new PReLUArguments { Work = work, X = V(x), Alpha = V(alpha), Y = V(y) });
    }

    public void PReLUBackward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView dy, BufferView dx, BufferView dalpha, bool accumulateInput, bool accumulateAlpha)
    {
        bool wide = g.C % 4 == 0 && AreAligned(x, alpha, dy, dx);
        var work = Columns(g.Rows, wide ? g.C / 4 : g.C);
        using var partials = ColumnPartials(work, g.C);
        LaunchColumns(wide ? ColumnSumsKernel<PReLUTerm<Float4>, Float4> : ColumnSumsKernel<PReLUTerm<Float1>, Float1>, work, new ColumnSumArguments
        {
            Work = work, X = V(x), Y = V(default), Dy = V(dy), Dx = V(dx), HasDx = dx.IsEmpty ? 0 : 1, Accumulate = accumulateInput ? 1 : 0,
            Mean = V(default), Factor = V(alpha), Gamma = V(default), Beta = V(default), Partials = partials.Floats,
        });
        if (!dalpha.IsEmpty) FinishSums(work, partials, g.C, dalpha, default, accumulateAlpha);
    }

    internal struct PReLUArguments
    {
        public ColumnWork Work;
        public ArrayView<float> X, Alpha, Y;
    }

    /// <summary>Reads x and writes y, which may be x: 8 bytes an element, ceiling 3.35 TB/s, expected 90 %.</summary>
    [GpuKernel(ColumnWork.Threads, MinGroups = 4, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4))]
    [GpuVariant(typeof(Float1))]
    private static void PReLUKernel<F>(PReLUArguments a) where F : unmanaged, ILanes<F>
    {
        var t = ColumnThread.Of(a.Work);
        if (t.Count == 0) return;
        ArrayView<F> xs = a.X.Cast<F>(), ys = a.Y.Cast<F>();
        F alpha = a.Alpha.Cast<F>()[t.Column], zero = F.Broadcast(0);
        long i = t.First;
        for (; i + t.Step < t.End; i += 2 * t.Step)
        {
            F x0 = xs[i], x1 = xs[i + t.Step];
            ys[i] = F.AtMost(x0, zero, alpha * x0, x0);
            ys[i + t.Step] = F.AtMost(x1, zero, alpha * x1, x1);
        }
        if (i >= t.End) return;
        F last = xs[i];
        ys[i] = F.AtMost(last, zero, alpha * last, last);
    }
}

/// <summary>Sum 0: Σ min(x, 0)·dy, the gradient of a slope; writes dx on the way: x and dy are read once for both. Factor is α.</summary>
internal struct PReLUTerm<F> : IColumnTerm<F> where F : unmanaged, ILanes<F>
{
    private F _alpha;

    public void Begin(in ColumnSumArguments a, int column) => _alpha = a.Factor.Cast<F>()[column];

    public readonly void Load(in ColumnSumArguments a, long row, long i, ref ColumnElement<F> element)
    {
        element.X = a.X.Cast<F>()[i];
        element.Dy = a.Dy.Cast<F>()[i];
        if (a.Accumulate != 0 && a.HasDx != 0) element.Y = a.Dx.Cast<F>()[i];
        else element.Y = F.Broadcast(0);
    }

    public readonly void Add(in ColumnSumArguments a, long i, in ColumnElement<F> element, ref F sum0, ref F sum1)
    {
        F zero = F.Broadcast(0);
        if (a.HasDx != 0) a.Dx.Cast<F>()[i] = element.Y + F.AtMost(element.X, zero, _alpha * element.Dy, element.Dy);
        sum0 += F.AtMost(element.X, zero, element.X * element.Dy, zero);
    }
}
