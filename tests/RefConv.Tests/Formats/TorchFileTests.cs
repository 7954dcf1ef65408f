using RefConv.IO;

namespace RefConv.Tests.Formats;

/// <summary>
/// PyTorch files of both formats, written by PyTorch itself (tests/Golden/torch_files.py says what is in them): every number comes back, wrappers and other
/// contents are passed over, and whatever is no weights is refused in a sentence, with nothing run.
/// </summary>
public sealed class TorchFileTests
{
    private static readonly string[] Kinds = ["zip", "legacy"];

    public static TheoryData<string> Formats => [.. Kinds];

    public static string Golden(string name) => Path.Combine(AppContext.BaseDirectory, "Golden", "torch", name + ".pth");

    [Theory]
    [MemberData(nameof(Formats))]
    public void EveryElementType(string kind)
    {
        using var file = TorchFile.Open(Golden($"types.{kind}"));
        Assert.Equal(
            ["f32 F32 [2, 3]", "f64 F64 [2, 3]", "f16 F16 [2, 3]", "bf16 BF16 [2, 3]", "i64 I64 [5]", "i32 I32 [5]", "i16 I16 [5]", "i8 I8 [5]", "u8 U8 [5]", "bool BOOL [3]", "scalar I64 []", "empty F32 [0, 4]"],
            file.Tensors.Select(t => t.ToString()));
        Assert.Equal(Value(6, 0), file.Read("f32"));
        Assert.Equal(Value(6, 1), file.Read("f64"));
        Assert.Equal(Value(6, 2).Select(v => (float)(Half)v), file.Read("f16"));
        Assert.Equal(Value(6, 3).Select(Rounded), file.Read("bf16"));
        foreach (string name in new[] { "i64", "i32", "i16", "i8" }) Assert.Equal([-3f, -2, -1, 0, 1], file.Read(name));
        Assert.Equal([253f, 254, 255, 0, 1], file.Read("u8"));
        Assert.Equal([1f, 0, 1], file.Read("bool"));
        Assert.Equal([7f], file.Read("scalar"));
        Assert.Empty(file.Read("empty"));

        static float Rounded(float v) => BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(v) + 0x7FFF + ((BitConverter.SingleToUInt32Bits(v) >> 16) & 1)) & 0xFFFF0000);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void SharedAndStridedStorages(string kind)
    {
        using var file = TorchFile.Open(Golden($"views.{kind}"));
        float[] whole = Value(24, 0);
        Check("whole", [4, 6], (i, j) => whole[(i * 6) + j]);
        Check("transposed", [6, 4], (i, j) => whole[(j * 6) + i]);
        Check("row", [6], (_, j) => whole[12 + j]);
        Check("column", [4], (_, i) => whole[(i * 6) + 1]);
        Check("block", [2, 3], (i, j) => whole[((i + 1) * 6) + j + 2]);
        Check("expanded", [3, 6], (_, j) => whole[j]);
        Check("stepped", [2, 2], (i, j) => whole[(i * 12) + (j * 3)]);
        Assert.Equal(Value(120, 1), file.Read("channels_last"));
        Assert.Equal(Value(3, 2), file.Read("parameter"));

        void Check(string name, long[] shape, Func<int, int, float> expected)
        {
            int columns = (int)shape[^1], rows = shape.Length == 1 ? 1 : (int)shape[0];
            Assert.Equal(shape, file.Tensors.Single(t => t.Name == name).Shape);
            Assert.Equal(Enumerable.Range(0, rows * columns).Select(n => expected(n / columns, n % columns)), file.Read(name));
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void NamesInACheckpointAreTheWayToATensor(string kind)
    {
        using var file = TorchFile.Open(Golden($"checkpoint.{kind}"));
        Assert.Equal(
            ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked", "2.weight", "2.bias"],
            file.Tensors.Where(t => t.Name.StartsWith("state_dict.", StringComparison.Ordinal)).Select(t => t.Name["state_dict.module.".Length..]));
        Assert.Equal(Value(54, 0), file.Read("state_dict.module.0.weight"));
        Assert.Equal([0f], file.Read("state_dict.module.1.num_batches_tracked"));
        Assert.All(file.Tensors, t => Assert.True(t.Name.StartsWith("state_dict.", StringComparison.Ordinal) || t.Name.StartsWith("optimizer.state.", StringComparison.Ordinal), t.Name));
        Assert.Contains("argparse.Namespace", file.PassedOver);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void NewerPickles(int protocol)
    {
        using var file = TorchFile.Open(Golden($"protocol{protocol}.zip"));
        Assert.Equal("net.x F32 [3, 2]", Assert.Single(file.Tensors).ToString());
        Assert.Equal(Value(6, 0), file.Read("net.x"));
    }

    [Theory]
    [InlineData("whole_model.zip", "holds an object of '__main__.Tiny'")]
    [InlineData("whole_model.zip", "torch.save(model.state_dict(), PATH)")]
    [InlineData("whole_model.legacy", "'__main__.Tiny'")]
    [InlineData("tensor", "holds a single tensor, not a state dict")]
    [InlineData("numbers", "a dictionary of 2 entries (epoch, lr)")]
    [InlineData("complex", "tensor 'x' has elements of type 'torch.ComplexFloatStorage'")]
    [InlineData("quantized", "'x' is an object of 'torch._utils._rebuild_qtensor'")]
    [InlineData("script.zip", "a TorchScript program")]
    [InlineData("plain_pickle", "not one that torch.save wrote")]
    public void WhatIsNoWeightsIsRefused(string name, string phrase)
    {
        foreach (string path in File.Exists(Golden(name)) ? [Golden(name)] : Kinds.Select(k => Golden($"{name}.{k}")).ToArray())
        {
            var e = Assert.Throws<FileFormatException>(() => TensorFile.Open(path));
            Assert.StartsWith(path + ": ", e.Message);
            Assert.Contains(phrase, e.Message);
            Assert.DoesNotContain('\n', e.Message);
        }
        Assert.False(File.Exists("harm-was-done"));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void WhatWouldDoHarmIsPassedOver(string kind)
    {
        using var file = TorchFile.Open(Golden($"harm.{kind}"));
        Assert.Equal("x F32 [2]", Assert.Single(file.Tensors).ToString());
        Assert.Equal(["posix.system"], file.PassedOver);
        Assert.False(File.Exists("harm-was-done"));
    }

    /// <summary>Everything that training scripts leave beside weights, in every protocol that can hold tensors: the weights are read, the rest does nothing.</summary>
    [Theory]
    [InlineData("objects1.zip")]
    [InlineData("objects1.legacy")]
    [InlineData("objects2.zip")]
    [InlineData("objects2.legacy")]
    [InlineData("objects4.zip")]
    [InlineData("objects4.legacy")]
    [InlineData("objects5.zip")]
    [InlineData("objects5.legacy")]
    public void ObjectsBesideTheWeights(string name)
    {
        using var file = TorchFile.Open(Golden(name));
        Assert.Equal(["torch random U8 [5056]", "weights.x F32 [3, 2]"], file.Tensors.Select(t => t.ToString()));
        Assert.Equal(Value(6, 0), file.Read("weights.x"));
        foreach (string what in new[] { "training.logging.History", "settings.Settings", "posix.system", "decimal.Decimal", "numpy.dtype" }) Assert.Contains(what, file.PassedOver);
        Assert.False(File.Exists("harm-was-done"));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void OverflowOfHalfPrecisionIsTold(string kind)
    {
        using var file = TorchFile.Open(Golden($"half_overflow.{kind}"));
        Assert.Equal([1f, float.PositiveInfinity], file.Read("x"));
        Assert.Contains("x F16 [2] holds infinite values: the numbers were too large for half precision", Assert.Throws<FileFormatException>(() => file.RequireFinite("x")).Message);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void CutAtAnyByte(string kind)
    {
        using var folder = new TemporaryFolder();
        byte[] whole = File.ReadAllBytes(Golden($"views.{kind}"));
        for (int length = 0; length < whole.Length; length++)
        {
            string path = folder.Write("cut.pth", whole.AsSpan(0, length));
            Assert.Throws<FileFormatException>(() => TensorFile.Open(path));
        }
        Assert.Throws<FileFormatException>(() => TensorFile.Open(folder.Write("long.pth", [.. whole, 0])));
    }

    [Fact]
    public void NamesOfNothing()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("is a folder", Assert.Throws<FileFormatException>(() => TorchFile.Open(folder.Path)).Message);
        Assert.Contains("There is no file", Assert.Throws<FileNotFoundException>(() => TorchFile.Open(folder.File("none"))).Message);
        Assert.Contains("is empty", Assert.Throws<FileFormatException>(() => TorchFile.Open(folder.Write("empty", []))).Message);
        Assert.Contains("compressed", Assert.Throws<FileFormatException>(() => TorchFile.Open(Zip(System.IO.Compression.CompressionLevel.Optimal, "a/data.pkl"))).Message);
        Assert.Contains("not one that torch.save wrote", Assert.Throws<FileFormatException>(() => TorchFile.Open(Zip(System.IO.Compression.CompressionLevel.NoCompression, "a/b/data.pkl"))).Message);
        using var file = TorchFile.Open(Golden("views.zip"));
        Assert.Contains("holds no tensor 'y'; it has 9: whole, transposed", Assert.Throws<FileFormatException>(() => file.Read("y")).Message);

        string Zip(System.IO.Compression.CompressionLevel level, string name)
        {
            string path = folder.File("made.zip");
            File.Delete(path);
            using var zip = System.IO.Compression.ZipFile.Open(path, System.IO.Compression.ZipArchiveMode.Create);
            using var entry = zip.CreateEntry(name, level).Open();
            entry.Write(new byte[1000]);
            return path;
        }
    }

    /// <summary>The filling of torch_files.py.</summary>
    private static float[] Value(int count, int a) => [.. Enumerable.Range(0, count).Select(n => (float)((((n * 7919L) + (a * 104729L)) % 1009 / 1009.0) - 0.5))];
}
