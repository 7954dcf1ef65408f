using ILGPU;
using RefConv.Kernels;

namespace RefConv.Bench.Ladder;

/// <summary>
/// A group brings a 16×16 tile of A and of B to shared memory, and all its threads use them: each float comes from memory once for sixteen uses. The first barrier waits for
/// the tile to be there, the second for everyone to be done with it.
/// </summary>
/// <remarks>Memory is read a sixteenth as often, but a multiply-add still has two loads, from shared memory now: the bound of 1/8 stays, the waiting goes.</remarks>
internal static class Step2SharedTiles
{
    public static readonly Step Step = new("shared", "tiles in shared memory", Multiply, 256, 16, 16, 0.10, "two loads a multiply-add still, but from shared memory: close to 1/8");

    [GpuKernel(256, Hot = true)]
    private static void Multiply(Matrices m)
    {
        var a = SharedMemory.Allocate<float>(256);
        var b = SharedMemory.Allocate<float>(256);
        int y = Group.IdxX / 16, x = Group.IdxX % 16, row = (Grid.IdxY * 16) + y, column = (Grid.IdxX * 16) + x;
        float sum = 0;
        for (int slab = 0; slab < m.Size; slab += 16)
        {
            a[Group.IdxX] = m.A[(row * m.Size) + slab + x];
            b[Group.IdxX] = m.B[((slab + y) * m.Size) + column];
            Group.Barrier();
            for (int k = 0; k < 16; k++) sum += a[(y * 16) + k] * b[(k * 16) + x];
            Group.Barrier();
        }
        m.C[(row * m.Size) + column] = sum;
    }
}
