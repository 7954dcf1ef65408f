using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;

namespace RefConv.Models.Train.TensorBoard;

/// <summary>
/// Writes scalars into an event file that TensorBoard reads: records with check sums (TFRecord), in each a message <c>Event</c> of TensorFlow's event.proto. The few
/// fields that scalars need are written by hand, so that the library needs no protocol-buffer runtime.
/// </summary>
/// <remarks>
/// A file is never opened again: who goes on with a run begins a new one, with a mark of the step from which it counts, and TensorBoard drops what an earlier file holds
/// from there on. That is what happens after a crash, when steps behind the last checkpoint are done once more.
/// </remarks>
internal sealed class EventFile : IDisposable
{
    private const int SessionStart = 1;

    private readonly FileStream _file;

    /// <summary>Begins a file in a folder, which is made where it is missing.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="firstStep">Steps from here on are told by this file.</param>
    /// <param name="time">Now, for tests.</param>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public EventFile(string folder, long firstStep, DateTimeOffset? time = null)
    {
        if (File.Exists(folder)) throw new IOException($"'{folder}' is a file. Give a folder for the event files (--tensorboard).");
        Directory.CreateDirectory(folder);
        var now = time ?? DateTimeOffset.UtcNow;
        _file = Create(folder, now);
        Path = _file.Name;
        Write(now, 0, Text(3, "brain.Event:2")); // what makes TensorBoard heed the mark
        Write(now, firstStep, Bytes(7, Varint(1, SessionStart)));
        Flush();
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Adds scalars of one step.</summary>
    public void Add(long step, IEnumerable<(string Tag, double Value)> scalars, DateTimeOffset? time = null)
    {
        using var summary = new MemoryStream();
        foreach (var (tag, value) in scalars)
        {
            if (!double.IsFinite(value)) continue; // a point that no chart can show
            summary.Write(Bytes(1, [.. Text(1, tag), .. Float(2, (float)value)]));
        }
        if (summary.Length > 0) Write(time ?? DateTimeOffset.UtcNow, step, Bytes(5, summary.ToArray()));
    }

    /// <summary>Hands what was written to the system, so that TensorBoard sees it.</summary>
    public void Flush() => _file.Flush();

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>TensorBoard takes files in the order of their names, so a second one in the same second has a larger number.</summary>
    private static FileStream Create(string folder, DateTimeOffset time)
    {
        string host = string.Concat(Environment.MachineName.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' ? c : '_'));
        for (long second = time.ToUnixTimeSeconds(); ; second++)
        {
            string path = System.IO.Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"events.out.tfevents.{second}.{host}"));
            try
            {
                return new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read);
            }
            catch (IOException) when (File.Exists(path))
            {
                // Taken: the next number.
            }
            catch (UnauthorizedAccessException e)
            {
                throw new IOException($"The folder '{folder}' cannot be written ({e.Message}). Choose another one (--tensorboard).", e);
            }
        }
    }

    /// <summary>An event: its time, its step, and what it tells.</summary>
    private void Write(DateTimeOffset time, long step, byte[] what)
    {
        byte[] wallTime = new byte[9];
        wallTime[0] = (1 << 3) | 1; // field 1, eight bytes
        BinaryPrimitives.WriteDoubleLittleEndian(wallTime.AsSpan(1), (time - DateTimeOffset.UnixEpoch).TotalSeconds);
        _file.Write(Record([.. wallTime, .. step == 0 ? [] : Varint(2, step), .. what]));
    }

    /// <summary>Length, check sum of the length, data, check sum of the data.</summary>
    internal static byte[] Record(ReadOnlySpan<byte> data)
    {
        byte[] record = new byte[8 + 4 + data.Length + 4];
        BinaryPrimitives.WriteInt64LittleEndian(record, data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(8), Masked(record.AsSpan(0, 8)));
        data.CopyTo(record.AsSpan(12));
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(12 + data.Length), Masked(data));
        return record;
    }

    /// <summary>CRC-32C, turned and shifted: a check sum of data that holds check sums would else be zero too easily.</summary>
    private static uint Masked(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in data) crc = BitOperations.Crc32C(crc, b);
        return BitOperations.RotateRight(~crc, 15) + 0xA282EAD8;
    }

    private static byte[] Varint(int field, long value)
    {
        List<byte> bytes = [(byte)(field << 3)];
        ulong rest = (ulong)value;
        for (; rest > 127; rest >>= 7) bytes.Add((byte)(rest | 128));
        bytes.Add((byte)rest);
        return [.. bytes];
    }

    private static byte[] Float(int field, float value)
    {
        byte[] bytes = new byte[5];
        bytes[0] = (byte)((field << 3) | 5);
        BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(1), value);
        return bytes;
    }

    private static byte[] Bytes(int field, byte[] content)
    {
        byte[] length = Varint(0, content.Length); // its first byte is taken by the field
        length[0] = (byte)((field << 3) | 2);
        return [.. length, .. content];
    }

    private static byte[] Text(int field, string text) => Bytes(field, Encoding.UTF8.GetBytes(text));
}
