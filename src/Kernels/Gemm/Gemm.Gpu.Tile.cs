namespace RefConv.Kernels;

/// <summary>Size of the part of a result that one group of threads computes. Known when a kernel is compiled, so that everything derived from it folds.</summary>
internal interface IProductTile
{
    /// <summary>log₂ of its rows.</summary>
    int LogRows { get; }

    /// <summary>log₂ of its columns.</summary>
    int LogColumns { get; }
}

/// <summary>128×128 by 256 threads: 32 multiplications to a float that is read from the level-2 cache.</summary>
internal readonly struct LargeTile : IProductTile
{
    public int LogRows => 7;

    public int LogColumns => 7;
}

/// <summary>64×64 by 64 threads, where there are too few large ones to keep the device busy.</summary>
internal readonly struct MediumTile : IProductTile
{
    public int LogRows => 6;

    public int LogColumns => 6;
}

/// <summary>128×32 by 64 threads: few output channels, many pixels.</summary>
internal readonly struct ThinTile : IProductTile
{
    public int LogRows => 7;

    public int LogColumns => 5;
}

/// <summary>
/// What a tile's threads do. Each has 8×8 sums: 4 rows of the upper half and 4 of the lower, 4 columns left and 4 right, so that 128-bit reads of a warp meet no
/// bank twice. A step takes 8 terms of every sum.
/// </summary>
internal static class Tile<TTile> where TTile : struct, IProductTile
{
    /// <summary>Terms of a step.</summary>
    public const int Depth = 8;

    public static int Rows => 1 << default(TTile).LogRows;

    public static int Columns => 1 << default(TTile).LogColumns;

    /// <summary>Floats between two terms in shared memory: 4 more than rows (columns), so that the four values of a transposed quad go to different banks.</summary>
    public static int PitchA => Rows + 4;

    public static int PitchB => Columns + 4;

    /// <summary>Floats of one of the two buffers.</summary>
    public static int BufferA => Depth * PitchA;

    public static int BufferB => Depth * PitchB;

    /// <summary>Quads of the left factor that a thread loads in a step: 8 · rows of them by rows · columns / 64 threads, 4 floats at a time.</summary>
    public static int LoadsA => 1 << (7 - default(TTile).LogColumns);

    public static int LoadsB => 1 << (7 - default(TTile).LogRows);

    /// <summary>log₂ of threads in a row of the tile.</summary>
    private static int LogThreadColumns => default(TTile).LogColumns - 3;

    /// <summary>Which quad of columns a thread has in each half. A warp is 4×8 threads where the tile is that wide: it reads 64 and 128 different bytes.</summary>
    public static int Column(int thread) => LogThreadColumns <= 3
        ? thread & ((1 << LogThreadColumns) - 1)
        : (thread & 7) | ((thread >> 2) & 8);

    /// <summary>Which quad of rows.</summary>
    public static int Row(int thread) => LogThreadColumns <= 3
        ? thread >> LogThreadColumns
        : ((thread >> 3) & 3) | ((thread >> 6) << 2);
}

/// <summary>64 sums of a thread. Fields, not an array: they must be registers. Left and right quads of 8 rows.</summary>
internal struct Sums
{
    public Float4 L0, L1, L2, L3, L4, L5, L6, L7;
    public Float4 R0, R1, R2, R3, R4, R5, R6, R7;

    /// <summary>Adds the products of 8 rows and 8 columns.</summary>
    public void Add(Float4 upper, Float4 lower, Float4 left, Float4 right)
    {
        L0 += upper.X * left;
        R0 += upper.X * right;
        L1 += upper.Y * left;
        R1 += upper.Y * right;
        L2 += upper.Z * left;
        R2 += upper.Z * right;
        L3 += upper.W * left;
        R3 += upper.W * right;
        L4 += lower.X * left;
        R4 += lower.X * right;
        L5 += lower.Y * left;
        R5 += lower.Y * right;
        L6 += lower.Z * left;
        R6 += lower.Z * right;
        L7 += lower.W * left;
        R7 += lower.W * right;
    }

    /// <summary>
    /// The next row comes first. What is done with a result is much code (activations), and would be there 64 times were it written for every register; a loop
    /// cannot index registers, but the registers can pass by the loop.
    /// </summary>
    public void Rotate()
    {
        L0 = L1;
        L1 = L2;
        L2 = L3;
        L3 = L4;
        L4 = L5;
        L5 = L6;
        L6 = L7;
        R0 = R1;
        R1 = R2;
        R2 = R3;
        R3 = R4;
        R4 = R5;
        R5 = R6;
        R6 = R7;
    }
}

/// <summary>What a thread has loaded for the next step; how many are used depends on the tile.</summary>
internal struct Quads
{
    public Float4 Q0, Q1, Q2, Q3;
}
