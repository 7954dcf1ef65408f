namespace RefConv.Kernels;

/// <remarks>Kernels count with 32 bits: what is larger runs in several launches.</remarks>
internal sealed partial class GpuKernels
{
    /// <summary>Elements of a launch at most: what a thread adds to its place on the way stays below 2³¹.</summary>
    private const long MostElements = 1 << 30;

    /// <summary>Groups of a launch at most in the second and third direction.</summary>
    private const int MostGroups = 65535;

    /// <summary>Cuts <paramref name="count"/> rows (pixels, images) into pieces of at most <see cref="MostElements"/> elements; nearly always one.</summary>
    private static IEnumerable<(long First, long Count)> Pieces(long count, long rowLength, long mostRows = long.MaxValue)
    {
        if (rowLength > MostElements)
            throw new NotSupportedException($"The GPU's kernels count 2³⁰ elements in an image, and this one has {rowLength:N0}: use smaller images or parts of them.");
        long piece = Math.Min(mostRows, MostElements / Math.Max(1, rowLength));
        for (long first = 0; first < count; first += piece) yield return (first, Math.Min(piece, count - first));
    }

    /// <summary>Rows of a view.</summary>
    private static BufferView Rows(BufferView view, long first, long count, long rowLength) =>
        view.IsEmpty ? view : view.Slice(first * rowLength, count * rowLength);

    private static int DivideUp(long a, long b) => (int)((a + b - 1) / b);

    /// <summary>Whether all of these can be read as <see cref="Float4"/>: four channels at a time.</summary>
    private static bool IsWide(long channels, params ReadOnlySpan<BufferView> views) => channels % 4 == 0 && AreAligned(views);
}
