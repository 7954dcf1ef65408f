namespace RefConv.IO;

// What a pickle can hold here. Plain values are .NET's own (null, bool, long, double, string); the rest are the records below. None of them runs code.

/// <summary>An immutable sequence.</summary>
internal sealed record PickleTuple(object?[] Items);

/// <summary>A list. Its items are made when there are any, so that many empty ones in a damaged file cost little.</summary>
internal sealed class PickleList
{
    private List<object?>? _items;

    public IReadOnlyList<object?> Items => _items ?? (IReadOnlyList<object?>)[];

    public void Add(object? item) => (_items ??= []).Add(item);
}

/// <summary>A dictionary, in the order in which it was written. A key that occurs twice counts as it was written last.</summary>
internal sealed class PickleDictionary
{
    private List<KeyValuePair<object?, object?>>? _items;

    public IReadOnlyList<KeyValuePair<object?, object?>> Items => _items ?? (IReadOnlyList<KeyValuePair<object?, object?>>)[];

    public void Add(object? key, object? value) => (_items ??= []).Add(new(key, value));
}

/// <summary>
/// Something that weights do not need (a learning rate scheduler's counter, command-line arguments, a whole model): only what it was called is kept. It can do nothing:
/// whatever is called on it or put into it gives the same value again.
/// </summary>
internal sealed record PickleOpaque(string What);

/// <summary>What a name in a pickle stands for. Names are never looked up anywhere but in <see cref="PickleGlobals"/>.</summary>
internal sealed record PickleGlobal(string Name, PickleGlobalKind Kind, SafeTensorsType? Type = null)
{
    /// <summary>What it makes where that is of no use here.</summary>
    public PickleOpaque Opaque { get; } = new(Name);
}

/// <summary>What a called name does.</summary>
internal enum PickleGlobalKind
{
    /// <summary>Makes a dictionary.</summary>
    Dictionary,

    /// <summary>Makes a tensor: storage, offset, size, stride, …</summary>
    RebuildTensor,

    /// <summary>Makes a tensor whose element type is said, over a storage of bytes.</summary>
    RebuildTypedTensor,

    /// <summary>Hands on the tensor it is given: a parameter.</summary>
    RebuildParameter,

    /// <summary>Calls another of these: a tensor with attributes.</summary>
    RebuildFromType,

    /// <summary>Makes a tuple of sizes.</summary>
    Size,

    /// <summary>The element type of a storage.</summary>
    StorageType,

    /// <summary>An element type.</summary>
    ElementType,

    /// <summary>No row of the table: makes values that can do nothing.</summary>
    Unknown,
}

/// <summary>The memory under one or more tensors.</summary>
/// <param name="Key">Its name in the file.</param>
/// <param name="TypeName">Its element type, as the file says it.</param>
/// <param name="Type">The same, if it is one that can be read.</param>
/// <param name="ElementSize">Bytes an element.</param>
/// <param name="Count">Its elements.</param>
internal sealed record TorchStorage(string Key, string TypeName, SafeTensorsType? Type, int ElementSize, long Count)
{
    /// <summary>Where its bytes begin in the file; −1 until that is known.</summary>
    public long Start { get; set; } = -1;

    /// <summary>Its bytes. Checked when it is made: they can be counted.</summary>
    public long Bytes => Count * ElementSize;
}

/// <summary>A view of a storage, checked to lie in it.</summary>
/// <param name="Storage">The memory.</param>
/// <param name="TypeName">Element type, as the file says it.</param>
/// <param name="Type">The same, if it is one that can be read.</param>
/// <param name="Offset">First element.</param>
/// <param name="Shape">Sizes.</param>
/// <param name="Strides">Elements from one index to the next; null when the elements lie one after another.</param>
internal sealed record TorchTensor(TorchStorage Storage, string TypeName, SafeTensorsType? Type, long Offset, long[] Shape, long[]? Strides);
