using RefConv.IO;
using RefConv.Kernels;

namespace RefConv.Tests.Formats;

/// <summary>Conversions and the change of order on the way from a file into a parameter, each against its plain definition.</summary>
public sealed unsafe class ElementReaderTests : DeviceTest
{
    private static readonly SafeTensorsType[] Floats = [SafeTensorsType.F32, SafeTensorsType.F64, SafeTensorsType.F16, SafeTensorsType.BF16];

    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Fact]
    public void EveryHalf()
    {
        ushort[] halves = [.. Enumerable.Range(0, 1 << 16).Select(i => (ushort)i)];
        float[] read = new float[halves.Length];
        fixed (ushort* from = halves) ElementReader.Read(SafeTensorsType.F16, (byte*)from, read);
        for (int i = 0; i < halves.Length; i++)
        {
            float expected = (float)BitConverter.UInt16BitsToHalf(halves[i]);
            if (float.IsNaN(expected)) Assert.True(float.IsNaN(read[i]), $"half {i:X4}");
            else Assert.Equal(BitConverter.SingleToUInt32Bits(expected), BitConverter.SingleToUInt32Bits(read[i]));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(37)]
    public void WholeNumbersAndDoublesAtAnyLength(int count)
    {
        // One byte off: files do not align their tensors.
        byte[] memory = new byte[(count * 8) + 1];
        var random = new RandomStream(3, (ulong)count);
        for (int i = 0; i < memory.Length; i++) memory[i] = (byte)random.NextBits();
        fixed (byte* start = memory)
        {
            byte* from = start + 1;
            Check(SafeTensorsType.I64, i => ((long*)from)[i]);
            Check(SafeTensorsType.U64, i => ((ulong*)from)[i]);
            Check(SafeTensorsType.I32, i => ((int*)from)[i]);
            Check(SafeTensorsType.U32, i => ((uint*)from)[i]);
            Check(SafeTensorsType.I16, i => ((short*)from)[i]);
            Check(SafeTensorsType.U16, i => ((ushort*)from)[i]);
            Check(SafeTensorsType.I8, i => ((sbyte*)from)[i]);
            Check(SafeTensorsType.U8, i => from[i]);
            Check(SafeTensorsType.Bool, i => from[i] == 0 ? 0 : 1);
            for (int i = 0; i < count; i++) ((double*)from)[i] = random.NextNormal() * Math.Pow(10, i - 20);
            Check(SafeTensorsType.F64, i => (float)((double*)from)[i]);
            Check(SafeTensorsType.BF16, i => BitConverter.UInt32BitsToSingle((uint)((ushort*)from)[i] << 16));

            void Check(SafeTensorsType type, Func<int, float> expected)
            {
                float[] read = new float[count];
                ElementReader.Read(type, from, read);
                for (int i = 0; i < count; i++) Assert.Equal(expected(i), read[i]);
            }
        }
    }

    [Fact]
    public void NonFiniteValuesAreSeenAnywhere()
    {
        float[] values = [.. Enumerable.Repeat(float.MaxValue, 64 + 64 + 32 + 11)]; // whole runs of four vectors of either width, and a tail
        Assert.True(ElementReader.AllFinite(values));
        for (int i = 0; i < values.Length; i++)
        {
            foreach (float bad in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity, -float.NaN })
            {
                values[i] = bad;
                Assert.False(ElementReader.AllFinite(values), $"{bad} at {i}");
            }
            values[i] = -float.Epsilon;
        }
    }

    [Theory]
    [InlineData("F32", "diverged", float.NaN)]
    [InlineData("F32", "holds infinite values: the training", float.PositiveInfinity)]
    [InlineData("BF16", "holds infinite values: the training", float.NegativeInfinity)]
    [InlineData("F16", "too large for half precision", 70000f)]
    [InlineData("F64", "diverged", float.NaN)]
    public void WeightsThatAreNoNumbersAreTold(string type, string phrase, float bad)
    {
        float[] values = new float[5000];
        values[4321] = bad;
        SafeTensorsWriter.Write(_folder.File("x"), [SafeTensorsEntry.FromFloats("w", [5000], values, Enum.Parse<SafeTensorsType>(type))]);
        using var file = SafeTensorsFile.Open(_folder.File("x"));
        Assert.Contains(phrase, Assert.Throws<FileFormatException>(() => file.RequireFinite("w")).Message);
    }

    [Fact]
    public void ADoubleBeyondSinglePrecisionIsTold()
    {
        SafeTensorsWriter.Write(_folder.File("x"), [SafeTensorsEntry.FromBytes("w", SafeTensorsType.F64, [1], BitConverter.GetBytes(1e200))]);
        using var file = SafeTensorsFile.Open(_folder.File("x"));
        Assert.Contains("too large for single precision", Assert.Throws<FileFormatException>(() => file.RequireFinite("w")).Message);
    }

    /// <summary>Tiles, edges of tiles, several blocks and, in the last ones, several threads.</summary>
    [Theory]
    [InlineData(1, 1, 1, 1)]
    [InlineData(16, 4, 3, 3)]
    [InlineData(17, 5, 3, 2)]
    [InlineData(33, 1, 5, 5)]
    [InlineData(100, 900, 1, 1)]
    [InlineData(70, 500, 3, 3)]
    [InlineData(3, 40000, 3, 3)]
    public void ParametersAreFilledInTheOrderOfMemory(int cout, int cin, int kh, int kw)
    {
        var layout = ParameterLayout.Conv2d(cout, cin, kh, kw);
        float[] values = [.. Normal((long)cout * cin * kh * kw, 5).Select(v => (float)v)];
        float[] expected = layout.ReorderAxes<float>(values, toMemory: true);
        Assert.Equal(expected, layout.ToMemory<float>(values));
        Assert.Equal(values, layout.ToTorch<float>(expected));
        foreach (var type in Floats)
        {
            SafeTensorsWriter.Write(_folder.File("x"), [SafeTensorsEntry.FromFloats("w", [cout, cin, kh, kw], values, type)]);
            using var file = SafeTensorsFile.Open(_folder.File("x"));
            foreach (var device in new Device[] { Cpu, Reference })
            {
                if (device == Reference && values.Length > 100_000) continue;
                using var parameter = new Parameter(device, layout);
                file.ReadInto("w", parameter);
                Assert.Equal(layout.ReorderAxes<float>(file.Read("w"), toMemory: true), parameter.ToArray());
            }
        }
    }

    [Fact]
    public void ParametersInTheOrderOfTheFileAreCopied()
    {
        float[] values = [.. Normal(700_001, 6).Select(v => (float)v)];
        foreach (var type in Floats)
        {
            SafeTensorsWriter.Write(_folder.File("x"), [SafeTensorsEntry.FromFloats("w", [values.Length], values, type)]);
            using var file = SafeTensorsFile.Open(_folder.File("x"));
            using var parameter = new Parameter(Cpu, ParameterLayout.Plain(new Shape(values.Length)));
            file.ReadInto("w", parameter);
            Assert.Equal(file.Read("w"), parameter.ToArray());
        }
    }
}
