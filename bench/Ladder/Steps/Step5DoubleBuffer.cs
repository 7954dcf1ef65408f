using ILGPU;
using RefConv.Kernels;

namespace RefConv.Bench.Ladder;

/// <summary>
/// Two slabs in shared memory: while one is multiplied the next is on its way from memory to registers, and then goes where nobody reads. One barrier a slab, and nobody waits
/// for memory.
/// </summary>
/// <remarks>What is left: the four instructions of loads for 64 of arithmetic, the loop, and two registers a multiply-add from banks that collide now and then.</remarks>
internal static class Step5DoubleBuffer
{
    public static readonly Step Step = new("double", "the next slab is loaded while this one is multiplied", Multiply, 256, 128, 128, 0.75, "loads of memory are hidden; instructions beside the arithmetic are left");

    [GpuKernel(256, MinGroups = 2, Hot = true, Wide = true)]
    private static void Multiply(Matrices m)
    {
        var a = SharedMemory.Allocate<float>(2 * Tile8x8.LengthA);
        var b = SharedMemory.Allocate<float>(2 * Tile8x8.LengthB);
        ArrayView<Float4> wideA = a.Cast<Float4>(), wideB = b.Cast<Float4>(), fromA = m.A.Cast<Float4>(), fromB = m.B.Cast<Float4>();
        int t = Group.IdxX, n = m.Size, row = Grid.IdxY * 128, column = Grid.IdxX * 128;
        int rowA = t / 2, quadA = t % 2, rowB = t / 32, quadB = t % 32;
        int atA = (((row + rowA) * n) / 4) + quadA, atB = ((rowB * n) + column) / 4 + quadB;
        Tile8x8.StoreTransposed(a, quadA * 4, rowA, fromA[atA]);
        wideB[t] = fromB[atB];
        Group.Barrier();
        Tile8x8 tile = default;
        int half = 0; // where the slab that is multiplied lies
        for (int slab = Tile8x8.Slab; slab < n; slab += Tile8x8.Slab)
        {
            atA += Tile8x8.Slab / 4;
            atB += Tile8x8.Slab * (n / 4);
            Float4 nextA = fromA[atA], nextB = fromB[atB]; // asked for now, waited for after the products
            tile.MultiplySlab(wideA, wideB, (half * (Tile8x8.LengthA / 4)) + (t / 16), (half * (Tile8x8.LengthB / 4)) + (t % 16));
            half = 1 - half;
            Tile8x8.StoreTransposed(a, (half * Tile8x8.Slab) + (quadA * 4), rowA, nextA);
            wideB[(half * (Tile8x8.LengthB / 4)) + t] = nextB;
            Group.Barrier();
        }
        tile.MultiplySlab(wideA, wideB, (half * (Tile8x8.LengthA / 4)) + (t / 16), (half * (Tile8x8.LengthB / 4)) + (t % 16));
        tile.Store(m.C, n, row + (t / 16 * 4), column + (t % 16 * 4));
    }
}
