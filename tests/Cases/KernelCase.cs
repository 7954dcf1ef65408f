using RefConv.Kernels;

namespace RefConv.Cases;

/// <summary>What a kernel does with an operand.</summary>
public enum Role
{
    /// <summary>Read.</summary>
    In,

    /// <summary>Written; what was there before must not matter (it is NaN).</summary>
    Out,

    /// <summary>Read and written (accumulated to, or updated in place).</summary>
    InOut,

    /// <summary>The empty view: an optional operand that is not given.</summary>
    None,
}

/// <summary>One operand of a case: its length, its role, and how element i is made.</summary>
/// <param name="Name">As in the kernel's signature.</param>
/// <param name="Length">Elements.</param>
/// <param name="Role">Read, written, both, or not given.</param>
/// <param name="Fill">Element i of an operand that is read. Null: normally distributed, from the operand's name.</param>
public sealed record Operand(string Name, long Length, Role Role, Func<long, double>? Fill = null);

/// <summary>How the error of a kernel is judged.</summary>
public enum Tolerance
{
    /// <summary>
    /// Relative to Σ|terms|: the same reference kernel run on the operands' absolute values. For kernels that are sums of products.
    /// </summary>
    Terms,

    /// <summary>Relative to max(1, |value|): for functions applied element by element.</summary>
    Value,

    /// <summary>Bit for bit: copies and selections.</summary>
    Exact,
}

/// <summary>
/// One row of a kernel's case table. The same rows serve the conformance tests (every device against the reference) and the benchmarks.
/// </summary>
public sealed class KernelCase
{
    /// <summary>Makes a row.</summary>
    /// <param name="kernel">Name of the <see cref="IKernels"/> method: <c>nameof(IKernels.Gemm)</c>.</param>
    /// <param name="name">The shape, in words.</param>
    /// <param name="tolerance">How the error is measured.</param>
    /// <param name="limit">The largest error allowed, in that measure.</param>
    /// <param name="operands">In the order in which <paramref name="invoke"/> takes them.</param>
    /// <param name="invoke">Calls the kernel.</param>
    public KernelCase(string kernel, string name, Tolerance tolerance, double limit, Operand[] operands, Action<IKernels, BufferView[]> invoke)
    {
        Kernel = kernel;
        Name = name;
        Tolerance = tolerance;
        Limit = limit;
        Operands = operands;
        Invoke = invoke;
    }

    /// <summary>Name of the <see cref="IKernels"/> method.</summary>
    public string Kernel { get; }

    /// <summary>The shape, in words.</summary>
    public string Name { get; }

    /// <summary>How the error is measured.</summary>
    public Tolerance Tolerance { get; }

    /// <summary>The largest error allowed.</summary>
    public double Limit { get; }

    /// <summary>Operands, in order.</summary>
    public Operand[] Operands { get; }

    /// <summary>Calls the kernel.</summary>
    public Action<IKernels, BufferView[]> Invoke { get; }

    /// <summary>Devices that have the kernel for this shape; the others refuse it.</summary>
    public Func<Device, bool> IsFor { get; init; } = _ => true;

    /// <summary>Floating-point operations, where counting them makes sense; for benchmarks.</summary>
    public double Flops { get; init; }

    /// <summary>Bytes that must be read and written at least, 4 an element; for benchmarks.</summary>
    public double Bytes => Operands.Sum(o => o.Role switch { Role.None => 0, Role.InOut => 2, _ => 1 } * 4.0 * o.Length);

    /// <summary>A row meant for timing: large, and left out of the conformance tests.</summary>
    public bool BenchmarkOnly { get; init; }

    /// <summary>Values of an operand that is read, the same on every device: floats, so that no device rounds its inputs.</summary>
    public float[] Values(Operand operand)
    {
        var random = new RandomStream(2310_10563, (ulong)operand.Name.GetDeterministicHash());
        float[] values = new float[operand.Length];
        for (long i = 0; i < values.Length; i++) values[i] = (float)(operand.Fill is { } fill ? fill(i) : random.NextNormal());
        return values;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Kernel} {Name}";
}

internal static class Hash
{
    /// <summary>FNV-1a: the same in every process, unlike <see cref="string.GetHashCode()"/>.</summary>
    public static uint GetDeterministicHash(this string text)
    {
        uint hash = 2166136261;
        foreach (char c in text) hash = (hash ^ c) * 16777619;
        return hash;
    }
}
