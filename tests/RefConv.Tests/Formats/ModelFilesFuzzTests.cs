using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Onnx;
using RefConv.Tests.Models;
using Xunit.Abstractions;

namespace RefConv.Tests.Formats;

/// <summary>
/// Files of models, plain and refocused, of which the description, the list of tensors or the values were damaged at random from a fixed seed: each loads, and is
/// then exported to ONNX or refused there, or is refused in a sentence. 300 inputs; more with the environment variable REFCONV_FUZZ (the record is 100,000).
/// </summary>
public sealed class ModelFilesFuzzTests(ITestOutputHelper output) : DeviceTest
{
    private const string Key = "refconv.model";

    private const int LengthBytes = 8;

    private static readonly int Inputs = int.TryParse(Environment.GetEnvironmentVariable("REFCONV_FUZZ"), out int n) ? n : 300;

    private readonly TemporaryFolder _folder = new();

    private int _loaded, _exported;

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Fact]
    public void ModelFiles()
    {
        byte[][] samples = [Sample("mobilenet_v1", refocused: false), Sample("mobilenet_v1", refocused: true), Sample("sesr_m3_x2", refocused: false)];
        foreach (byte[] sample in samples) Try(sample); // warm: code is compiled and caches are filled once
        Assert.Equal((3, 2), (_loaded, _exported));
        (_loaded, _exported) = (0, 0);
        var random = new RandomStream(29, 4);
        for (int i = 0; i < Inputs; i++)
        {
            byte[] bytes = Damage(samples[i % samples.Length], samples, random);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                Try(bytes);
            }
            catch (Exception e)
            {
                string kept = Path.Combine(Path.GetTempPath(), $"refconv-fuzz-model-{i}.safetensors");
                File.WriteAllBytes(kept, bytes);
                throw new InvalidOperationException($"input {i} ended in {e.GetType().Name}: {e.Message}; the file is kept as {kept}", e);
            }
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < (64 << 20) + (100L * bytes.Length), $"input {i}, {bytes.Length} bytes, made it allocate {allocated}");
        }
        output.WriteLine($"{Inputs} inputs: {_loaded} loaded, {_exported} of them exported, {Inputs - _loaded} refused; at most {Cpu.Memory.PeakRentedBytes / 1e6:F1} MB of weights at a time");
        Assert.InRange(Cpu.Memory.PeakRentedBytes, 0, 32 << 20);
        Assert.True(_loaded > Inputs / 10 && _exported > Inputs / 20 && _loaded < Inputs * 4 / 5, $"{_loaded} loaded, {_exported} exported: the damage does not test much");
    }

    private void Try(byte[] bytes)
    {
        string path = _folder.Write("fuzz", bytes);
        Model model;
        DataInfo? data;
        try
        {
            model = ModelFile.Load(path, Cpu, out data);
        }
        catch (Exception e) when (e is FileFormatException or StateDictException)
        {
            Assert.Contains(path, e.Message);
            return;
        }
        using var loaded = model;
        _loaded++;
        try
        {
            _ = OnnxExporter.Export(model, _folder.File("fuzz.onnx"), new OnnxOptions { Data = data });
            _exported++;
        }
        catch (Exception e) when (e is InvalidOperationException or NotSupportedException or ArgumentException)
        {
            Assert.True(e.Message.Length > 30 && e.GetType().Namespace != "System.Text.Json", e.Message); // a form, or a picture too small
        }
    }

    private byte[] Sample(string architecture, bool refocused)
    {
        var spec = new ModelSpec(architecture) { Classes = 7, Width = 1 / 16.0, SmallImages = true, ImageSize = 32, InChannels = architecture.StartsWith("sesr", StringComparison.Ordinal) ? 1 : 3 };
        using var plain = Zoo.Create(spec, new Initializer(Cpu, 5));
        using var model = refocused ? plain.Expand(new RefConvMethod(), LayerPolicy.LargerThan1, seed: 6) : null;
        ModelFile.Save(model ?? plain, _folder.File("sample"), new DataInfo("letters", [.. Enumerable.Repeat(0.4f, spec.InChannels)], [.. Enumerable.Repeat(0.2f, spec.InChannels)], ["a", "b", "c", "d", "e", "f", "g"]));
        return File.ReadAllBytes(_folder.File("sample"));
    }

    /// <summary>Half of the time the description is damaged as text, so that the file around it stays whole; or the values; or anything.</summary>
    private static byte[] Damage(byte[] sample, byte[][] samples, RandomStream random)
    {
        int header = (int)BinaryPrimitives.ReadInt64LittleEndian(sample) + LengthBytes;
        switch (random.NextInt(4))
        {
            case 0 or 1:
                string json = Encoding.UTF8.GetString(sample, LengthBytes, header - LengthBytes);
                using (var document = JsonDocument.Parse(json))
                {
                    var description = document.RootElement.GetProperty("__metadata__").GetProperty(Key);
                    byte[] text = Encoding.UTF8.GetBytes(description.GetString()!);
                    string damaged = JsonEncodedText.Encode(Encoding.Latin1.GetString(WeightFilesFuzzTests.Mutate(text, [text], random, most: 2))).ToString();
                    string rest = json.Replace(description.GetRawText(), $"\"{damaged}\"", StringComparison.Ordinal);
                    byte[] changed = Encoding.UTF8.GetBytes(rest.PadRight((rest.Length + 7) / 8 * 8));
                    return [.. BitConverter.GetBytes((long)changed.Length), .. changed, .. sample.AsSpan(header)];
                }
            case 2:
                return [.. sample.AsSpan(0, header), .. Flipped(sample.AsSpan(header).ToArray(), random)];
            default:
                return WeightFilesFuzzTests.Mutate(sample, samples, random);
        }
    }

    private static byte[] Flipped(byte[] values, RandomStream random)
    {
        for (int n = 1 + random.NextInt(4); n > 0; n--) values[random.NextInt(values.Length)] ^= (byte)(1 << random.NextInt(8));
        return values;
    }
}
