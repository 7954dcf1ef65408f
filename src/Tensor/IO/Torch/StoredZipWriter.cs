using System.Buffers.Binary;
using System.Text;

namespace RefConv.IO;

/// <summary>
/// Writes a zip file of uncompressed parts, front to back, each beginning at a multiple of 64 bytes as PyTorch's own do, so that they can be used where they
/// lie in a mapped file.
/// </summary>
internal sealed class StoredZipWriter(Stream stream)
{
    private const int LocalSize = 30, CentralSize = 46, EndSize = 22, Alignment = 64;

    // A header can say 4 GiB; the larger kind of zip file is not written.
    private const long MostBytes = uint.MaxValue;

    private readonly List<(byte[] Name, uint Checksum, uint Bytes, uint Offset)> _entries = [];
    private long _position;

    /// <summary>Adds a part.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="write">Writes its bytes. Called twice, since the checksum stands before them; it must write the same each time.</param>
    /// <exception cref="IOException">The file would have 4 GiB or more.</exception>
    public void Add(string name, Action<Stream> write)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(name);
        using var measure = new ChecksumStream();
        write(measure);
        if (_position + measure.Length + LocalSize + utf8.Length + (2 * Alignment) > MostBytes)
            throw new IOException("These weights have more than 4 GiB, which is too much for a .pth file. Write a .safetensors file.");
        uint offset = (uint)_position, checksum = measure.Checksum, bytes = (uint)measure.Length;
        _entries.Add((utf8, checksum, bytes, offset));
        int begin = (int)((_position + LocalSize + utf8.Length + 4) % Alignment);
        byte[] padding = new byte[4 + ((Alignment - begin) % Alignment)]; // an extra field, which readers skip
        "FB"u8.CopyTo(padding);
        BinaryPrimitives.WriteUInt16LittleEndian(padding.AsSpan(2), (ushort)(padding.Length - 4));
        Span<byte> header = stackalloc byte[LocalSize];
        BinaryPrimitives.WriteUInt32LittleEndian(header, 0x0403_4B50);
        Common(header[4..], checksum, bytes, utf8.Length, padding.Length);
        Write(header);
        Write(utf8);
        Write(padding);
        write(stream);
        _position += bytes;
    }

    /// <summary>Writes the list of contents.</summary>
    public void Finish()
    {
        long start = _position;
        Span<byte> record = stackalloc byte[CentralSize], end = stackalloc byte[EndSize];
        foreach (var (name, checksum, bytes, offset) in _entries)
        {
            record.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(record, 0x0201_4B50);
            Common(record[6..], checksum, bytes, name.Length, 0);
            BinaryPrimitives.WriteUInt32LittleEndian(record[42..], offset);
            Write(record);
            Write(name);
        }
        if (_entries.Count > ushort.MaxValue || _position > MostBytes) throw new IOException("These are too many weights for a .pth file. Write a .safetensors file.");
        end.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(end, 0x0605_4B50);
        BinaryPrimitives.WriteUInt16LittleEndian(end[8..], (ushort)_entries.Count);
        BinaryPrimitives.WriteUInt16LittleEndian(end[10..], (ushort)_entries.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(end[12..], (uint)(_position - start));
        BinaryPrimitives.WriteUInt32LittleEndian(end[16..], (uint)start);
        Write(end);
    }

    /// <summary>What the header before a part and its line in the list have in common. Time stands still in 1980: the same weights give the same file.</summary>
    private static void Common(Span<byte> fields, uint checksum, uint bytes, int nameLength, int extraLength)
    {
        fields[..26].Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(fields[2..], 0x0800); // names are UTF-8
        BinaryPrimitives.WriteUInt16LittleEndian(fields[8..], 0x0021);
        BinaryPrimitives.WriteUInt32LittleEndian(fields[10..], checksum);
        BinaryPrimitives.WriteUInt32LittleEndian(fields[14..], bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(fields[18..], bytes);
        BinaryPrimitives.WriteUInt16LittleEndian(fields[22..], (ushort)nameLength);
        BinaryPrimitives.WriteUInt16LittleEndian(fields[24..], (ushort)extraLength);
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        stream.Write(bytes);
        _position += bytes.Length;
    }

    /// <summary>Counts bytes and computes their CRC-32.</summary>
    private sealed class ChecksumStream : Stream
    {
        private long _length;

        public uint Checksum { get; private set; }

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => _length;

        public override long Position
        {
            get => _length;
            set => throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Checksum = Crc32.Append(Checksum, buffer);
            _length += buffer.Length;
        }
    }
}
