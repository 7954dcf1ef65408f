namespace RefConv.Kernels;

/// <summary>
/// Marks a GPU kernel: a static method that takes one struct with all its arguments. What it states is what the launcher compiles it for and what the tests
/// of the generated PTX hold it to.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class GpuKernelAttribute(int group) : Attribute
{
    /// <summary>Threads of a group, at most and as launched.</summary>
    public int Group { get; } = group;

    /// <summary>Groups that should fit on a multiprocessor at a time: bounds the registers of a thread to 65536/(Group·this).</summary>
    public int MinGroups { get; init; }

    /// <summary>Time is spent here: no local memory, and nothing else that the tests of the PTX can see.</summary>
    public bool Hot { get; init; }

    /// <summary>It must load and store 128 bits at a time.</summary>
    public bool Wide { get; init; }

    /// <summary>Instructions that must be in its PTX, separated by commas: <c>mma.sync,cp.async</c>.</summary>
    public string Uses { get; init; } = "";

    /// <summary>Needs an NVIDIA GPU, or the simulation: it is written with instructions of PTX.</summary>
    public bool CudaOnly { get; init; }
}

/// <summary>Types with which a generic kernel is used: the tests compile it once for each.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
internal sealed class GpuVariantAttribute(params Type[] types) : Attribute
{
    public Type[] Types { get; } = types;
}
