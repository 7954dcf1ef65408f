namespace RefConv.Kernels;

/// <summary>How factors are rounded for the tensor cores. A constant, as in <see cref="IProductTile"/>.</summary>
internal interface ITensorKind
{
    /// <summary>Two factors in a register, 16 terms in an instruction; otherwise one, and 8.</summary>
    bool IsPaired { get; }

    uint Single(float v);

    uint Pair(float low, float high);

    Float4 Multiply(Float4 c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1, nint a, nint b, int rowA, int termA, int columnB, int termB);

    /// <summary>The factor as it is multiplied; for the simulation.</summary>
    float Rounded(float v);
}

internal readonly struct Tf32Kind : ITensorKind
{
    public bool IsPaired => false;

    public uint Single(float v) => TensorCore.Tf32(v);

    public uint Pair(float low, float high) => 0;

    public Float4 Multiply(Float4 c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1, nint a, nint b, int rowA, int termA, int columnB, int termB) =>
        TensorCore.MultiplyTf32(c, a0, a1, a2, a3, b0, b1, a, b, rowA, termA, columnB, termB);

    public float Rounded(float v) => BitConverter.UInt32BitsToSingle(TensorCore.Tf32(v));
}

internal readonly struct BFloat16Kind : ITensorKind
{
    public bool IsPaired => true;

    public uint Single(float v) => 0;

    public uint Pair(float low, float high) => TensorCore.BFloat16Pair(low, high);

    public Float4 Multiply(Float4 c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1, nint a, nint b, int rowA, int termA, int columnB, int termB) =>
        TensorCore.MultiplyBFloat16(c, a0, a1, a2, a3, b0, b1, a, b, rowA, termA, columnB, termB);

    public float Rounded(float v) => BitConverter.UInt32BitsToSingle(TensorCore.BFloat16Pair(0, v) & 0xFFFF0000);
}

internal readonly struct Float16Kind : ITensorKind
{
    public bool IsPaired => true;

    public uint Single(float v) => 0;

    public uint Pair(float low, float high) => TensorCore.Float16Pair(low, high);

    public Float4 Multiply(Float4 c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1, nint a, nint b, int rowA, int termA, int columnB, int termB) =>
        TensorCore.MultiplyFloat16(c, a0, a1, a2, a3, b0, b1, a, b, rowA, termA, columnB, termB);

    public float Rounded(float v) => (float)(System.Half)v;
}
