using System.Numerics;
using System.Runtime.InteropServices;

namespace RefConv.Kernels;

/// <summary>
/// Linux likes to wake a thread on the processor of the thread that wakes it, because they may share data in its caches. For a worker that is to
/// compute beside the caller this is the worst place: measured, it waits 2 to 4 ms there, as long as a whole layer takes, until the kernel
/// moves it. So the caller first takes its own processor from those the worker may use. Elsewhere than on Linux nothing is done.
/// </summary>
internal static unsafe class ThreadPlacement
{
    private const int MaskWords = 16; // 1024 processors

    private static readonly ulong[]? s_allowed = Allowed();

    /// <summary>The system's number of the calling thread, to be given to <see cref="KeepAway"/>; 0 where nothing can be done.</summary>
    public static int CurrentThread => s_allowed == null ? 0 : gettid();

    /// <summary>Makes a thread stay off the processor that the caller runs on, if there is another it may use.</summary>
    /// <param name="thread">From <see cref="CurrentThread"/>.</param>
    /// <param name="kept">The processor it is kept off already; updated.</param>
    public static void KeepAway(int thread, ref int kept)
    {
        if (thread == 0) return;
        int here = sched_getcpu();
        if (here < 0 || here == kept || here >= MaskWords * 64) return;
        ulong* mask = stackalloc ulong[MaskWords];
        s_allowed.CopyTo(new Span<ulong>(mask, MaskWords));
        mask[here / 64] &= ~(1UL << (here % 64));
        if (sched_setaffinity(thread, MaskWords * sizeof(ulong), mask) == 0) kept = here;
    }

    /// <summary>The processors this process may use; null if there is but one, or on another system.</summary>
    private static ulong[]? Allowed()
    {
        if (!OperatingSystem.IsLinux()) return null;
        try
        {
            ulong[] mask = new ulong[MaskWords];
            fixed (ulong* words = mask)
            {
                if (sched_getaffinity(0, MaskWords * sizeof(ulong), words) < 0) return null;
            }
            _ = gettid() + sched_getcpu();
            int processors = 0;
            foreach (ulong word in mask) processors += BitOperations.PopCount(word);
            return processors > 1 ? mask : null;
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            return null;
        }
    }

#pragma warning disable IDE1006 // the C library's own names
    [DllImport("libc")]
    private static extern int gettid();

    [DllImport("libc")]
    private static extern int sched_getcpu();

    [DllImport("libc")]
    private static extern int sched_getaffinity(int thread, nint bytes, ulong* mask);

    [DllImport("libc")]
    private static extern int sched_setaffinity(int thread, nint bytes, ulong* mask);
#pragma warning restore IDE1006
}
