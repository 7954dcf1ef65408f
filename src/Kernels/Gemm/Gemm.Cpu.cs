using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Gemm(in GemmGeometry g, BufferView a, BufferView b, BufferView c, bool accumulate)
    {
        switch (Simd.MaxWidth)
        {
            case 16: Gemm<Vector512<float>>(g, P(a), P(b), P(c), accumulate); break;
            case 8: Gemm<Vector256<float>>(g, P(a), P(b), P(c), accumulate); break;
            case 4: Gemm<Vector128<float>>(g, P(a), P(b), P(c), accumulate); break;
            default: Gemm<float>(g, P(a), P(b), P(c), accumulate); break;
        }
    }

    /// <summary>
    /// A matrix product is a 1×1 convolution of M pixels from K to N channels, and with A transposed it is that convolution's weight gradient: both
    /// reuse the convolution's loops. See <c>Conv2d.Cpu.Gather.cs</c> and <c>Conv2d.Cpu.WeightGradient.cs</c>.
    /// </summary>
    private void Gemm<V>(in GemmGeometry g, float* a, float* b, float* c, bool accumulate) where V : unmanaged
    {
        Tap tap;
        if (g.TransposeA && !g.TransposeB)
        {
            OuterProduct<V>(PixelMap.Identity(g.K, g.M, g.N, &tap), groups: 1, a, b, c, accumulate);
            return;
        }
        using var rows = _device.Scratch(g.TransposeA ? (long)g.M * g.K : 0); // [M, K]
        if (g.TransposeA)
        {
            Transpose(a, g.K, g.M, rows.Pointer);
            a = rows.Pointer;
        }
        var layout = g.TransposeB ? new WeightLayout(0, RowStride: 1, ColumnStride: g.K, 0) : new WeightLayout(0, RowStride: g.N, ColumnStride: 1, 0);
        GatherProduct<V>(PixelMap.Identity(g.M, g.K, g.N, &tap), groups: 1, a, b, layout, bias: null, c, accumulate);
    }

    /// <summary>to[column, row] = from[row, column], in squares of 16 so that lines of both matrices are used while they are in the cache.</summary>
    private void Transpose(float* from, int rows, int columns, float* to) => ParallelRange(Pieces(columns, 16), 4, (first, last) =>
    {
        for (int row = 0; row < rows; row += 16)
        for (int column = (int)first * 16; column < Math.Min(columns, last * 16); column++)
        for (int i = row; i < Math.Min(rows, row + 16); i++)
        {
            to[((long)column * rows) + i] = from[((long)i * columns) + column];
        }
    });
}
