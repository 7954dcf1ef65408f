using ILGPU;

namespace RefConv.Kernels;

/// <summary>The kernels of <see cref="IlgpuDevice"/>, each in its operation's folder (<c>*.Gpu.cs</c>).</summary>
internal sealed partial class GpuKernels(IlgpuDevice device) : IKernels
{
    /// <summary>Threads of a group in kernels that go through elements one by one.</summary>
    internal const int ElementGroup = 256;

    private readonly IlgpuDevice _device = device;

    /// <summary>The device's view of an operand.</summary>
    private ArrayView<float> V(BufferView view) => _device.View(view);

    /// <summary>Whether an operand can be read 128 bits at a time: it begins on a multiple of 16 bytes. One that was not given can.</summary>
    private static bool IsAligned(BufferView view) => (view.Offset & 3) == 0;

    private static bool AreAligned(params ReadOnlySpan<BufferView> views)
    {
        foreach (var view in views)
        {
            if (!IsAligned(view)) return false;
        }
        return true;
    }

    /// <summary>Runs a kernel that takes its elements as <c>for (long i = Thread.First; i &lt; count; i += Thread.Step)</c>: any number of groups is right, and this many are fast.</summary>
    private void LaunchElements<TArguments>(Action<TArguments> kernel, long count, TArguments arguments) where TArguments : struct
    {
        if (count == 0) return;
        int group = _device.IsSimulated ? 32 : ElementGroup;
        _device.Launcher.Launch(kernel, ((int)Math.Min(_device.FullGrid, (count + group - 1) / group), 1, 1), arguments, group);
    }

    /// <summary>Runs a kernel on exactly so many groups, of the size that its attribute says, or of a smaller one that the kernel can do with.</summary>
    private void LaunchGroups<TArguments>(Action<TArguments> kernel, (int X, int Y, int Z) groups, TArguments arguments, int? group = null) where TArguments : struct =>
        _device.Launcher.Launch(kernel, groups, arguments, group);

    /// <summary>The group of a kernel that takes its size from Group.DimX (a power of two): small on the simulation, where a barrier waits for as many threads of the system.</summary>
    private int BarrierGroup(int group) => _device.IsSimulated ? Math.Min(32, group) : group;
}

/// <summary>Where a thread of a <c>LaunchElements</c> kernel begins, and how far its next element is.</summary>
internal static class GpuThread
{
    public static int First => (Grid.IdxX * Group.DimX) + Group.IdxX;

    public static int Step => Grid.DimX * Group.DimX;
}

/// <summary>Four neighbouring floats: loaded and stored in one instruction of 128 bits.</summary>
internal partial struct Float4
{
    public float X, Y, Z, W;

    public static Float4 operator +(Float4 a, Float4 b) => new() { X = a.X + b.X, Y = a.Y + b.Y, Z = a.Z + b.Z, W = a.W + b.W };

    public static Float4 operator *(Float4 a, Float4 b) => new() { X = a.X * b.X, Y = a.Y * b.Y, Z = a.Z * b.Z, W = a.W * b.W };

    public static Float4 operator *(float a, Float4 b) => new() { X = a * b.X, Y = a * b.Y, Z = a * b.Z, W = a * b.W };
}

/// <summary>Two neighbouring floats: 64 bits.</summary>
internal struct Float2
{
    public float X, Y;
}
