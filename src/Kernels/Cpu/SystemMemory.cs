using System.Runtime.InteropServices;

namespace RefConv.Kernels;

/// <summary>Memory from the system in large pieces.</summary>
internal static unsafe class SystemMemory
{
    private const nuint HugePage = 2 << 20;
    private const int UseHugePages = 14, DontNeed = 4; // MADV_HUGEPAGE, MADV_DONTNEED

    /// <summary>Pages are handed out when they are first touched, so that what is asked for beyond that costs nothing but addresses. Windows promises all of it at once.</summary>
    public static bool IsLazy { get; } = Environment.Is64BitProcess && !OperatingSystem.IsWindows();

    /// <summary>Aligned to a cache line; null if there is not so much.</summary>
    public static byte* TryAllocate(long bytes) => TryAllocate(bytes, BlockHeap.Line);

    /// <summary>
    /// As <see cref="TryAllocate(long)"/>, for a piece of many megabytes: on Linux in pages of 2 MB where the system is willing. A map of 50 MB has 12,000 pages of 4 KB, more than the
    /// processor remembers the places of; measured, training steps of mobile networks take 1 to 4 % less.
    /// </summary>
    public static byte* TryAllocateLarge(long bytes)
    {
        if (!OperatingSystem.IsLinux()) return TryAllocate(bytes);
        byte* memory = TryAllocate(bytes, HugePage);
        if (memory != null) Advise(memory, (nuint)bytes, UseHugePages);
        return memory;
    }

    public static void Free(byte* memory) => NativeMemory.AlignedFree(memory);

    /// <summary>Lets the system take back the whole pages of a run of memory; it may be used again, and begins with zeros. On Linux; elsewhere nothing happens.</summary>
    public static void Forget(byte* memory, long bytes)
    {
        if (!OperatingSystem.IsLinux()) return;
        long page = Environment.SystemPageSize, start = ((long)memory + page - 1) / page * page, end = ((long)memory + bytes) / page * page;
        if (end > start) Advise((byte*)start, (nuint)(end - start), DontNeed);
    }

    private static byte* TryAllocate(long bytes, nuint alignment)
    {
        try
        {
            return (byte*)NativeMemory.AlignedAlloc((nuint)bytes, alignment);
        }
        catch (OutOfMemoryException)
        {
            return null;
        }
    }

    private static void Advise(byte* memory, nuint bytes, int advice)
    {
        try
        {
            _ = madvise(memory, bytes, advice); // a system that does not know it goes on as it did
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
        }
    }

#pragma warning disable IDE1006 // the C library's own name
    [DllImport("libc")]
    private static extern int madvise(byte* memory, nuint bytes, int advice);
#pragma warning restore IDE1006
}
