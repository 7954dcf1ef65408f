namespace RefConv.IO;

/// <summary>
/// All names in a pickle that mean something. A pickle is a program that calls functions by name; here a name is a row of this table, or it stands for a value that
/// can do nothing: nothing is ever looked up, loaded, made or called by name, and what a row stands for is only the handful of things in <see cref="TorchRebuild"/>.
/// </summary>
internal static class PickleGlobals
{
    private static readonly Dictionary<string, PickleGlobal> Known = Table().ToDictionary(g => g.Name, StringComparer.Ordinal);

    /// <summary>The row of a name, or what stands for all others.</summary>
    public static PickleGlobal Find(string module, string name)
    {
        string full = $"{module}.{name}";
        return Known.TryGetValue(full, out var global) ? global : new(full, PickleGlobalKind.Unknown);
    }

    private static IEnumerable<PickleGlobal> Table()
    {
        foreach (string name in (string[])["collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict", "__builtin__.dict"]) // the last as protocol 2 writes it
            yield return new(name, PickleGlobalKind.Dictionary);
        yield return new("torch._utils._rebuild_tensor", PickleGlobalKind.RebuildTensor);
        yield return new("torch._utils._rebuild_tensor_v2", PickleGlobalKind.RebuildTensor);
        yield return new("torch._utils._rebuild_tensor_v3", PickleGlobalKind.RebuildTypedTensor);
        yield return new("torch._utils._rebuild_parameter", PickleGlobalKind.RebuildParameter);
        yield return new("torch._utils._rebuild_parameter_with_state", PickleGlobalKind.RebuildParameter);
        yield return new("torch._tensor._rebuild_from_type_v2", PickleGlobalKind.RebuildFromType);
        yield return new("torch.Size", PickleGlobalKind.Size);
        foreach (var row in Storages()) yield return row;
        foreach (var (name, type) in ElementTypes) yield return new($"torch.{name}", PickleGlobalKind.ElementType, type);
    }

    private static IEnumerable<PickleGlobal> Storages()
    {
        foreach (var (name, type) in StorageTypes)
        {
            yield return new($"torch.{name}Storage", PickleGlobalKind.StorageType, type);
            yield return new($"torch.cuda.{name}Storage", PickleGlobalKind.StorageType, type);
        }
        yield return new("torch.storage.UntypedStorage", PickleGlobalKind.StorageType, SafeTensorsType.U8);
        yield return new("torch.storage._UntypedStorage", PickleGlobalKind.StorageType, SafeTensorsType.U8);
        yield return new("torch.UntypedStorage", PickleGlobalKind.StorageType, SafeTensorsType.U8);
    }

    /// <summary>Names of storages; null for elements that no weight has here.</summary>
    private static (string Name, SafeTensorsType? Type)[] StorageTypes =>
    [
        ("Float", SafeTensorsType.F32), ("Double", SafeTensorsType.F64), ("Half", SafeTensorsType.F16), ("BFloat16", SafeTensorsType.BF16),
        ("Long", SafeTensorsType.I64), ("Int", SafeTensorsType.I32), ("Short", SafeTensorsType.I16), ("Char", SafeTensorsType.I8),
        ("Byte", SafeTensorsType.U8), ("Bool", SafeTensorsType.Bool), ("ComplexFloat", null), ("ComplexDouble", null),
        ("QInt8", null), ("QInt32", null), ("QUInt8", null),
    ];

    private static (string Name, SafeTensorsType? Type)[] ElementTypes =>
    [
        ("float32", SafeTensorsType.F32), ("float", SafeTensorsType.F32), ("float64", SafeTensorsType.F64), ("double", SafeTensorsType.F64),
        ("float16", SafeTensorsType.F16), ("half", SafeTensorsType.F16), ("bfloat16", SafeTensorsType.BF16), ("int64", SafeTensorsType.I64),
        ("int32", SafeTensorsType.I32), ("int16", SafeTensorsType.I16), ("int8", SafeTensorsType.I8), ("uint8", SafeTensorsType.U8),
        ("bool", SafeTensorsType.Bool), ("uint16", SafeTensorsType.U16), ("uint32", SafeTensorsType.U32), ("uint64", SafeTensorsType.U64),
        ("complex64", null), ("complex128", null), ("qint8", null), ("quint8", null), ("qint32", null), ("float8_e4m3fn", null), ("float8_e5m2", null),
    ];

    /// <summary>Bytes an element of a storage takes.</summary>
    public static int ElementSize(PickleGlobal storageType) => storageType.Type is { } type ? SafeTensorsFormat.Size(type)
        : storageType.Name.EndsWith("ComplexDoubleStorage", StringComparison.Ordinal) ? 16
        : storageType.Name.EndsWith("ComplexFloatStorage", StringComparison.Ordinal) ? 8
        : storageType.Name.EndsWith("Int32Storage", StringComparison.Ordinal) ? 4 : 1;
}
