using System.Buffers.Binary;
using System.Text;
using RefConv.IO;
using RefConv.Kernels;

namespace RefConv.Tests.Formats;

public sealed class SafeTensorsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Written out by hand from the format's description, to fix the layout to the last byte.</summary>
    [Fact]
    public void GoldenFile()
    {
        const string Header = """{"__metadata__":{"form":"merged"},"scale":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"flag":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}""";
        byte[] expected =
        [
            0x98, 0, 0, 0, 0, 0, 0, 0, // 152 bytes of header, padding included
            .. Encoding.ASCII.GetBytes(Header.PadRight(152)),
            0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC0, // 1 and −2.5
            7,
        ];
        string path = _folder.File("golden.safetensors");
        SafeTensorsWriter.Write(
            path,
            [SafeTensorsEntry.FromBytes("flag", SafeTensorsType.U8, [], new byte[] { 7 }), SafeTensorsEntry.FromFloats("scale", [2], new[] { 1f, -2.5f })],
            new Dictionary<string, string> { ["form"] = "merged" });
        Assert.Equal(expected, File.ReadAllBytes(path));

        using var file = SafeTensorsFile.Open(path);
        Assert.Equal("merged", file.Metadata["form"]);
        Assert.Equal(["scale", "flag"], file.Entries.Select(e => e.Name));
        Assert.Equal([1f, -2.5f], file.Read("scale"));
        Assert.Equal([7L], file.ReadInt64("flag"));
        Assert.Empty(file.Find("flag").Shape);
    }

    public static TheoryData<SafeTensorsType> Types => new(Enum.GetValues<SafeTensorsType>());

    [Theory]
    [MemberData(nameof(Types))]
    public void EveryTypeComesBack(SafeTensorsType type)
    {
        // Small numbers that every type can hold exactly.
        int[] values = type == SafeTensorsType.Bool ? [0, 1, 1, 0, 1, 0] : [0, 1, 2, 3, 100, 127];
        byte[] bytes = [.. values.SelectMany(v => Encode(type, v))];
        string path = _folder.File("typed.safetensors");
        SafeTensorsWriter.Write(path, [SafeTensorsEntry.FromBytes("x", type, [2, 3], bytes)]);
        using var file = SafeTensorsFile.Open(path);
        Assert.Equal(type, file.Find("x").Type);
        Assert.Equal([2L, 3L], file.Find("x").Shape);
        Assert.Equal(6, file.Find("x").Count);
        Assert.Equal(bytes, file.Bytes("x").ToArray());
        Assert.Equal(values.Select(v => (float)v), file.Read("x"));
        if (type is SafeTensorsType.F16 or SafeTensorsType.BF16 or SafeTensorsType.F32 or SafeTensorsType.F64)
        {
            Assert.Contains("fractions", Assert.Throws<FileFormatException>(() => file.ReadInt64("x")).Message);
        }
        else
        {
            Assert.Equal(values.Select(v => (long)v), file.ReadInt64("x"));
        }
    }

    [Fact]
    public void NegativeAndExtremeNumbersComeBack()
    {
        string path = _folder.File("x.safetensors");
        SafeTensorsWriter.Write(path,
        [
            SafeTensorsEntry.FromBytes("i8", SafeTensorsType.I8, [2], new byte[] { 0x80, 0xFF }),
            SafeTensorsEntry.FromBytes("i16", SafeTensorsType.I16, [1], new byte[] { 0, 0x80 }),
            SafeTensorsEntry.FromInt64("i64", [2], new[] { long.MinValue, -1 }),
            SafeTensorsEntry.FromBytes("u64", SafeTensorsType.U64, [1], BitConverter.GetBytes(ulong.MaxValue)),
            SafeTensorsEntry.FromBytes("bf16", SafeTensorsType.BF16, [2], new byte[] { 0x80, 0xFF, 0x20, 0xC0 }),
            SafeTensorsEntry.FromFloats("odd", [4], new[] { float.NaN, float.PositiveInfinity, -0f, float.Epsilon }),
        ]);
        using var file = SafeTensorsFile.Open(path);
        Assert.Equal([-128L, -1L], file.ReadInt64("i8"));
        Assert.Equal([-32768L], file.ReadInt64("i16"));
        Assert.Equal([long.MinValue, -1L], file.ReadInt64("i64"));
        Assert.Equal([18446744073709551615f], file.Read("u64"));
        Assert.Throws<FileFormatException>(() => file.ReadInt64("u64"));
        Assert.Equal([float.NegativeInfinity, -2.5f], file.Read("bf16"));
        Assert.Equal(
            new[] { float.NaN, float.PositiveInfinity, -0f, float.Epsilon }.Select(BitConverter.SingleToInt32Bits), file.Read("odd").Select(BitConverter.SingleToInt32Bits));
    }

    [Fact]
    public void FloatsAreRoundedToNearestEven()
    {
        // BF16 keeps 8 bits: 1 + 1/256 lies in the middle and goes to the even 1; 1 + 3/256 to 1 + 4/256.
        float[] values = [1 + (1f / 256), 1 + (3f / 256), float.NaN, float.MaxValue, 65504, 1e-7f];
        string path = _folder.File("x.safetensors");
        SafeTensorsWriter.Write(path, [.. new[] { SafeTensorsType.BF16, SafeTensorsType.F16, SafeTensorsType.F64 }.Select(t => SafeTensorsEntry.FromFloats(t.ToString(), [6], values, t))]);
        using var file = SafeTensorsFile.Open(path);
        Assert.Equal([1f, 1 + (4f / 256), float.NaN, float.PositiveInfinity, 65536, 1.0011717677116394e-7f], file.Read("BF16"));
        Assert.Equal(values.Select(v => (float)(Half)v), file.Read("F16"));
        Assert.Equal(values, file.Read("F64"));
    }

    [Fact]
    public void ManyTensorsOfManySizes()
    {
        var random = new RandomStream(3, 1);
        var tensors = Enumerable.Range(0, 60).ToDictionary(i => $"layer{i}.weight \"ü\" \\ {i}", i => (float[])[.. Enumerable.Range(0, random.NextInt(40000)).Select(_ => random.NextSingle())]);
        string path = _folder.File("many.safetensors");
        var metadata = new Dictionary<string, string> { ["b"] = "2\n\u0001", ["a"] = "日本" };
        SafeTensorsWriter.Write(path, tensors.Select(t => SafeTensorsEntry.FromFloats(t.Key, [t.Value.Length], t.Value)), metadata);
        using var file = SafeTensorsFile.Open(path);
        Assert.Equal(metadata.OrderBy(m => m.Key), file.Metadata.OrderBy(m => m.Key));
        Assert.Equal(60, file.Entries.Count);
        foreach (var (name, values) in tensors) Assert.Equal(values, file.Read(name));
        byte[] first = File.ReadAllBytes(path);
        SafeTensorsWriter.Write(path, tensors.Reverse().Select(t => SafeTensorsEntry.FromFloats(t.Key, [t.Value.Length], t.Value)), metadata);
        Assert.Equal(first, File.ReadAllBytes(path));
        Assert.Equal(0, BinaryPrimitives.ReadInt64LittleEndian(first) % 8);
    }

    [Fact]
    public void EmptyFilesAndTensors()
    {
        string path = _folder.File("empty.safetensors");
        SafeTensorsWriter.Write(path, []);
        using (var file = SafeTensorsFile.Open(path)) Assert.Empty(file.Entries);
        SafeTensorsWriter.Write(path, [SafeTensorsEntry.FromFloats("a", [0, 5], Array.Empty<float>()), SafeTensorsEntry.FromFloats("b", [1], new[] { 3f }), SafeTensorsEntry.FromFloats("c", [0], Array.Empty<float>())]);
        using (var file = SafeTensorsFile.Open(path))
        {
            Assert.Empty(file.Read("a"));
            Assert.Equal([3f], file.Read("b"));
            Assert.Empty(file.Read("c"));
            Assert.Contains("holds no tensor 'd'", Assert.Throws<FileFormatException>(() => file.Read("d")).Message);
        }
    }

    [Fact]
    public void TheWriterRefusesWhatNoReaderCouldRead()
    {
        string path = _folder.File("bad.safetensors");
        var one = SafeTensorsEntry.FromFloats("x", [1], new float[1]);
        Assert.Contains("called 'x'", Assert.Throws<ArgumentException>(() => SafeTensorsWriter.Write(path, [one, one])).Message);
        Assert.Throws<ArgumentException>(() => SafeTensorsWriter.Write(path, [SafeTensorsEntry.FromFloats("__metadata__", [1], new float[1])]));
        Assert.Throws<ArgumentException>(() => SafeTensorsEntry.FromFloats("x", [2, 3], new float[5]));
        Assert.Throws<ArgumentException>(() => SafeTensorsEntry.FromFloats("x", [-1, -5], new float[5]));
        Assert.Throws<ArgumentException>(() => SafeTensorsEntry.FromFloats("x", [1], new float[1], SafeTensorsType.I8));
        Assert.Throws<ArgumentException>(() => SafeTensorsEntry.FromBytes("x", SafeTensorsType.F32, [1], new byte[3]));
        Assert.False(File.Exists(path));
    }

    private static byte[] Encode(SafeTensorsType type, int v) => type switch
    {
        SafeTensorsType.Bool or SafeTensorsType.U8 or SafeTensorsType.I8 => [(byte)v],
        SafeTensorsType.I16 => BitConverter.GetBytes((short)v),
        SafeTensorsType.U16 => BitConverter.GetBytes((ushort)v),
        SafeTensorsType.F16 => BitConverter.GetBytes((Half)v),
        SafeTensorsType.BF16 => BitConverter.GetBytes((float)v)[2..],
        SafeTensorsType.I32 => BitConverter.GetBytes(v),
        SafeTensorsType.U32 => BitConverter.GetBytes((uint)v),
        SafeTensorsType.F32 => BitConverter.GetBytes((float)v),
        SafeTensorsType.F64 => BitConverter.GetBytes((double)v),
        SafeTensorsType.I64 => BitConverter.GetBytes((long)v),
        _ => BitConverter.GetBytes((ulong)v),
    };
}
