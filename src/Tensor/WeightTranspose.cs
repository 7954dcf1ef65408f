using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RefConv;

/// <summary>The change of order that almost all weights need: <c>[out, in, kh·kw]</c> in files, <c>[kh·kw, in, out]</c> in memory.</summary>
internal static unsafe class WeightTranspose
{
    /// <summary>Outputs that make a cache line of floats.</summary>
    public const int Line = 16;

    /// <summary>Rows that are turned round at a time: two cache lines are written side by side.</summary>
    public const int Rows = 2 * Line;

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
        for (int row = 0; row < rows; row += Rows)
            TurnRound(torch + (row * stride), stride, memory + row, pitch, plane, Math.Min(Rows, rows - row), columns * area, area, streamed);
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

    /// <summary>Some rows of the file: each of their <paramref name="run"/> columns goes to one place in memory.</summary>
    private static void TurnRound(float* torch, long stride, float* memory, long pitch, long plane, int height, int run, int area, bool streamed)
    {
        const int Most = 4;
        float** to = stackalloc float*[Most];
        float* next = memory;
        int place = 0;
        for (int i = 0; i < run; i += Most)
        {
            int count = Math.Min(Most, run - i);
            for (int k = 0; k < count; k++)
            {
                to[k] = next;
                next += plane;
                if (++place < area) continue;
                place = 0;
                next += pitch - (area * plane);
            }
            int done = count == Most && Sse.IsSupported ? FourColumns(torch + i, stride, height, to[0], to[1], to[2], to[3], streamed) : 0;
            for (int row = done; row < height; row++)
            {
                for (int k = 0; k < count; k++) to[k][row] = torch[(row * stride) + i + k];
            }
        }
    }

    /// <summary>Four columns, sixteen or four rows at a time in registers.</summary>
    /// <returns>Rows done: the largest multiple of four.</returns>
    private static int FourColumns(float* from, long stride, int height, float* to0, float* to1, float* to2, float* to3, bool streamed)
    {
        int row = 0;
        for (; Avx512F.IsSupported && row <= height - Line; row += Line, from += Line * stride)
        {
            // Each quarter of a register turns four rows round; together they are a whole line of every column.
            Vector512<float> a = Quarters(from, stride), b = Quarters(from + stride, stride), c = Quarters(from + (2 * stride), stride), d = Quarters(from + (3 * stride), stride);
            Vector512<double> ab01 = Avx512F.UnpackLow(a, b).AsDouble(), cd01 = Avx512F.UnpackLow(c, d).AsDouble();
            Vector512<double> ab23 = Avx512F.UnpackHigh(a, b).AsDouble(), cd23 = Avx512F.UnpackHigh(c, d).AsDouble();
            Vector512<float> v0 = Avx512F.UnpackLow(ab01, cd01).AsSingle(), v1 = Avx512F.UnpackHigh(ab01, cd01).AsSingle();
            Vector512<float> v2 = Avx512F.UnpackLow(ab23, cd23).AsSingle(), v3 = Avx512F.UnpackHigh(ab23, cd23).AsSingle();
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
        for (; row <= height - 4; row += 4, from += 4 * stride)
        {
            Vector128<float> a = Vector128.Load(from), b = Vector128.Load(from + stride), c = Vector128.Load(from + (2 * stride)), d = Vector128.Load(from + (3 * stride));
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

    /// <summary>Four columns of rows 0, 4, 8 and 12.</summary>
    private static Vector512<float> Quarters(float* from, long stride)
    {
        var low = Vector256.Create(Vector128.Load(from), Vector128.Load(from + (4 * stride)));
        var high = Vector256.Create(Vector128.Load(from + (8 * stride)), Vector128.Load(from + (12 * stride)));
        return Vector512.Create(low, high);
    }
}
