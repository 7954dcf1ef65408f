using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// How a map [rows, columns] is shared out where every column has something of its own: constants, or a sum. A group takes a block of columns, at most
/// <see cref="MostWidth"/> wide, and a strip of rows. Its threads stand side by side, as many rows of them as fit: at every step they read one run of
/// neighbouring addresses, whatever the number of columns (of 24 channels in four lanes 252 of 256 threads work), and a thread stays in its column, so that the
/// loop divides nothing. A column is one float or four, as the kernel's lanes are.
/// </summary>
internal struct ColumnWork
{
    /// <summary>Threads of a group.</summary>
    public const int Threads = 256;

    /// <summary>Widest block: with four lanes 1 KB of every row.</summary>
    private const int MostWidth = 64;

    /// <summary>Groups of a launch: what the multiprocessors of an H100 hold at a time (132 of 4), so there is one wave; a constant, so that sums are the same on every GPU.</summary>
    private const int MostGroups = 512;

    /// <summary>Rows that a thread should have at least.</summary>
    private const int LeastRows = 4;

    public long Rows;
    public long StripRows;
    public int Columns;
    public int Width;
    public int RowsAtATime;
    private readonly int _perThread, _threadsWithMore, _lastPerThread, _lastThreadsWithMore;

    public ColumnWork(long rows, int columns, int group, int mostGroups = MostGroups)
    {
        int widest = Math.Min(MostWidth, group), blocks = (columns + widest - 1) / widest;
        (Rows, Columns) = (rows, columns);
        Width = (columns + blocks - 1) / blocks;
        RowsAtATime = group / Width;
        long strips = Math.Clamp(rows / (RowsAtATime * LeastRows), 1, Math.Max(1, mostGroups / blocks));
        StripRows = (rows + strips - 1) / strips;
        long last = rows - ((Strips - 1) * StripRows);
        (_perThread, _threadsWithMore) = ((int)(StripRows / RowsAtATime), (int)(StripRows % RowsAtATime));
        (_lastPerThread, _lastThreadsWithMore) = ((int)(last / RowsAtATime), (int)(last % RowsAtATime));
    }

    public readonly int Strips => (int)((Rows + StripRows - 1) / StripRows);

    public readonly int Blocks => (Columns + Width - 1) / Width;

    public readonly (int X, int Y, int Z) Groups => (Strips, Blocks, 1);

    /// <summary>Rows of a strip; the last is shorter.</summary>
    public readonly long RowsOf(int strip)
    {
        long rest = Rows - (strip * StripRows);
        return rest < StripRows ? rest : StripRows;
    }

    /// <summary>Of a strip's rows, how many the threads in row <paramref name="row"/> of their group take: every <see cref="RowsAtATime"/>th. Divided by the host.</summary>
    public readonly int RowsOfThread(int strip, int row) => (strip + 1) * StripRows < Rows
        ? _perThread + (row < _threadsWithMore ? 1 : 0)
        : _lastPerThread + (row < _lastThreadsWithMore ? 1 : 0);
}

/// <summary>Where a thread stands in a <see cref="ColumnWork"/>: its column, and its elements First, First + Step, … below End, as many as Count.</summary>
internal struct ColumnThread
{
    /// <summary>Place in the group: row and column of the threads.</summary>
    public int Row, Lane;

    public int Column;

    /// <summary>It has a column. One that has none goes along, because barriers count all threads.</summary>
    public bool IsActive;

    public int Count;

    public long FirstRow;

    public long First, Step, End;

    /// <summary>The last element, for loops that go backwards. Only where there are any.</summary>
    public readonly long Last => First + ((Count - 1) * Step);

    public static ColumnThread Of(in ColumnWork work)
    {
        var t = new ColumnThread { Row = Group.IdxX / work.Width };
        t.Lane = Group.IdxX - (t.Row * work.Width);
        t.Column = (Grid.IdxY * work.Width) + t.Lane;
        t.IsActive = t.Row < work.RowsAtATime && t.Column < work.Columns;
        t.Count = t.IsActive ? work.RowsOfThread(Grid.IdxX, t.Row) : 0;
        t.FirstRow = (Grid.IdxX * work.StripRows) + t.Row;
        t.First = (t.FirstRow * work.Columns) + t.Column;
        t.Step = (long)work.RowsAtATime * work.Columns;
        t.End = t.First + (t.Count * t.Step);
        return t;
    }
}
