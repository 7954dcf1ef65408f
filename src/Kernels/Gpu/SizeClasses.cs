namespace RefConv.Kernels;

/// <summary>The sizes of the blocks that <c>DeviceMemoryPool</c> lends.</summary>
internal static class SizeClasses
{
    /// <summary>Rounds up to a multiple of an eighth of the power of two below; at least one cache line more than asked for.</summary>
    public static long Of(long bytes)
    {
        long wanted = Math.Max(bytes + 64, 256);
        long step = 1L << (int)(63 - long.LeadingZeroCount(wanted) - 3); // an eighth of the highest power of two in it
        return (wanted + step - 1) / step * step;
    }
}
