using System.Numerics;

namespace RefConv.Models.Imaging.Png;

/// <summary>The filters of PNG undone: every byte was stored as the difference to a prediction from the bytes to the left, above and above left.</summary>
internal static class PngFilter
{
    /// <summary>Undoes a row's filter in place.</summary>
    /// <param name="filter">0 none, 1 left, 2 above, 3 their mean, 4 Paeth.</param>
    /// <param name="row">The row.</param>
    /// <param name="above">The row above it, undone; zeros for the first one.</param>
    /// <param name="step">Bytes from a sample to the same of the pixel before; at least 1.</param>
    public static void Undo(int filter, Span<byte> row, ReadOnlySpan<byte> above, int step)
    {
        switch (filter)
        {
            case 0:
                break;
            case 1:
                for (int i = step; i < row.Length; i++) row[i] += row[i - step];
                break;
            case 2:
                Up(row, above);
                break;
            case 3:
                int head = Math.Min(step, row.Length);
                for (int i = 0; i < head; i++) row[i] += (byte)(above[i] >> 1);
                for (int i = step; i < row.Length; i++) row[i] += (byte)((row[i - step] + above[i]) >> 1);
                break;
            case 4:
                Paeth(row, above, step);
                break;
            default:
                throw PngFile.Damaged($"it has a row with filter {filter}, and there are 0 to 4");
        }
    }

    private static void Up(Span<byte> row, ReadOnlySpan<byte> above)
    {
        int i = 0;
        for (; i <= row.Length - Vector<byte>.Count; i += Vector<byte>.Count)
            (new Vector<byte>(row[i..]) + new Vector<byte>(above[i..])).CopyTo(row[i..]);
        for (; i < row.Length; i++) row[i] += above[i];
    }

    /// <summary>The prediction is whichever of left (a), above (b) and above left (c) is nearest to a + b − c; of equally near ones the first.</summary>
    private static void Paeth(Span<byte> row, ReadOnlySpan<byte> above, int step)
    {
        above = above[..row.Length];
        int head = Math.Min(step, row.Length);
        for (int i = 0; i < head; i++) row[i] += above[i];
        for (int i = step; i < row.Length; i++)
        {
            int a = row[i - step], b = above[i], c = above[i - step];
            int da = b - c, db = a - c, dc = Math.Abs(da + db);
            da = Math.Abs(da);
            db = Math.Abs(db);
            int nearest = db <= dc ? b : c;
            if (da <= db && da <= dc) nearest = a;
            row[i] += (byte)nearest;
        }
    }
}
