using ILGPU;
using RefConv.Kernels;

namespace RefConv.Bench.Ladder;

/// <summary>
/// A thread has a 4×4 tile of C in registers: eight loads from shared memory make sixteen multiply-adds. The tile is sixteen named floats, since ILGPU unrolls no loop and an
/// array that is indexed by a loop's variable would live in memory.
/// </summary>
/// <remarks>Half a load a multiply-add: the bound is 64 of 128 multiply-adds a clock. Columns are 16 apart, so that the threads of a warp read 16 banks beside each other.</remarks>
internal static class Step3RegisterTiles
{
    public static readonly Step Step = new("registers", "4×4 results a thread", Multiply, 256, 64, 64, 0.35, "half a load a multiply-add: at most 1/2");

    [GpuKernel(256, MinGroups = 2, Hot = true)]
    private static void Multiply(Matrices m)
    {
        var a = SharedMemory.Allocate<float>(64 * 17); // [rows, k], one more: rows in different banks
        var b = SharedMemory.Allocate<float>(16 * 64); // [k, columns]
        int t = Group.IdxX, y = t / 16, x = t % 16, n = m.Size, row = Grid.IdxY * 64, column = Grid.IdxX * 64;
        Row r0 = default, r1 = default, r2 = default, r3 = default;
        for (int slab = 0; slab < n; slab += 16)
        {
            for (int i = t; i < 1024; i += 256) a[((i / 16) * 17) + (i % 16)] = m.A[((row + (i / 16)) * n) + slab + (i % 16)];
            for (int i = t; i < 1024; i += 256) b[i] = m.B[((slab + (i / 64)) * n) + column + (i % 64)];
            Group.Barrier();
            for (int k = 0; k < 16; k++)
            {
                float b0 = b[(k * 64) + x], b1 = b[(k * 64) + 16 + x], b2 = b[(k * 64) + 32 + x], b3 = b[(k * 64) + 48 + x];
                r0.Add(a[(y * 17) + k], b0, b1, b2, b3);
                r1.Add(a[((16 + y) * 17) + k], b0, b1, b2, b3);
                r2.Add(a[((32 + y) * 17) + k], b0, b1, b2, b3);
                r3.Add(a[((48 + y) * 17) + k], b0, b1, b2, b3);
            }
            Group.Barrier();
        }
        r0.Store(m.C, ((row + y) * n) + column + x);
        r1.Store(m.C, ((row + 16 + y) * n) + column + x);
        r2.Store(m.C, ((row + 32 + y) * n) + column + x);
        r3.Store(m.C, ((row + 48 + y) * n) + column + x);
    }

    private struct Row
    {
        public float C0, C1, C2, C3;

        public void Add(float a, float b0, float b1, float b2, float b3)
        {
            C0 += a * b0;
            C1 += a * b1;
            C2 += a * b2;
            C3 += a * b3;
        }

        public readonly void Store(ArrayView<float> c, int at)
        {
            c[at] = C0;
            c[at + 16] = C1;
            c[at + 32] = C2;
            c[at + 48] = C3;
        }
    }
}
