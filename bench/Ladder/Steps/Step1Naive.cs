using ILGPU;
using RefConv.Kernels;

namespace RefConv.Bench.Ladder;

/// <summary>
/// A thread an element, and the definition. Neighbouring threads have neighbouring columns, so what a warp reads of B is one line of 128 bytes, and what it reads of A is one
/// float for all of it.
/// </summary>
/// <remarks>Two loads for each multiply-add, and a multiprocessor starts 32 lanes of loads a clock but 128 of arithmetic: at most 16 of 128, before waiting for memory.</remarks>
internal static class Step1Naive
{
    public static readonly Step Step = new("naive", "one thread an element", Multiply, 256, 16, 16, 0.06, "two loads a multiply-add: at most 1/8; most of them wait for the second-level cache");

    [GpuKernel(256)]
    private static void Multiply(Matrices m)
    {
        int row = (Grid.IdxY * 16) + (Group.IdxX / 16), column = (Grid.IdxX * 16) + (Group.IdxX % 16);
        float sum = 0;
        for (int k = 0; k < m.Size; k++) sum += m.A[(row * m.Size) + k] * m.B[(k * m.Size) + column];
        m.C[(row * m.Size) + column] = sum;
    }
}
