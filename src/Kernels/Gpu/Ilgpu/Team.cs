using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// Threads of a group that have one row of a map to themselves: 8, 32 or 128 of them, so that a row costs each a few elements and a sum over the row costs one
/// barrier. All threads of a group go through the same barriers, also those whose row is beyond the last.
/// </summary>
internal struct Team
{
    /// <summary>Threads of a group in kernels over rows; the simulation has fewer.</summary>
    public const int Group = 256;

    public int Size, Lane, First;
    public long Row;

    /// <summary>A size for rows of so many elements: about eight elements a thread.</summary>
    public static int For(int elements, int group) => elements <= 64 ? 8 : elements <= 512 || group < 128 ? 32 : 128;

    public static Team Of(int size)
    {
        int team = ILGPU.Group.IdxX / size;
        return new() { Size = size, First = team * size, Lane = ILGPU.Group.IdxX - (team * size), Row = ((long)Grid.IdxX * (ILGPU.Group.DimX / size)) + team };
    }

    /// <summary>The team's sum, in lane order, after a barrier that every thread has to reach.</summary>
    public readonly float Sum(float value)
    {
        var shared = SharedMemory.Allocate<float>(Group);
        shared[ILGPU.Group.IdxX] = value;
        ILGPU.Group.Barrier();
        float sum = 0;
        for (int i = 0; i < Size; i++) sum += shared[First + i];
        return sum;
    }

    /// <summary>Two sums for one barrier.</summary>
    public readonly void Sum(ref float a, ref float b)
    {
        var sharedA = SharedMemory.Allocate<float>(Group);
        var sharedB = SharedMemory.Allocate<float>(Group);
        sharedA[ILGPU.Group.IdxX] = a;
        sharedB[ILGPU.Group.IdxX] = b;
        ILGPU.Group.Barrier();
        (a, b) = (0, 0);
        for (int i = 0; i < Size; i++)
        {
            a += sharedA[First + i];
            b += sharedB[First + i];
        }
    }

    /// <summary>The team's largest value.</summary>
    public readonly float Largest(float value)
    {
        var shared = SharedMemory.Allocate<float>(Group);
        shared[ILGPU.Group.IdxX] = value;
        ILGPU.Group.Barrier();
        float largest = shared[First];
        for (int i = 1; i < Size; i++) largest = shared[First + i] > largest ? shared[First + i] : largest;
        return largest;
    }
}

internal sealed partial class GpuKernels
{
    private int TeamGroup => _device.IsSimulated ? 32 : Team.Group;

    /// <summary>Runs a kernel over rows, each with a team of threads.</summary>
    private void LaunchTeams<TArguments>(Action<TArguments> kernel, long rows, int team, TArguments arguments) where TArguments : struct
    {
        int perGroup = TeamGroup / team;
        _device.Launcher.Launch(kernel, (checked((int)((rows + perGroup - 1) / perGroup)), 1, 1), arguments, TeamGroup);
    }
}
