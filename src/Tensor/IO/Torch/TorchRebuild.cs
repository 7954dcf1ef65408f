namespace RefConv.IO;

/// <summary>
/// What the calls in a torch pickle make: storages by their key, tensors as views of them, dictionaries. Views are checked to lie in their storage, so that
/// what opens can be read. Whether a storage's bytes are in the file is checked by those who know where they should be.
/// </summary>
internal sealed class TorchRebuild(string path)
{
    /// <summary>More axes than any weight has.</summary>
    private const int MostAxes = 8;

    /// <summary>A tensor with its sizes and strides, in bytes.</summary>
    private const int TensorCost = 250;

    /// <summary>
    /// Bytes of memory that the values of one file may take, roughly counted: several times what the largest checkpoints need, whose weights are not among them. A byte of a pickle can
    /// make a dictionary of 40.
    /// </summary>
    private const long MostMemory = 192L << 20;

    /// <summary>Names of what was passed over that are told.</summary>
    private const int MostUnknown = 64;

    private readonly Dictionary<string, TorchStorage> _storages = new(StringComparer.Ordinal);
    private readonly HashSet<string> _unknown = new(StringComparer.Ordinal);
    private long _memory;

    /// <summary>Names that mean nothing here, each once: what they make can do nothing.</summary>
    public IReadOnlyCollection<string> Unknown => _unknown;

    /// <summary>How many more items may be copied or kept; see <see cref="Spend"/>.</summary>
    public long Budget { get; set; }

    /// <summary>All storages mentioned, by key.</summary>
    public IReadOnlyDictionary<string, TorchStorage> Storages => _storages;

    /// <summary>A storage from its persistent id: ('storage', type, key, device, count) and in old files a view of another one.</summary>
    public object Storage(object? id)
    {
        if (id is not PickleTuple { Items: [var tag, ..] items } || tag is not string kind) throw Damaged("a storage has no name");
        if (kind == "module") return items.Length > 1 && items[1] is PickleGlobal { Kind: PickleGlobalKind.Unknown } ? items[1]! : new PickleOpaque(kind); // a class, with its code
        if (kind != "storage" || items.Length is < 5 or > 6 || items[1] is not PickleGlobal { Kind: PickleGlobalKind.StorageType } type
            || (items[2] as string ?? (items[2] as long?)?.ToString(System.Globalization.CultureInfo.InvariantCulture)) is not { } key || items[4] is not long count || count < 0)
            throw Damaged("a storage is not described as torch.save does");
        int size = PickleGlobals.ElementSize(type);
        if (count > long.MaxValue / size) throw Damaged($"storage '{key}' has more elements than can be counted");
        if (!_storages.TryGetValue(key, out var storage)) _storages[key] = storage = new TorchStorage(key, type.Name, type.Type, size, count);
        if (storage.TypeName != type.Name || storage.Count != count) throw Damaged($"storage '{key}' is described in two ways");
        if (items.Length == 5 || items[5] is null) return storage;
        if (items[5] is not PickleTuple { Items: [_, long offset, long length] } || offset < 0 || length < 0 || offset > count - length)
            throw Damaged($"the view of storage '{key}' does not lie in it");
        return new StorageView(storage, offset, length);
    }

    /// <summary>A call, as far as weights need one.</summary>
    public object? Call(object? function, object? arguments)
    {
        if (function is PickleOpaque) return function;
        if (function is PickleGlobal { Kind: PickleGlobalKind.Unknown } unknown) return unknown.Opaque;
        if (arguments is PickleOpaque && function is PickleGlobal any) return any.Opaque;
        if (function is not PickleGlobal global || arguments is not PickleTuple { Items: var items }) throw Damaged("it calls what cannot be called");
        switch (global.Kind)
        {
            case PickleGlobalKind.Dictionary: return Dictionary(items);
            case PickleGlobalKind.Size when items is [PickleTuple sizes]: return sizes;
            case PickleGlobalKind.Size when items is [PickleList sizes]: return sizes;
            case PickleGlobalKind.RebuildTensor when items.Length >= 4 && View(items[0]) is { } view:
                return Tensor(view.Storage, view.Storage.TypeName, view.Storage.Type, view.Storage.ElementSize, view.Offset, view.Length, items);
            case PickleGlobalKind.RebuildTypedTensor when items.Length >= 7 && View(items[0]) is { } view && items[6] is PickleGlobal { Kind: PickleGlobalKind.ElementType } type:
                int size = type.Type is { } t ? SafeTensorsFormat.Size(t) : 1;
                return Tensor(view.Storage, type.Name, type.Type, size, view.Offset / size, view.Length * view.Storage.ElementSize / size, items);
            case PickleGlobalKind.RebuildParameter when items is [TorchTensor or PickleOpaque, ..]: return items[0];
            case PickleGlobalKind.RebuildFromType when items is [PickleGlobal { Kind: not PickleGlobalKind.RebuildFromType } inner, _, PickleTuple inside, ..]: return Call(inner, inside);
            default: return items.Any(i => i is PickleOpaque or PickleGlobal { Kind: PickleGlobalKind.Unknown }) ? global.Opaque : throw Damaged($"'{global.Name}' is called with what it cannot take");
        }
    }

    /// <summary>What a name stands for.</summary>
    public PickleGlobal Global(string module, string name)
    {
        var global = PickleGlobals.Find(module, name);
        if (global.Kind == PickleGlobalKind.Unknown)
        {
            Charge(100 + (2 * global.Name.Length));
            if (_unknown.Count < MostUnknown) _unknown.Add(global.Name);
        }
        return global;
    }

    /// <summary>Counts the memory of a value.</summary>
    public void Charge(long bytes)
    {
        _memory += bytes;
        if (_memory > MostMemory)
            throw new FileFormatException(path, $"it describes more values than any checkpoint has (they would take over {MostMemory >> 20} MB beside the weights). Save the weights alone in Python: torch.save(model.state_dict(), PATH).");
    }

    private static StorageView? View(object? value) => value switch
    {
        TorchStorage storage => new StorageView(storage, 0, storage.Count),
        StorageView view => view,
        _ => null,
    };

    /// <summary>A dictionary, filled with another one or with a list of pairs.</summary>
    private PickleDictionary Dictionary(object?[] items)
    {
        var dictionary = new PickleDictionary();
        Charge(PickleReader.DictionaryCost);
        if (items is [PickleDictionary from])
        {
            Spend(from.Items.Count);
            foreach (var (key, value) in from.Items) dictionary.Add(key, value);
        }
        if (items is [PickleList { Items: var pairs }])
        {
            Spend(pairs.Count);
            foreach (object? pair in pairs)
            {
                var two = (pair as PickleTuple)?.Items ?? (IReadOnlyList<object?>?)(pair as PickleList)?.Items;
                if (two is not { Count: 2 }) throw Damaged("a dictionary is made of something else than pairs");
                dictionary.Add(two[0], two[1]);
            }
        }
        return dictionary;
    }

    /// <summary>
    /// Copies, and values kept for later, cost a pickle a byte or a few however large they are here, so a damaged one could ask for any number of them: a whole one
    /// needs fewer than it has bytes.
    /// </summary>
    public void Spend(int items)
    {
        Budget -= items;
        if (Budget < 0) throw Damaged("it keeps or copies its own contents again and again");
    }

    /// <summary>A tensor: storage, offset, size, stride, and more that only training needs.</summary>
    private TorchTensor Tensor(TorchStorage storage, string typeName, SafeTensorsType? type, int elementSize, long start, long length, object?[] items)
    {
        if (items[1] is not long offset || offset < 0 || Numbers(items[2]) is not { } shape || Numbers(items[3]) is not { } strides || shape.Length != strides.Length)
            throw Damaged("a tensor's offset, size or stride is not what torch.save writes");
        long last = offset, count = 1, dense = 1;
        bool contiguous = true;
        try
        {
            for (int axis = shape.Length - 1; axis >= 0; axis--)
            {
                contiguous &= strides[axis] == dense || shape[axis] == 1;
                dense = checked(dense * Math.Max(shape[axis], 1));
                last = checked(last + (Math.Max(shape[axis] - 1, 0) * strides[axis]));
                count = checked(count * shape[axis]);
            }
            _ = checked(dense * elementSize);
        }
        catch (OverflowException)
        {
            throw Damaged($"a tensor of shape [{string.Join(", ", shape)}] has more elements than can be counted");
        }
        if (count > 0 && last >= length) throw Damaged($"a tensor of shape [{string.Join(", ", shape)}] reaches beyond its storage '{storage.Key}'");
        Charge(TensorCost);
        return new TorchTensor(storage, typeName, type, start + (count == 0 ? 0 : offset), shape, contiguous || count == 0 ? null : strides);
    }

    private static long[]? Numbers(object? value)
    {
        IReadOnlyList<object?>? items = (value as PickleTuple)?.Items ?? (value as PickleList)?.Items;
        if (items is null || items.Count > MostAxes) return null;
        long[] numbers = new long[items.Count];
        for (int i = 0; i < numbers.Length; i++)
        {
            if (items[i] is not long number || number < 0) return null;
            numbers[i] = number;
        }
        return numbers;
    }

    private FileFormatException Damaged(string problem) => new(path, $"not a valid PyTorch file: {problem}. Copy or download it again.");

    private sealed record StorageView(TorchStorage Storage, long Offset, long Length);
}
