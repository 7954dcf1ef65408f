using ILGPU;
using RefConv.Kernels;

namespace RefConv.Bench.Ladder;

/// <summary>
/// 128×128 results a group, 8×8 a thread, and everything moves 128 bits at a time: one load brings a quad of A, one a quad of B; four loads from shared memory feed 64
/// multiply-adds. See <see cref="Tile8x8"/>.
/// </summary>
/// <remarks>Loads no longer bound it; what is left are the waits: for memory at the beginning of a slab, and at two barriers.</remarks>
internal static class Step4WideLoads
{
    public static readonly Step Step = new("wide", "8×8 results a thread, 128-bit loads and stores", Multiply, 256, 128, 128, 0.60, "a 1/16 load a multiply-add; all threads wait for each slab");

    [GpuKernel(256, MinGroups = 2, Hot = true, Wide = true)]
    private static void Multiply(Matrices m)
    {
        var a = SharedMemory.Allocate<float>(Tile8x8.LengthA);
        var b = SharedMemory.Allocate<float>(Tile8x8.LengthB);
        ArrayView<Float4> wideA = a.Cast<Float4>(), wideB = b.Cast<Float4>(), fromA = m.A.Cast<Float4>(), fromB = m.B.Cast<Float4>();
        int t = Group.IdxX, n = m.Size, row = Grid.IdxY * 128, column = Grid.IdxX * 128;
        // Two threads bring a row of A's tile, 32 a row of B's.
        int rowA = t / 2, quadA = t % 2, rowB = t / 32, quadB = t % 32;
        int atA = (((row + rowA) * n) / 4) + quadA, atB = ((rowB * n) + column) / 4 + quadB;
        Tile8x8 tile = default;
        for (int slab = 0; slab < n; slab += Tile8x8.Slab, atA += Tile8x8.Slab / 4, atB += Tile8x8.Slab * (n / 4))
        {
            Tile8x8.StoreTransposed(a, quadA * 4, rowA, fromA[atA]);
            wideB[t] = fromB[atB];
            Group.Barrier();
            tile.MultiplySlab(wideA, wideB, t / 16, t % 16);
            Group.Barrier();
        }
        tile.Store(m.C, n, row + (t / 16 * 4), column + (t % 16 * 4));
    }
}
