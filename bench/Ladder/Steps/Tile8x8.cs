using ILGPU;
using RefConv.Kernels;

namespace RefConv.Bench.Ladder;

/// <summary>
/// 8×8 results of a thread: two quads of rows, 64 apart, by two quads of columns, 64 apart, so that the sixteen threads of a half-warp read sixteen quads beside each other.
/// The tiles in shared memory are k-major, [k, 128]; A's has four floats more a row, so that storing it transposed meets every bank once.
/// </summary>
internal struct Tile8x8
{
    public const int Slab = 8, PitchA = 132, PitchB = 128, LengthA = Slab * PitchA, LengthB = Slab * PitchB;

    private Row _r0, _r1, _r2, _r3, _r4, _r5, _r6, _r7;

    /// <summary>Four loads of 128 bits and 64 multiply-adds for each of eight k.</summary>
    public void MultiplySlab(ArrayView<Float4> a, ArrayView<Float4> b, int y, int x)
    {
        for (int k = 0; k < Slab; k++)
        {
            Float4 a0 = a[(k * (PitchA / 4)) + y], a1 = a[(k * (PitchA / 4)) + 16 + y], b0 = b[(k * (PitchB / 4)) + x], b1 = b[(k * (PitchB / 4)) + 16 + x];
            _r0.Add(a0.X, b0, b1);
            _r1.Add(a0.Y, b0, b1);
            _r2.Add(a0.Z, b0, b1);
            _r3.Add(a0.W, b0, b1);
            _r4.Add(a1.X, b0, b1);
            _r5.Add(a1.Y, b0, b1);
            _r6.Add(a1.Z, b0, b1);
            _r7.Add(a1.W, b0, b1);
        }
    }

    public readonly void Store(ArrayView<float> c, int n, int row, int column)
    {
        var quads = c.Cast<Float4>();
        int at = ((row * n) + column) / 4, line = n / 4;
        _r0.Store(quads, at);
        _r1.Store(quads, at + line);
        _r2.Store(quads, at + (2 * line));
        _r3.Store(quads, at + (3 * line));
        _r4.Store(quads, at + (64 * line));
        _r5.Store(quads, at + (65 * line));
        _r6.Store(quads, at + (66 * line));
        _r7.Store(quads, at + (67 * line));
    }

    /// <summary>Puts a quad of A's row into the four rows of k of its tile.</summary>
    public static void StoreTransposed(ArrayView<float> tile, int k, int row, Float4 quad)
    {
        int at = (k * PitchA) + row;
        tile[at] = quad.X;
        tile[at + PitchA] = quad.Y;
        tile[at + (2 * PitchA)] = quad.Z;
        tile[at + (3 * PitchA)] = quad.W;
    }

    private struct Row
    {
        private Float4 _left, _right;

        public void Add(float a, Float4 b0, Float4 b1)
        {
            _left += a * b0;
            _right += a * b1;
        }

        public readonly void Store(ArrayView<Float4> c, int at)
        {
            c[at] = _left;
            c[at + 16] = _right;
        }
    }
}
