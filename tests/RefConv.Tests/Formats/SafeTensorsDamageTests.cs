using System.Buffers.Binary;
using System.Text;
using RefConv.IO;
using RefConv.Kernels;

namespace RefConv.Tests.Formats;

/// <summary>Whatever bytes a file holds, opening it gives a file that can be read to the end or one clear exception.</summary>
public sealed class SafeTensorsDamageTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, null)]
    [InlineData("""{"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"a":{"data_offsets":[0,4],"shape":[1],"dtype":"F32"}}""", 8, null)]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}""", 16, "'a' occurs twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7, "holds 7 bytes of data")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 9, "1 bytes at its end")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}""", 9, "1 bytes before")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "overlap")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "bytes 8 to 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "needs 12 bytes")]
    [InlineData("""{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}""", 8, "type 'F31'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "'shape' of tensor 'a'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}""", 8, "can be counted")]
    [InlineData("""{"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}""", 0, "can be counted")]
    [InlineData("""{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}}""", 8, "'shape' of tensor 'a'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}""", 8, "'shape' of tensor 'a'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}}""", 8, "'data_offsets' of tensor 'a'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2]}}""", 8, "lacks")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "'dtype' of tensor 'a'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}""", 8, "an entry 'x'")]
    [InlineData("""{"a":[]}""", 0, "not an object")]
    [InlineData("""{"__metadata__":{"k":1}}""", 0, "not text")]
    [InlineData("""{"__metadata__":{"k":"1","k":"2"}}""", 0, "occurs twice")]
    [InlineData("""{"__metadata__":{},"__metadata__":{}}""", 0, "occurs twice")]
    [InlineData("""{"\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "not valid JSON")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} x""", 8, "not valid JSON")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},}""", 8, "not valid JSON")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}""", 8, "not valid JSON")]
    [InlineData(""" {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "begin with '{'")]
    [InlineData("[]", 0, "begin with '{'")]
    public void HeadersAreChecked(string header, int dataBytes, string? complaint)
    {
        string path = Write(header, dataBytes);
        if (complaint is null)
        {
            using var file = SafeTensorsFile.Open(path);
            Assert.NotEmpty(file.Entries);
            return;
        }
        var e = Assert.Throws<FileFormatException>(() => SafeTensorsFile.Open(path));
        Assert.Contains(complaint, e.Message);
        Assert.StartsWith(path, e.Message);
        Assert.Equal(path, e.Path);
    }

    [Fact]
    public void ForeignFilesAreRecognised()
    {
        Check("version https://git-lfs.github.com/spec/v1\noid sha256:12"u8, "git lfs pull");
        Check("PK\u0003\u0004aaaaaaaaaaaaaaaaaaa"u8, "PyTorch");
        Check([0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20], "pickle");
        Check([0x93, .. "NUMPY\u0001\0v\0{aaaaaa"u8], "NumPy");
        Check([0x1F, 0x8B, 8, 0, 1, 2, 3, 4, 5], "gzip");
        Check("<!DOCTYPE html><html>"u8, "web page");
        Check("{\"weight_map\": 1234567}"u8, "JSON");
        Check([255, 255, 255, 255, 255, 255, 255, 255, 123, 125], "header would take");
        Check([100, 0, 0, 0, 0, 0, 0, 0, 123, 125], "cut off");
        Check([0, 0, 0, 0, 0, 0, 0, 0], "header would take 0");
        Check([2, 0, 0, 0, 0, 0, 0, 0, (byte)'{', 0xC3], "not UTF-8");
        Check([], "is empty");
        Assert.Contains("is a folder", Assert.Throws<FileFormatException>(() => SafeTensorsFile.Open(_folder.Path)).Message);
        Assert.Contains("There is no file", Assert.Throws<FileNotFoundException>(() => SafeTensorsFile.Open(_folder.File("none"))).Message);

        void Check(ReadOnlySpan<byte> bytes, string complaint)
        {
            string path = _folder.Write("foreign.safetensors", bytes);
            Assert.Contains(complaint, Assert.Throws<FileFormatException>(() => SafeTensorsFile.Open(path)).Message);
        }
    }

    [Fact]
    public void CutAtAnyByte()
    {
        byte[] whole = File.ReadAllBytes(Sample());
        for (int length = 0; length < whole.Length; length++)
        {
            string path = _folder.Write("cut.safetensors", whole.AsSpan(0, length));
            Assert.Throws<FileFormatException>(() => SafeTensorsFile.Open(path));
        }
        string longer = _folder.Write("long.safetensors", [.. whole, 0]);
        Assert.Throws<FileFormatException>(() => SafeTensorsFile.Open(longer));
    }

    [Fact]
    public void MutatedFilesGiveAResultOrAnException()
    {
        byte[] whole = File.ReadAllBytes(Sample());
        var random = new RandomStream(11, 5);
        int opened = 0, refused = 0;
        for (int i = 0; i < 4000; i++)
        {
            byte[] bytes = Mutate(whole, random);
            string path = _folder.Write("mutated.safetensors", bytes);
            try
            {
                using var file = SafeTensorsFile.Open(path);
                foreach (var entry in file.Entries) Assert.Equal(entry.Count, file.Read(entry.Name).Length);
                opened++;
            }
            catch (FileFormatException)
            {
                refused++;
            }
        }
        Assert.True(opened > 100 && refused > 1000, $"{opened} were opened and {refused} refused: the mutations do not test much");
    }

    private static byte[] Mutate(byte[] whole, RandomStream random)
    {
        var bytes = whole.ToList();
        for (int n = 1 + random.NextInt(3); n > 0 && bytes.Count > 0; n--)
        {
            int at = random.NextInt(bytes.Count);
            switch (random.NextInt(6))
            {
                case 0: bytes[at] ^= (byte)(1 << random.NextInt(8)); break;
                case 1: bytes[at] = (byte)random.NextBits(); break;
                case 2: bytes.RemoveAt(at); break;
                case 3: bytes.Insert(at, (byte)"0123456789\",:[]{}-"[random.NextInt(18)]); break;
                case 4: bytes[at] = (byte)"0123456789\",:[]{}-"[random.NextInt(18)]; break;
                default: bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.NextInt(40), bytes.Count - at))); break;
            }
        }
        return [.. bytes];
    }

    private string Sample()
    {
        string path = _folder.File("sample.safetensors");
        SafeTensorsWriter.Write(path,
        [
            SafeTensorsEntry.FromFloats("conv.weight", [2, 1, 3, 3], new float[18]),
            SafeTensorsEntry.FromInt64("steps", [], new long[1]),
            SafeTensorsEntry.FromFloats("half", [3], new float[3], SafeTensorsType.F16),
            SafeTensorsEntry.FromFloats("empty", [0], Array.Empty<float>()),
        ], new Dictionary<string, string> { ["format"] = "pt" });
        return path;
    }

    private string Write(string header, int dataBytes)
    {
        byte[] text = Encoding.UTF8.GetBytes(header);
        byte[] bytes = new byte[8 + text.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, text.Length);
        text.CopyTo(bytes, 8);
        return _folder.Write("made.safetensors", bytes);
    }
}
