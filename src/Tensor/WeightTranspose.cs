using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RefConv;

/// <summary>The change of order that almost all weights need: <c>[out, in, kh·kw]</c> in files, <c>[kh·kw, in, out]</c> in memory.</summary>
internal static unsafe class WeightTranspose
{
    /// <summary>Outputs that make a cache line of floats.</summary>
    public const int Line = 16;

    /// <summary>Rows and elements of a row that are turned round at a time: they stay in the first-level cache, and four cache lines are written side by side.</summary>
    private const int Tile = 64;

    /// <summary>
    /// Floats from one row of a tile to the next. Rows of a file lie a multiple of a large power of two apart more often than not, so that a column of them would fall into a
    /// few sets of the cache; in a tile it does not.
    /// </summary>
    private const int TileStride = Tile + Line;

    /// <summary>File order to memory order; both dense.</summary>
    public static void ToMemory<T>(T* torch, T* memory, int rows, int columns, int area)
        where T : unmanaged
    {
        long stride = (long)columns * area, plane = (long)columns * rows;
        if (typeof(T) == typeof(float))
        {
            ToMemory((float*)torch, stride, (float*)memory, rows, plane, rows, columns, area, streamed: false);
            return;
        }
        for (int row = 0; row < rows; row++)
        {
            for (long i = 0; i < stride; i++) memory[(i % area * plane) + (i / area * rows) + row] = torch[(row * stride) + i];
        }
    }

    /// <summary>File order to memory order, of some rows and columns.</summary>
    /// <param name="torch">[rows, columns, area], a row every <paramref name="stride"/> elements.</param>
    /// <param name="stride">From row to row in the file: columns·area of the whole matrix.</param>
    /// <param name="memory">[area, columns, rows].</param>
    /// <param name="pitch">From column to column in memory: rows of the whole matrix.</param>
    /// <param name="plane">From one place in the kernel to the next: columns·rows of the whole matrix.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs of a group.</param>
    /// <param name="area">Places in the kernel.</param>
    /// <param name="streamed">Write past the caches: rows must be whole lines, and begin at one.</param>
    public static void ToMemory(float* torch, long stride, float* memory, long pitch, long plane, int rows, int columns, int area, bool streamed)
    {
        float* tile = stackalloc float[Tile * TileStride];
        int run = columns * area;
        for (int row = 0; row < rows; row += Tile)
        {
            int height = Math.Min(Tile, rows - row);
            for (int first = 0; first < run; first += Tile)
            {
                int width = Math.Min(Tile, run - first);
                for (int r = 0; r < height; r++) new ReadOnlySpan<float>(torch + ((row + r) * stride) + first, width).CopyTo(new Span<float>(tile + (r * TileStride), width));
                TurnRound(tile, width, height, memory + row, pitch, plane, first, area, streamed);
            }
        }
    }

    /// <summary>Memory order to file order; both dense.</summary>
    public static void ToTorch<T>(T* memory, T* torch, int rows, int columns, int area)
        where T : unmanaged
    {
        long stride = (long)columns * area;
        for (int row = 0; row < rows; row += Line)
        {
            int count = Math.Min(Line, rows - row);
            for (int column = 0; column < columns; column++)
            {
                T* to = torch + (row * stride) + ((long)column * area);
                for (int place = 0; place < area; place++)
                {
                    T* from = memory + ((((long)place * columns) + column) * rows) + row;
                    for (int i = 0; i < count; i++) to[(i * stride) + place] = from[i];
                }
            }
        }
    }

    /// <summary>Writes the columns of a tile, the first of which is element <paramref name="first"/> of its rows, each to its place in memory.</summary>
    private static void TurnRound(float* tile, int width, int height, float* memory, long pitch, long plane, int first, int area, bool streamed)
    {
        const int Most = 4;
        var (column, place) = Math.DivRem(first, area);
        float** to = stackalloc float*[Most];
        for (int i = 0; i < width; i += Most)
        {
            int count = Math.Min(Most, width - i);
            for (int k = 0; k < count; k++)
            {
                to[k] = memory + (place * plane) + (column * pitch);
                if (++place < area) continue;
                place = 0;
                column++;
            }
            int done = count == Most && Sse.IsSupported ? FourColumns(tile + i, height, to[0], to[1], to[2], to[3], streamed) : 0;
            for (int k = 0; k < count; k++)
            {
                for (int row = done; row < height; row++) to[k][row] = tile[(row * TileStride) + i + k];
            }
        }
    }

    /// <summary>Four columns of a tile, four rows at a time in registers.</summary>
    /// <returns>Rows done: the largest multiple of four.</returns>
    private static int FourColumns(float* tile, int height, float* to0, float* to1, float* to2, float* to3, bool streamed)
    {
        int row = 0;
        for (; row <= height - 4; row += 4, tile += 4 * TileStride)
        {
            Vector128<float> a = Vector128.Load(tile), b = Vector128.Load(tile + TileStride), c = Vector128.Load(tile + (2 * TileStride)), d = Vector128.Load(tile + (3 * TileStride));
            Vector128<float> ab01 = Sse.UnpackLow(a, b), cd01 = Sse.UnpackLow(c, d), ab23 = Sse.UnpackHigh(a, b), cd23 = Sse.UnpackHigh(c, d);
            Vector128<float> v0 = Sse.MoveLowToHigh(ab01, cd01), v1 = Sse.MoveHighToLow(cd01, ab01), v2 = Sse.MoveLowToHigh(ab23, cd23), v3 = Sse.MoveHighToLow(cd23, ab23);
            if (streamed)
            {
                v0.StoreAlignedNonTemporal(to0 + row);
                v1.StoreAlignedNonTemporal(to1 + row);
                v2.StoreAlignedNonTemporal(to2 + row);
                v3.StoreAlignedNonTemporal(to3 + row);
                continue;
            }
            v0.Store(to0 + row);
            v1.Store(to1 + row);
            v2.Store(to2 + row);
            v3.Store(to3 + row);
        }
        return row;
    }
}
