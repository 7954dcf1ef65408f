namespace RefConv.IO;

/// <summary>One tensor of a file.</summary>
/// <param name="Name">Its key.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its sizes, outermost first; empty for a scalar.</param>
public record TensorInfo(string Name, SafeTensorsType Type, IReadOnlyList<long> Shape)
{
    /// <summary>How many elements it has.</summary>
    public virtual long Count => Shape.Aggregate(1L, (count, size) => count * size);

    /// <inheritdoc/>
    public sealed override string ToString() => $"{Name} {SafeTensorsFormat.NameOf(Type)} [{string.Join(", ", Shape)}]";
}

/// <summary>A file of named tensors, open for reading: <see cref="SafeTensorsFile"/> or <see cref="TorchFile"/>. What opens can be read.</summary>
public interface ITensorFile : IDisposable
{
    /// <summary>The file, as it was given.</summary>
    string Path { get; }

    /// <summary>Its tensors.</summary>
    IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>A tensor as floats, whatever its type: rounded to nearest from wider types; true is 1.</summary>
    /// <exception cref="FileFormatException">The file has no such tensor.</exception>
    float[] Read(string name);

    /// <summary>Copies a tensor into a parameter of the same shape, from the file's order into the order of memory, without an array between.</summary>
    /// <exception cref="FileFormatException">The file has no such tensor.</exception>
    void ReadInto(string name, Parameter parameter);

    /// <summary>Checks that a tensor can be a weight: no element is NaN or infinite, also not once it is a 32-bit float.</summary>
    /// <exception cref="FileFormatException">One is; the message names the tensor and says why that happens.</exception>
    /// <param name="name">The tensor.</param>
    /// <param name="threads">Threads to use at most.</param>
    void RequireFinite(string name, int threads = 1);

    /// <summary>Both in one pass, for a parameter that nobody will miss: where a value is NaN or infinite it has been written in part.</summary>
    internal void ReadFiniteInto(string name, Parameter parameter)
    {
        RequireFinite(name, parameter.Device.Threads);
        ReadInto(name, parameter);
    }
}

/// <summary>Opens files of tensors of any known kind.</summary>
public static class TensorFile
{
    /// <summary>
    /// Opens a safetensors file or a PyTorch file (<c>.pth</c>, <c>.pt</c>, <c>.bin</c>). Its first bytes say which it is, not its name.
    /// </summary>
    /// <exception cref="FileFormatException">It is damaged or of another kind.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="UnauthorizedAccessException">It must not be read.</exception>
    public static ITensorFile Open(string path)
    {
        var file = MappedFile.Open(path);
        try
        {
            if (TorchFile.IsTorch(file)) return TorchFile.From(file);
            return FileKind.Of(file) is { } kind ? throw new FileFormatException(path, kind) : SafeTensorsFile.From(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
