using ILGPU;
using RefConv.Kernels;

namespace RefConv.Bench.Ladder;

/// <summary>
/// The tensor cores: one instruction of a warp multiplies 16×8 by 8×8 numbers. A warp computes 64×32 of the 128×128, four by four such products for every eight k, and the factors are
/// rounded to TF32 (10 bits of mantissa) on their way from shared memory to registers. Everything else is step 5.
/// </summary>
/// <remarks>
/// Who holds what is fixed: lane l has of A the rows l/4 and l/4 + 8 at k = l%4 and l%4 + 4, of B the column l/4 at the same k, and of the result the columns 2·(l%4) and the next in its two
/// rows. A row of the tiles is 136 floats long, 8 more than a multiple of the 32 banks, so that the eight rows and four k which a warp reads at a time lie in 32 different banks.
/// What bounds it: 24 reads of 128 bytes from shared memory for 16 products of 2048 FLOP. Those reads take 24 clocks of a multiprocessor, the products 16 at the full rate that an H100
/// reaches only with instructions ILGPU cannot emit (wgmma), and about 27 with these.
/// </remarks>
internal static class Step6TensorCores
{
    private const int Slab = 8, Pitch = 136, Length = Slab * Pitch;

    public static readonly Step Step = new("tensor", "16×8×8 products of a warp in TF32", Multiply, 256, 128, 128, 0.4, "shared memory feeds the tensor cores at two thirds of what this instruction can take")
    {
        Peak = 495,
        Accuracy = 1e-3, // each factor is off by 2⁻¹¹ at most
        CudaOnly = true,
    };

    [GpuKernel(256, MinGroups = 2, Hot = true, Uses = "mma.sync.aligned.m16n8k8,cvt.rna.tf32,ld.global.v4.f32", CudaOnly = true)]
    private static void Multiply(Matrices m)
    {
        var a = SharedMemory.Allocate<float>(2 * Length);
        var b = SharedMemory.Allocate<float>(2 * Length);
        ArrayView<Float4> wideB = b.Cast<Float4>(), fromA = m.A.Cast<Float4>(), fromB = m.B.Cast<Float4>();
        int t = Group.IdxX, n = m.Size, row = Grid.IdxY * 128, column = Grid.IdxX * 128;
        int rowA = t / 2, quadA = t % 2, rowB = t / 32, quadB = t % 32;
        int atA = (((row + rowA) * n) / 4) + quadA, atB = (((rowB * n) + column) / 4) + quadB;
        int warpRow = ((t >> 5) & 1) * 64, warpColumn = (t >> 6) * 32;
        StoreTransposed(a, quadA * 4, rowA, fromA[atA]);
        wideB[(rowB * (Pitch / 4)) + quadB] = fromB[atB];
        Group.Barrier();
        Tile tile = default;
        int half = 0;
        for (int slab = Slab; slab < n; slab += Slab)
        {
            atA += Slab / 4;
            atB += Slab * (n / 4);
            Float4 nextA = fromA[atA], nextB = fromB[atB];
            tile.MultiplySlab(a, b, (half * Length) + warpRow, (half * Length) + warpColumn);
            half = 1 - half;
            StoreTransposed(a, (half * Slab) + (quadA * 4), rowA, nextA);
            wideB[(((half * Slab) + rowB) * (Pitch / 4)) + quadB] = nextB;
            Group.Barrier();
        }
        tile.MultiplySlab(a, b, (half * Length) + warpRow, (half * Length) + warpColumn);
        tile.Store(m.C, n, row + warpRow, column + warpColumn);
    }

    private static void StoreTransposed(ArrayView<float> tile, int k, int row, Float4 quad)
    {
        int at = (k * Pitch) + row;
        tile[at] = quad.X;
        tile[at + Pitch] = quad.Y;
        tile[at + (2 * Pitch)] = quad.Z;
        tile[at + (3 * Pitch)] = quad.W;
    }

    /// <summary>64×32 results of a warp: four rows of products.</summary>
    private struct Tile
    {
        private Row _r0, _r1, _r2, _r3;

        /// <summary>Eight k. Column parts of B are loaded once, row parts of A for each row of products.</summary>
        public void MultiplySlab(ArrayView<float> a, ArrayView<float> b, int originA, int originB)
        {
            int line = Warp.LaneIdx >> 2, k = (Warp.LaneIdx & 3) * Pitch;
            Columns columns = default;
            columns.Load(b, originB, k + line);
            _r0.Add(a, originA, k + line, b, originB, columns);
            _r1.Add(a, originA + 16, k + line, b, originB, columns);
            _r2.Add(a, originA + 32, k + line, b, originB, columns);
            _r3.Add(a, originA + 48, k + line, b, originB, columns);
        }

        public readonly void Store(ArrayView<float> c, int n, int row, int column)
        {
            int at = ((row + (Warp.LaneIdx >> 2)) * n) + column + (2 * (Warp.LaneIdx & 3));
            _r0.Store(c, n, at);
            _r1.Store(c, n, at + (16 * n));
            _r2.Store(c, n, at + (32 * n));
            _r3.Store(c, n, at + (48 * n));
        }
    }

    /// <summary>This lane's part of four times 8 columns of B.</summary>
    private struct Columns
    {
        public uint X0, X1, Y0, Y1, Z0, Z1, W0, W1;

        public void Load(ArrayView<float> b, int origin, int part)
        {
            int at = origin + part;
            X0 = TensorCore.Tf32(b[at]);
            X1 = TensorCore.Tf32(b[at + (4 * Pitch)]);
            Y0 = TensorCore.Tf32(b[at + 8]);
            Y1 = TensorCore.Tf32(b[at + 8 + (4 * Pitch)]);
            Z0 = TensorCore.Tf32(b[at + 16]);
            Z1 = TensorCore.Tf32(b[at + 16 + (4 * Pitch)]);
            W0 = TensorCore.Tf32(b[at + 24]);
            W1 = TensorCore.Tf32(b[at + 24 + (4 * Pitch)]);
        }
    }

    /// <summary>16×32 results: this lane's part of four products.</summary>
    private struct Row
    {
        private Float4 _x, _y, _z, _w;

        public void Add(ArrayView<float> a, int originA, int part, ArrayView<float> b, int originB, Columns columns)
        {
            int at = originA + part;
            uint a0 = TensorCore.Tf32(a[at]), a1 = TensorCore.Tf32(a[at + 8]), a2 = TensorCore.Tf32(a[at + (4 * Pitch)]), a3 = TensorCore.Tf32(a[at + 8 + (4 * Pitch)]);
            nint left = TensorCore.Address(ref a[originA]); // the simulation multiplies from there: see TensorCore
            _x = TensorCore.MultiplyTf32(_x, a0, a1, a2, a3, columns.X0, columns.X1, left, TensorCore.Address(ref b[originB]), 1, Pitch, 1, Pitch);
            _y = TensorCore.MultiplyTf32(_y, a0, a1, a2, a3, columns.Y0, columns.Y1, left, TensorCore.Address(ref b[originB + 8]), 1, Pitch, 1, Pitch);
            _z = TensorCore.MultiplyTf32(_z, a0, a1, a2, a3, columns.Z0, columns.Z1, left, TensorCore.Address(ref b[originB + 16]), 1, Pitch, 1, Pitch);
            _w = TensorCore.MultiplyTf32(_w, a0, a1, a2, a3, columns.W0, columns.W1, left, TensorCore.Address(ref b[originB + 24]), 1, Pitch, 1, Pitch);
        }

        public readonly void Store(ArrayView<float> c, int n, int at)
        {
            StorePair(c, n, at, _x);
            StorePair(c, n, at + 8, _y);
            StorePair(c, n, at + 16, _z);
            StorePair(c, n, at + 24, _w);
        }

        private static void StorePair(ArrayView<float> c, int n, int at, Float4 v)
        {
            var pairs = c.Cast<Float2>();
            pairs[at / 2] = new() { X = v.X, Y = v.Y };
            pairs[(at / 2) + (4 * n)] = new() { X = v.Z, Y = v.W };
        }
    }
}
