using System.Diagnostics;
using RefConv.IO;
using RefConv.Kernels;
using Xunit.Abstractions;

namespace RefConv.Tests.Formats;

/// <summary>
/// Real files of weights, damaged at random from a fixed seed: each opens and can be read to the end, or is refused with one clear exception; none takes
/// memory or time that its size does not justify. 2,000 inputs a format; more with the environment variable REFCONV_FUZZ (the record is 100,000).
/// </summary>
public sealed class WeightFilesFuzzTests(ITestOutputHelper output) : IDisposable
{
    private static readonly int Inputs = int.TryParse(Environment.GetEnvironmentVariable("REFCONV_FUZZ"), out int n) ? n : 2000;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void SafeTensors()
    {
        string path = _folder.File("sample.safetensors");
        SafeTensorsWriter.Write(path,
        [
            SafeTensorsEntry.FromFloats("conv.weight", [2, 1, 3, 3], new float[18]),
            SafeTensorsEntry.FromInt64("steps", [], new long[1]),
            SafeTensorsEntry.FromFloats("half", [3], new float[3], SafeTensorsType.F16),
            SafeTensorsEntry.FromFloats("bfloat", [3], new float[3], SafeTensorsType.BF16),
            SafeTensorsEntry.FromFloats("double", [2, 2], new float[4], SafeTensorsType.F64),
            SafeTensorsEntry.FromFloats("empty", [0], Array.Empty<float>()),
        ], new Dictionary<string, string> { ["format"] = "pt" });
        Fuzz([File.ReadAllBytes(path)], 1);
    }

    [Fact]
    public void TorchZip() => Fuzz([.. Golden("zip"), File.ReadAllBytes(TorchFileTests.Golden("protocol4.zip"))], 2);

    [Fact]
    public void TorchLegacy() => Fuzz(Golden("legacy"), 3);

    private static byte[][] Golden(string kind) => [.. new[] { "types", "views", "checkpoint", "objects1", "objects4" }.Select(n => File.ReadAllBytes(TorchFileTests.Golden($"{n}.{kind}")))];

    private void Fuzz(byte[][] samples, ulong stream)
    {
        var random = new RandomStream(29, stream);
        int opened = 0, refused = 0;
        double worstRatio = 0;
        foreach (byte[] sample in samples) Try(sample); // warm: code is compiled and caches are filled once
        (opened, refused) = (0, 0);
        for (int i = 0; i < Inputs; i++)
        {
            byte[] bytes = Mutate(samples[i % samples.Length], samples, random);
            long start = Stopwatch.GetTimestamp(), before = GC.GetAllocatedBytesForCurrentThread();
            Try(bytes);
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            worstRatio = Math.Max(worstRatio, allocated / (double)(bytes.Length + 1024));
            if (allocated > (100L * bytes.Length) + (256 << 10)) Fail(bytes, i, $"{bytes.Length} bytes made it allocate {allocated}");
            if (Stopwatch.GetElapsedTime(start).TotalSeconds > 20) Fail(bytes, i, "took more than 20 s");
        }
        output.WriteLine($"{Inputs} inputs: {opened} opened and read, {refused} refused; at most {worstRatio:F1} bytes allocated a byte of file");
        Assert.True(opened > Inputs / 50 && refused > Inputs / 5, $"{opened} were opened and {refused} refused: the mutations do not test much");

        void Try(byte[] bytes)
        {
            string path = _folder.Write("fuzz", bytes);
            try
            {
                using var file = TensorFile.Open(path);
                foreach (var tensor in file.Tensors)
                {
                    Assert.Equal(tensor.Count, file.Read(tensor.Name).LongLength);
                    try
                    {
                        file.RequireFinite(tensor.Name);
                    }
                    catch (FileFormatException)
                    {
                        // Bits of a weight were turned into NaN.
                    }
                }
                opened++;
            }
            catch (FileFormatException e)
            {
                Assert.StartsWith(path + ": ", e.Message);
                refused++;
            }
        }
    }

    private static void Fail(byte[] bytes, int index, string why)
    {
        string kept = Path.Combine(Path.GetTempPath(), $"refconv-fuzz-{index}.bin");
        File.WriteAllBytes(kept, bytes);
        Assert.Fail($"input {index}: {why}; the file is kept as {kept}");
    }

    /// <summary>One to four changes of the kinds that break parsers: bits, edge values, numbers, missing, doubled and foreign pieces.</summary>
    internal static byte[] Mutate(byte[] sample, byte[][] samples, RandomStream random, int most = 4)
    {
        var bytes = sample.ToList();
        for (int n = 1 + random.NextInt(most); n > 0 && bytes.Count > 16; n--)
        {
            int at = Position(bytes.Count, random);
            switch (random.NextInt(10))
            {
                case 0 or 1: bytes[at] ^= (byte)(1 << random.NextInt(8)); break;
                case 2: bytes[at] = (byte)random.NextBits(); break;
                case 3: bytes[at] = (byte)(random.NextInt(2) * 255); break;
                case 4: bytes.RemoveRange(at, Math.Min(1 + random.NextInt(8), bytes.Count - at)); break;
                case 5: bytes.Insert(at, (byte)"0123456789\",:[]{}-().}]tRQbuseqhXKJcNM\x88\x8a\x85"[random.NextInt(38)]); break;
                case 6: bytes[at] = (byte)"0123456789\",:[]{}-().}]tRQbuseqhXKJcNM\x88\x8a\x85"[random.NextInt(38)]; break;
                case 7:
                    for (int i = 0, size = 1 << random.NextInt(4); i < size && at + i < bytes.Count; i++) bytes[at + i] = 0xFF;
                    break;
                case 8: bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.NextInt(60), bytes.Count - at))); break;
                default:
                    byte[] other = samples[random.NextInt(samples.Length)];
                    int from = random.NextInt(other.Length), count = Math.Min(random.NextInt(60), other.Length - from);
                    for (int i = 0; i < count && at + i < bytes.Count; i++) bytes[at + i] = other[from + i];
                    break;
            }
        }
        return [.. bytes];
    }

    /// <summary>Beginnings and ends, where the structure of files is, more often than the middle.</summary>
    private static int Position(int count, RandomStream random) => random.NextInt(4) switch
    {
        0 => random.NextInt(Math.Min(count, 400)),
        1 => count - 1 - random.NextInt(Math.Min(count, 700)),
        _ => random.NextInt(count),
    };
}
