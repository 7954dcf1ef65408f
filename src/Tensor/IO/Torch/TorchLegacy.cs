using System.Buffers.Binary;

namespace RefConv.IO;

/// <summary>
/// torch.save before PyTorch 1.6, or with <c>_use_new_zipfile_serialization=False</c>: five pickles one after another (a magic number, the version of the format,
/// facts about the machine, the value, the keys of its storages), then each storage: its number of elements in 8 bytes, and the elements.
/// </summary>
internal static unsafe class TorchLegacy
{
    // 0x1950a86a20f9469cfc6c, as bytes from the lowest.
    private const string Magic = "number 6CFC9C46F9206AA85019";
    private const long FormatVersion = 1001;

    /// <summary>How such a file begins whose pickles are of protocol 0 or 1: the magic number in digits.</summary>
    public static ReadOnlySpan<byte> TextMagic => "L119547037146038801333356L\n"u8;

    /// <summary>The pickled value, its storages placed in the file.</summary>
    public static object? Read(MappedFile file, out IReadOnlyCollection<string> unknown)
    {
        var rebuild = new TorchRebuild(file.Path);
        long at = 0;
        if (Next() is not PickleOpaque { What: Magic })
            throw new FileFormatException(file.Path, "a Python pickle, but not one that torch.save wrote. Save the weights in Python: torch.save(state_dict, PATH).");
        if (Next() is not FormatVersion) throw Damaged("the version of its format is not known");
        if (Next() is PickleDictionary machine && machine.Items.Any(i => i is { Key: "little_endian", Value: false }))
            throw new FileFormatException(file.Path, "was written on a machine with another order of bytes (big-endian). Save it again on an ordinary one.");
        object? root = Next();
        if (Next() is not PickleList keys) throw Damaged("it does not list its storages");
        foreach (object? key in keys.Items)
        {
            if (key is not string name || !rebuild.Storages.TryGetValue(name, out var storage) || storage.Start >= 0) throw Damaged("it lists a storage that nothing uses, or one twice");
            if (at > file.Length - 8) throw Damaged("it ends before its last storage");
            long count = BinaryPrimitives.ReadInt64LittleEndian(file.Span(at, 8));
            if (count != storage.Count) throw Damaged($"storage '{name}' should have {storage.Count} elements and has {count}");
            storage.Start = at + 8;
            if (storage.Bytes > file.Length - storage.Start) throw Damaged("it ends before its last storage");
            at = storage.Start + storage.Bytes;
        }
        if (at != file.Length) throw Damaged($"{file.Length - at} bytes at its end belong to nothing");
        unknown = rebuild.Unknown;
        return root;

        object? Next()
        {
            var reader = new PickleReader(file.Path, file.At(at), file.Length - at, rebuild);
            object? value = reader.Read();
            at += reader.Position;
            return value;
        }

        FileFormatException Damaged(string problem) => new(file.Path, $"not a valid PyTorch file (of before 1.6): {problem}. Copy or download it again.");
    }
}
