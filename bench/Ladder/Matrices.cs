using ILGPU;

namespace RefConv.Bench.Ladder;

/// <summary>What every step gets: C = A·B, three square matrices of a multiple of 128, row after row.</summary>
internal struct Matrices
{
    public ArrayView<float> A, B, C;
    public int Size;
}
