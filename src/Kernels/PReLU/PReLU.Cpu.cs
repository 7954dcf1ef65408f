using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void PReLUForward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView y) =>
        ForRows(new ChannelMap<PReLUFunction>(P(x), P(alpha), P(y), g.C, accumulate: false), 1, g.Rows, g.C);

    public void PReLUBackward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView dy, BufferView dx, BufferView dalpha, bool accumulateInput, bool accumulateAlpha)
    {
        if (!dalpha.IsEmpty)
        {
            using var totals = SumColumns(new PReLUSlopeSum(P(x), P(dy)), 1, g.Rows, g.C);
            WriteTotals(totals, 1, g.C, P(dalpha), 1, accumulateAlpha);
        }
        if (!dx.IsEmpty) ForRows(new PReLUInputGradient(P(x), P(alpha), P(dy), P(dx), g.C, accumulateInput), 1, g.Rows, g.C, backwards: true);
    }

    /// <summary>f(x, α) = x &gt; 0 ? x : α·x</summary>
    private readonly struct PReLUFunction : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x, V alpha) where V : unmanaged => Simd.SelectGreater(x, Simd.Broadcast<V>(0), x, Simd.Multiply(alpha, x));
    }

    /// <summary>dx (+)= x &gt; 0 ? dy : α·dy</summary>
    private readonly struct PReLUInputGradient(float* x, float* alpha, float* dy, float* dx, int channels, bool accumulate) : IRowKernel
    {
        private readonly float* _x = x, _alpha = alpha, _dy = dy, _dx = dx;
        private readonly int _channels = channels;
        private readonly bool _accumulate = accumulate;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            long at = (row * _channels) + c;
            V dy = Simd.Load<V>(_dy + at), d = Simd.SelectGreater(Simd.Load<V>(_x + at), Simd.Broadcast<V>(0), dy, Simd.Multiply(Simd.Load<V>(_alpha + c), dy));
            Simd.Store(_dx + at, _accumulate ? Simd.Add(Simd.Load<V>(_dx + at), d) : d);
        }
    }

    /// <summary>Σ min(x, 0)·dy</summary>
    private readonly struct PReLUSlopeSum(float* x, float* dy) : IColumnSum
    {
        private readonly float* _x = x, _dy = dy;

        public int Sums => 1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<V>(long at, int c, float* sums, int stride) where V : unmanaged =>
            Simd.Store(sums + c, Simd.Fma(Simd.Min(Simd.Load<V>(_x + at), Simd.Broadcast<V>(0)), Simd.Load<V>(_dy + at), Simd.Load<V>(sums + c)));
    }
}
