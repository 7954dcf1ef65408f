namespace RefConv.IO;

/// <summary>Element types of the safetensors format, in the order in which the reference implementation sorts them.</summary>
public enum SafeTensorsType
{
    /// <summary>One byte, 0 or 1.</summary>
    Bool,

    /// <summary>Unsigned 8 bits.</summary>
    U8,

    /// <summary>Signed 8 bits.</summary>
    I8,

    /// <summary>Signed 16 bits.</summary>
    I16,

    /// <summary>Unsigned 16 bits.</summary>
    U16,

    /// <summary>IEEE half precision.</summary>
    F16,

    /// <summary>The upper half of a 32-bit float.</summary>
    BF16,

    /// <summary>Signed 32 bits.</summary>
    I32,

    /// <summary>Unsigned 32 bits.</summary>
    U32,

    /// <summary>IEEE single precision.</summary>
    F32,

    /// <summary>IEEE double precision.</summary>
    F64,

    /// <summary>Signed 64 bits.</summary>
    I64,

    /// <summary>Unsigned 64 bits.</summary>
    U64,
}

/// <summary>One tensor of a safetensors file.</summary>
/// <param name="Name">Its key.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its sizes, outermost first; empty for a scalar.</param>
/// <param name="Start">Its first byte, counted from the end of the header.</param>
/// <param name="End">The byte after its last.</param>
public sealed record SafeTensorsInfo(string Name, SafeTensorsType Type, IReadOnlyList<long> Shape, long Start, long End)
    : TensorInfo(Name, Type, Shape)
{
    /// <inheritdoc/>
    public override long Count => (End - Start) / SafeTensorsFormat.Size(Type);
}

/// <summary>What reader and writer must agree on.</summary>
internal static class SafeTensorsFormat
{
    /// <summary>The key of the string-to-string map, which is no tensor.</summary>
    public const string MetadataKey = "__metadata__";

    /// <summary>The reference implementation refuses longer headers, so that a wrong length cannot ask for all memory.</summary>
    public const long MaximumHeader = 100_000_000;

    private static readonly string[] Names = ["BOOL", "U8", "I8", "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "F64", "I64", "U64"];
    private static readonly int[] Sizes = [1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8];

    public static string KnownNames => string.Join(", ", Names);

    public static string NameOf(SafeTensorsType type) => Names[(int)type];

    public static int Size(SafeTensorsType type) => Sizes[(int)type];

    public static bool TryParse(string name, out SafeTensorsType type)
    {
        int index = Array.IndexOf(Names, name);
        type = (SafeTensorsType)Math.Max(index, 0);
        return index >= 0;
    }
}
