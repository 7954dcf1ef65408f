namespace RefConv.IO;

/// <summary>
/// The tensors of a PyTorch file, open for reading: what torch.save writes, as a zip file (PyTorch 1.6 and later) or in the format before that, of a state dict
/// or of a checkpoint that has one or several in it. The file is mapped into memory; a tensor is read when it is asked for.
/// </summary>
/// <remarks>
/// <para>A PyTorch file is a program for Python's pickle machine. Here nothing is executed, loaded or instantiated by name: names are rows of a fixed table
/// (<see cref="PickleGlobals"/>), and any other name stands for a value that can do nothing. What such a value holds is not looked at.</para>
/// <para>Beside a state dict, checkpoints hold epoch numbers, optimisers, averages and the like. A tensor's name here is the way to it: the keys of the dictionaries around it and
/// its own, joined by dots (<c>state_dict.conv1.weight</c>; see <see cref="TorchCheckpoint"/>). Everything is checked when the file is opened; any number of threads may read.</para>
/// </remarks>
public sealed unsafe class TorchFile : ITensorFile
{
    private readonly MappedFile _file;
    private readonly Dictionary<string, (TensorInfo Info, TorchTensor Tensor)> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _unreadable = new(StringComparer.Ordinal);

    private TorchFile(MappedFile file)
    {
        _file = file;
        object? root = StartsLikeZip(file) ? TorchZip.Read(file, out var unknown) : TorchLegacy.Read(file, out unknown);
        PassedOver = unknown;
        var contents = TorchCheckpoint.Flatten(file.Path, root, file.Length);
        foreach (var (name, what) in contents.Objects) _unreadable[name] = $"'{name}' is an object of '{what}', which is not read as a weight. Convert it in Python first.";
        var tensors = new List<TensorInfo>();
        foreach (var (name, tensor) in contents.Tensors)
        {
            if (tensor.Type is not { } type)
            {
                _unreadable[name] = $"tensor '{name}' has elements of type '{tensor.TypeName}', which no weight here has. Convert it in Python first.";
                continue;
            }
            CheckInFile(name, tensor, type);
            var info = new TensorInfo(name, type, tensor.Shape);
            // An expanded tensor can claim any size over a few bytes; a weight of that kind is small.
            if (tensor.Strides is not null && info.Count > Math.Max(file.Length, 1 << 16))
            {
                _unreadable[name] = $"{info} repeats a few numbers to more than the whole file has. Save it in Python with .contiguous() if it is right.";
                continue;
            }
            tensors.Add(info);
            _byName[name] = (info, tensor);
        }
        if (tensors.Count == 0) throw new FileFormatException(Path, _unreadable[contents.Tensors[0].Name]);
        Tensors = tensors;
    }

    /// <summary>The file, as it was given.</summary>
    public string Path => _file.Path;

    /// <summary>All tensors that have a name and can be weights, those of a dictionary in its order.</summary>
    public IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>Classes and functions that the file names and that weights do not need (64 of them at most). Nothing of them was looked up or run.</summary>
    public IReadOnlyCollection<string> PassedOver { get; }

    /// <summary>Why a named value is not among the tensors, as a sentence: by name.</summary>
    internal IReadOnlyDictionary<string, string> Unreadable => _unreadable;

    /// <summary>Opens and checks a file.</summary>
    /// <exception cref="FileFormatException">It is damaged, no PyTorch file, or holds something else than weights.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="UnauthorizedAccessException">It must not be read.</exception>
    public static TorchFile Open(string path)
    {
        var file = MappedFile.Open(path);
        try
        {
            return IsTorch(file) ? From(file) : throw new FileFormatException(path, FileKind.Of(file) ?? "not a file that torch.save wrote. Check that it is the right file.");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public float[] Read(string name) => Mapped(name).Read();

    /// <inheritdoc/>
    public void ReadInto(string name, Parameter parameter) => Mapped(name).ReadInto(parameter);

    /// <inheritdoc/>
    public void RequireFinite(string name, int threads = 1) => Mapped(name).RequireFinite(threads);

    void ITensorFile.ReadFiniteInto(string name, Parameter parameter) => Mapped(name).ReadInto(parameter, check: true);

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>Reads an open file, which then belongs to the result.</summary>
    internal static TorchFile From(MappedFile file) => new(file);

    /// <summary>The first bytes are those of a zip file or of a pickle. A safetensors file may begin with any two bytes, but its ninth is '{'.</summary>
    internal static bool IsTorch(MappedFile file) =>
        !(file.Length > 8 && file.Span(8, 1)[0] == (byte)'{') && (StartsLikeZip(file) || (file.Length >= 2 && file.Span(0, 2) is [0x80, >= 2 and <= 5]) || file.StartsWith(TorchLegacy.TextMagic));

    private static bool StartsLikeZip(MappedFile file) => file.StartsWith("PK\u0003\u0004"u8);

    private void CheckInFile(string name, TorchTensor tensor, SafeTensorsType type)
    {
        var storage = tensor.Storage;
        if (storage.Start < 0 || storage.Bytes > _file.Length - storage.Start)
            throw new FileFormatException(Path, $"the numbers of tensor '{name}' are not in it (storage '{storage.Key}'). It is damaged: copy or download it again.");
        // The view lies in its storage by count of elements; over a storage of bytes the last one could still be cut.
        long last = tensor.Offset;
        for (int axis = 0; axis < tensor.Shape.Length; axis++)
        {
            if (tensor.Shape[axis] == 0) return;
            if (tensor.Strides is not null) last += (tensor.Shape[axis] - 1) * tensor.Strides[axis];
        }
        if (tensor.Strides is null) last += tensor.Shape.Aggregate(1L, (count, size) => count * size) - 1;
        if (last >= storage.Bytes / SafeTensorsFormat.Size(type))
            throw new FileFormatException(Path, $"tensor '{name}' reaches beyond its storage '{storage.Key}'. It is damaged: copy or download it again.");
    }

    private MappedTensor Mapped(string name)
    {
        if (!_byName.TryGetValue(name, out var found))
        {
            string some = string.Join(", ", Tensors.Take(5).Select(e => e.Name)) + (Tensors.Count > 5 ? ", …" : "");
            throw new FileFormatException(Path, $"holds no tensor '{name}'; it has {Tensors.Count}: {some}. Is it a file of another model?");
        }
        var (info, tensor) = found;
        return new MappedTensor(Path, info, _file.At(tensor.Storage.Start + (tensor.Offset * SafeTensorsFormat.Size(info.Type))), tensor.Strides);
    }
}
