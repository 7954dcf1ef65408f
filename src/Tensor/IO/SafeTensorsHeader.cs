using System.Text.Json;
using System.Text.Unicode;

namespace RefConv.IO;

/// <summary>
/// Reads and checks the JSON of a safetensors header: unique names, known types, shapes without overflow, and byte ranges that cover
/// the rest of the file exactly, without gap or overlap. A file that passes can be read without any further check.
/// </summary>
internal sealed class SafeTensorsHeader
{
    private readonly string _path;
    private readonly long _dataBytes;

    private SafeTensorsHeader(string path, long dataBytes)
    {
        _path = path;
        _dataBytes = dataBytes;
    }

    /// <summary>The free text of the file, by key.</summary>
    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    /// <summary>The tensors, in the order of their bytes.</summary>
    public List<SafeTensorsInfo> Entries { get; } = [];

    /// <summary>Parses a header.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="json">The header's bytes.</param>
    /// <param name="dataBytes">How many bytes follow it in the file.</param>
    public static SafeTensorsHeader Parse(string path, ReadOnlySpan<byte> json, long dataBytes)
    {
        var header = new SafeTensorsHeader(path, dataBytes);
        if (json.IsEmpty || json[0] != (byte)'{') throw header.Damaged("its header does not begin with '{'");
        if (!Utf8.IsValid(json)) throw header.Damaged("its header is not UTF-8 text");
        try
        {
            var reader = new Utf8JsonReader(json);
            reader.Read();
            header.ReadObject(ref reader);
            while (reader.Read())
            {
                // Only padding may follow; anything else makes the reader throw.
            }
        }
        // InvalidOperationException: an escape such as \ud800 alone, which is no character.
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new FileFormatException(path, "the safetensors header is not valid JSON. The file is damaged: copy or download it again.", e);
        }
        header.CheckRanges();
        return header;
    }

    private void ReadObject(ref Utf8JsonReader reader)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (Next(ref reader) == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            if (!seen.Add(name)) throw Damaged($"'{name}' occurs twice in its header");
            if (Next(ref reader) != JsonTokenType.StartObject) throw Damaged($"the header's entry '{name}' is not an object");
            if (name == SafeTensorsFormat.MetadataKey) ReadMetadata(ref reader);
            else Entries.Add(ReadEntry(ref reader, name));
        }
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        while (Next(ref reader) == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            if (Next(ref reader) != JsonTokenType.String) throw Damaged($"metadata '{key}' is not text");
            if (!Metadata.TryAdd(key, reader.GetString()!)) throw Damaged($"metadata '{key}' occurs twice");
        }
    }

    private SafeTensorsInfo ReadEntry(ref Utf8JsonReader reader, string name)
    {
        string? dtype = null;
        long[]? shape = null, offsets = null;
        while (Next(ref reader) == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            var token = Next(ref reader);
            bool good = key switch
            {
                "dtype" => dtype is null && token == JsonTokenType.String && (dtype = reader.GetString()) is not null,
                "shape" => shape is null && TryReadNumbers(ref reader, out shape),
                "data_offsets" => offsets is null && TryReadNumbers(ref reader, out offsets) && offsets!.Length == 2,
                _ => throw Damaged($"tensor '{name}' has an entry '{key}', which the format does not know"),
            };
            if (!good) throw Damaged($"'{key}' of tensor '{name}' is not what the format asks for, or stands there twice");
        }
        if (dtype is null || shape is null || offsets is null) throw Damaged($"tensor '{name}' lacks dtype, shape or data_offsets");
        if (!SafeTensorsFormat.TryParse(dtype, out var type))
        {
            throw new FileFormatException(
                _path, $"tensor '{name}' is of type '{dtype}', which is not supported. Convert it to one of {SafeTensorsFormat.KnownNames}.");
        }
        return CheckSize(new SafeTensorsInfo(name, type, shape, offsets[0], offsets[1]));
    }

    /// <summary>An array of whole numbers ≥ 0.</summary>
    private bool TryReadNumbers(ref Utf8JsonReader reader, out long[]? numbers)
    {
        numbers = [];
        int count = 0;
        if (reader.TokenType != JsonTokenType.StartArray) return false;
        while (Next(ref reader) == JsonTokenType.Number)
        {
            if (!reader.TryGetInt64(out long value) || value < 0) return false;
            if (count == numbers.Length) numbers = Resized(numbers, Math.Max(4, 2 * count));
            numbers[count++] = value;
        }
        numbers = Resized(numbers, count);
        return reader.TokenType == JsonTokenType.EndArray;

        static long[] Resized(long[] old, int length)
        {
            long[] resized = new long[length];
            Array.Copy(old, resized, Math.Min(old.Length, length));
            return resized;
        }
    }

    private SafeTensorsInfo CheckSize(SafeTensorsInfo entry)
    {
        long bytes = SafeTensorsFormat.Size(entry.Type);
        bool empty = false;
        try
        {
            // A zero anywhere makes the tensor empty, but the other sizes must not overflow either.
            for (int i = 0; i < entry.Shape.Count; i++)
            {
                long size = entry.Shape[i];
                bytes = checked(bytes * Math.Max(size, 1));
                empty |= size == 0;
            }
        }
        catch (OverflowException)
        {
            throw Damaged($"the shape of {entry} has more elements than can be counted");
        }
        if (empty) bytes = 0;
        if (entry.End < entry.Start || entry.End > _dataBytes)
        {
            throw Damaged($"{entry} should lie in bytes {entry.Start} to {entry.End}, but the file holds {_dataBytes} bytes of data");
        }
        if (entry.End - entry.Start != bytes) throw Damaged($"{entry} needs {bytes} bytes and has {entry.End - entry.Start}");
        return entry;
    }

    private void CheckRanges()
    {
        Entries.Sort((a, b) => (a.Start, a.End).CompareTo((b.Start, b.End)) is var order and not 0 ? order : string.CompareOrdinal(a.Name, b.Name));
        long end = 0;
        foreach (var entry in Entries)
        {
            if (entry.Start < end) throw Damaged($"the bytes of {entry} overlap those of the tensor before it");
            if (entry.Start > end) throw Damaged($"{entry.Start - end} bytes before {entry} belong to no tensor");
            end = entry.End;
        }
        if (end != _dataBytes) throw Damaged($"{_dataBytes - end} bytes at its end belong to no tensor");
    }

    private static JsonTokenType Next(ref Utf8JsonReader reader) => reader.Read() ? reader.TokenType : throw new JsonException("The header ends early.");

    private FileFormatException Damaged(string problem) => new(_path, $"not a valid safetensors file: {problem}. Copy or download it again.");
}
