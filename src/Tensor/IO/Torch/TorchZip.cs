namespace RefConv.IO;

/// <summary>
/// torch.save since PyTorch 1.6: a zip file of uncompressed parts, all in one folder: <c>data.pkl</c>, the pickle; <c>data/KEY</c>, the bytes of each storage;
/// <c>byteorder</c> (since 2.1) and <c>version</c>.
/// </summary>
internal static unsafe class TorchZip
{
    /// <summary>The pickled value, its storages placed in the file.</summary>
    public static object? Read(MappedFile file, out IReadOnlyCollection<string> unknown)
    {
        var zip = new ZipIndex(file);
        string? pickle = zip.Names.FirstOrDefault(n => n == "data.pkl" || (n.EndsWith("/data.pkl", StringComparison.Ordinal) && n.IndexOf('/') == n.Length - 9));
        if (pickle is null) throw new FileFormatException(file.Path, FileKind.OfZip([.. zip.Names]));
        string folder = pickle[..^"data.pkl".Length];
        if (zip.Has(folder + "constants.pkl"))
            throw new FileFormatException(file.Path, "a TorchScript program (torch.jit.save), not weights. In Python: torch.save(torch.jit.load(PATH).state_dict(), NEW).");
        if (zip.TryFind(folder + "byteorder", out long at, out long length) && !file.Span(at, (int)Math.Min(length, 16)).SequenceEqual("little"u8))
            throw new FileFormatException(file.Path, "was written on a machine with another order of bytes (big-endian). Save it again on an ordinary one.");
        zip.TryFind(pickle, out long start, out long bytes);
        var rebuild = new TorchRebuild(file.Path);
        object? root = new PickleReader(file.Path, file.At(start), bytes, rebuild).Read();
        unknown = rebuild.Unknown;
        foreach (var storage in rebuild.Storages.Values)
        {
            if (!zip.TryFind($"{folder}data/{storage.Key}", out long first, out long count)) continue; // told with the tensor that needs it
            if (count != storage.Bytes)
                throw new FileFormatException(file.Path, $"storage '{storage.Key}' should have {storage.Bytes} bytes and has {count}. It is damaged: copy or download it again.");
            storage.Start = first;
        }
        return root;
    }
}
