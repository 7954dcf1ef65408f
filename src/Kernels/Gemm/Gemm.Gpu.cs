namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    /// <summary>A product is a convolution of size 1: in which direction, the transposes say.</summary>
    public void Gemm(in GemmGeometry g, BufferView a, BufferView b, BufferView c, bool accumulate)
    {
        if (g.M == 0 || g.N == 0) return;
        var epilogue = accumulate ? ProductEpilogue.AddTo(c) : default;
        bool isWide = IsProductWide(g.TransposeA ? g.M : g.K, g.N, a, b, c);
        switch (g.TransposeA, g.TransposeB)
        {
            case (false, false):
                RunProduct<ForwardForm, NarrowForwardForm>([ForwardArguments(new(1, 1, g.M, g.K, g.N, 1, 1), a, b)], 1, isWide, c, epilogue);
                break;
            case (false, true):
                RunProduct<InputGradientForm, NarrowInputGradientForm>(InputGradientArguments(new(1, 1, g.M, g.N, g.K, 1, 1), a, b), 1, isWide, c, epilogue);
                break;
            case (true, false):
                RunProduct<WeightGradientForm, NarrowWeightGradientForm>([WeightGradientArguments(new(1, 1, g.K, g.M, g.N, 1, 1), a, b)], 1, isWide, c, epilogue);
                break;
            case (true, true):
                // Cᵀ = B·A, written turned over.
                var turned = ForwardArguments(new(1, 1, g.N, g.K, g.M, 1, 1), b, a) with { PitchY = 1, ColumnY = g.N };
                RunProduct<ForwardForm, NarrowForwardForm>([turned], 1, isWide: false, c, epilogue);
                break;
        }
    }

    /// <summary>Whether the kernels with 128-bit access can be used: what is read or written in quads comes in fours and begins on 16 bytes.</summary>
    private static bool IsProductWide(int channels, int columns, params ReadOnlySpan<BufferView> operands) => ((channels | columns) & 3) == 0 && AreAligned(operands);
}
