namespace RefConv;

/// <summary>
/// The change of order that almost all weights need: <c>[out, in, kh·kw]</c> in files, <c>[kh·kw, in, out]</c> in memory. By tiles of 16 outputs, so that
/// whole cache lines are written and the rows that are read stay in the cache.
/// </summary>
internal static unsafe class WeightTranspose
{
    /// <summary>Elements of a block that stays in the second-level cache.</summary>
    public const int BlockElements = 1 << 16;

    private const int Tile = 16;

    /// <summary>File order to memory order.</summary>
    /// <param name="torch">[rows, columns, area], a row every <paramref name="stride"/> elements.</param>
    /// <param name="stride">At least columns·area: more for some columns of a wider matrix.</param>
    /// <param name="memory">[area, columns, rows], dense.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs of a group.</param>
    /// <param name="area">Places in the kernel.</param>
    public static void ToMemory<T>(T* torch, long stride, T* memory, int rows, int columns, int area)
        where T : unmanaged
    {
        for (int row = 0; row < rows; row += Tile)
        {
            int count = Math.Min(Tile, rows - row);
            for (int column = 0; column < columns; column++)
            {
                T* from = torch + (row * stride) + ((long)column * area);
                for (int place = 0; place < area; place++)
                {
                    T* to = memory + ((((long)place * columns) + column) * rows) + row;
                    if (count == Tile) Line(from + place, stride, to);
                    else for (int i = 0; i < count; i++) to[i] = from[(i * stride) + place];
                }
            }
        }
    }

    /// <summary>Memory order to file order; both dense.</summary>
    public static void ToTorch<T>(T* memory, T* torch, int rows, int columns, int area)
        where T : unmanaged
    {
        long stride = (long)columns * area;
        for (int row = 0; row < rows; row += Tile)
        {
            int count = Math.Min(Tile, rows - row);
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

    private static void Line<T>(T* from, long stride, T* to)
        where T : unmanaged
    {
        for (int i = 0; i < Tile; i += 4)
        {
            T* four = from + (i * stride);
            T a = four[0], b = four[stride], c = four[2 * stride], d = four[3 * stride];
            to[i] = a;
            to[i + 1] = b;
            to[i + 2] = c;
            to[i + 3] = d;
        }
    }
}
