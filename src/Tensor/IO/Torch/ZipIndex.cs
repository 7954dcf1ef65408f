using System.Buffers.Binary;
using System.Text;

namespace RefConv.IO;

/// <summary>
/// Where the parts of a zip file lie, so that they can be read in place. torch.save does not compress, and only such parts can be found here.
/// </summary>
/// <remarks>Checksums are not looked at: torch.save can be told to leave them out, and computing them would take longer than reading the weights.</remarks>
internal sealed class ZipIndex
{
    private const uint EndMark = 0x0605_4B50, End64Mark = 0x0606_4B50, Locator64Mark = 0x0706_4B50, CentralMark = 0x0201_4B50, LocalMark = 0x0403_4B50;
    private const int EndSize = 22, End64Size = 56, LocatorSize = 20, CentralSize = 46, LocalSize = 30;

    private readonly MappedFile _file;
    private readonly Dictionary<string, (long Start, long Bytes, bool Packed)> _entries = new(StringComparer.Ordinal);

    /// <summary>Reads the directory at a zip file's end.</summary>
    /// <exception cref="FileFormatException">It is damaged, compressed or encrypted.</exception>
    public ZipIndex(MappedFile file)
    {
        _file = file;
        var (start, bytes, count) = FindDirectory();
        if (start < 0 || bytes < 0 || start > file.Length - bytes) throw Damaged("its list of contents does not lie in the file");
        if (count < 0 || count > bytes / CentralSize) throw Damaged("its list of contents is shorter than it says");
        long at = start;
        for (long i = 0; i < count; i++) at += ReadEntry(at, start + bytes - at, start);
        if (at != start + bytes) throw Damaged("its list of contents is longer than it says");
    }

    /// <summary>Names of all parts.</summary>
    public IEnumerable<string> Names => _entries.Keys;

    /// <summary>Whether there is such a part.</summary>
    public bool Has(string name) => _entries.ContainsKey(name);

    /// <summary>Finds a part.</summary>
    /// <exception cref="FileFormatException">It is there, but compressed.</exception>
    public bool TryFind(string name, out long start, out long bytes)
    {
        bool found = _entries.TryGetValue(name, out var entry);
        (start, bytes, bool packed) = entry;
        if (packed)
            throw new FileFormatException(_file.Path, $"its part '{name}' is compressed, which torch.save does not do. Unpack the zip file if weights are in it, or save it again in Python (torch.save).");
        return found;
    }

    private (long Start, long Bytes, long Count) FindDirectory()
    {
        // The end record is the last thing in the file, but for a comment of at most 65535 bytes.
        int tail = (int)Math.Min(_file.Length, EndSize + ushort.MaxValue);
        if (tail < EndSize) throw CutOff();
        var bytes = _file.Span(_file.Length - tail, tail);
        for (int i = tail - EndSize; i >= 0; i--)
        {
            var end = bytes[i..];
            if (U32(end, 0) != EndMark || U16(end, 20) != tail - EndSize - i) continue;
            long at = _file.Length - tail + i;
            if (at >= LocatorSize && U32(_file.Span(at - LocatorSize, LocatorSize), 0) == Locator64Mark) return FindDirectory64(at - LocatorSize);
            return (U32(end, 16), U32(end, 12), U16(end, 10));
        }
        throw CutOff();
    }

    private (long Start, long Bytes, long Count) FindDirectory64(long locator)
    {
        long at = I64(_file.Span(locator, LocatorSize), 8);
        if (at < 0 || at > locator - End64Size || U32(_file.Span(at, End64Size), 0) != End64Mark) throw Damaged("its end record is not where it should be");
        var end = _file.Span(at, End64Size);
        return (I64(end, 48), I64(end, 40), I64(end, 32));
    }

    /// <summary>Reads one line of the directory and returns its length.</summary>
    private long ReadEntry(long at, long left, long directory)
    {
        if (left < CentralSize) throw Damaged("its list of contents is shorter than it says");
        var record = _file.Span(at, (int)Math.Min(left, CentralSize + (3 * ushort.MaxValue)));
        if (U32(record, 0) != CentralMark) throw Damaged("its list of contents makes no sense");
        int nameBytes = U16(record, 28), extraBytes = U16(record, 30), length = CentralSize + nameBytes + extraBytes + U16(record, 32);
        if (length > record.Length) throw Damaged("its list of contents is shorter than it says");
        string name = Encoding.UTF8.GetString(record.Slice(CentralSize, nameBytes));
        long packed = U32(record, 20), bytes = U32(record, 24), local = U32(record, 42);
        Extend(record.Slice(CentralSize + nameBytes, extraBytes), ref bytes, ref packed, ref local);
        if ((U16(record, 8) & 1) != 0) throw Damaged($"its part '{name}' is encrypted");
        if (local < 0 || local > directory - LocalSize || U32(_file.Span(local, LocalSize), 0) != LocalMark) throw Damaged($"its part '{name}' is not where it should be");
        var header = _file.Span(local, LocalSize);
        long start = local + LocalSize + U16(header, 26) + U16(header, 28);
        if (packed < 0 || start > directory - packed) throw Damaged($"its part '{name}' does not lie in the file");
        if (!_entries.TryAdd(name, (start, packed, U16(record, 10) != 0 || packed != bytes))) throw Damaged($"two of its parts are called '{name}'");
        return length;
    }

    /// <summary>Sizes and offsets of 4 GB and more stand in an extra field, those only that do not fit their place.</summary>
    private void Extend(ReadOnlySpan<byte> extra, ref long bytes, ref long packed, ref long local)
    {
        while (extra.Length >= 4)
        {
            int id = U16(extra, 0), size = U16(extra, 2);
            if (size > extra.Length - 4) return; // padding that is no field
            var field = extra.Slice(4, size);
            extra = extra[(4 + size)..];
            if (id != 1) continue;
            bytes = Wide(bytes, ref field);
            packed = Wide(packed, ref field);
            local = Wide(local, ref field);
        }
    }

    private long Wide(long value, ref ReadOnlySpan<byte> field)
    {
        if (value != uint.MaxValue) return value;
        if (field.Length < 8) throw Damaged("a size in its list of contents is missing");
        value = I64(field, 0);
        field = field[8..];
        return value;
    }

    private static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long I64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);

    private FileFormatException CutOff() => Damaged("it has no end record, so it is probably cut off");

    private FileFormatException Damaged(string problem) => new(_file.Path, $"not a valid PyTorch (zip) file: {problem}. Copy or download it again.");
}
