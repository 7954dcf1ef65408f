using System.Text;
using RefConv.IO;

namespace RefConv.Tests.Formats;

/// <summary>NumPy files: what NumPy wrote is read, what is written is what NumPy would write, and damage is told.</summary>
public sealed class NpyTests : IDisposable
{
    // The elements −0.5, −0.25 … 0.75, without a header.
    private const string Small = "AAAAvwAAgL4AAAAAAACAPgAAAD8AAEA/";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void WritesTheBytesOfNumPy()
    {
        // numpy.lib.format.write_array(f, (arange(6, dtype='<f4')/4 - 0.5).reshape(2, 3))
        const string numPy = "k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAC/AACAvgAAAAAAAIA+AAAAPwAAQD8=";
        string path = _folder.File("x.npy");
        NpyFile.Write(path, (float[])[-0.5f, -0.25f, 0, 0.25f, 0.5f, 0.75f], new Shape(2, 3));
        Assert.Equal(Convert.FromBase64String(numPy), File.ReadAllBytes(path));
    }

    [Fact]
    public void WhatIsWrittenIsRead()
    {
        string path = _folder.File("x.npy");
        NpyFile.Write(path, (double[])[1.5, double.NaN, -1e300], new Shape(3));
        Assert.Equal((NpyType.Float64, new Shape(3)), (NpyFile.Read(path).Type, NpyFile.Read(path).Shape));
        Assert.Equal([1.5, double.NaN, -1e300], NpyFile.Read(path).ToDoubles());
        Assert.Equal([1.5f, float.NaN, float.NegativeInfinity], NpyFile.Read(path).ToFloats());
        Assert.Contains("not whole numbers", Assert.Throws<InvalidOperationException>(() => NpyFile.Read(path).ToInt64()).Message);
        NpyFile.Write(path, (long[])[long.MinValue, 7], new Shape(2, 1, 1));
        Assert.Equal([long.MinValue, 7], NpyFile.Read(path).ToInt64());
        NpyFile.Write(path, (byte[])[200], new Shape());
        Assert.Equal(0, NpyFile.Read(path).Shape.Rank);
        Assert.Equal([200L], NpyFile.Read(path).ToInt64());
        NpyFile.Write(path, Array.Empty<float>(), new Shape(0, 3));
        Assert.Equal(new Shape(0, 3), NpyFile.Read(path).Shape);
        Assert.Empty(NpyFile.Read(path).ToFloats());
        Assert.Throws<ShapeException>(() => NpyFile.Write(path, new float[5], new Shape(2, 3)));
        Assert.Single(Directory.GetFiles(_folder.Path));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void ReadsEveryVersion(int version)
    {
        var array = Read(Header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", version), Convert.FromBase64String(Small));
        Assert.Equal(new Shape(2, 3), array.Shape);
        Assert.Equal([-0.5f, -0.25f, 0, 0.25f, 0.5f, 0.75f], array.ToFloats());
    }

    [Fact]
    public void ReadsFortranOrder()
    {
        // numpy.save(asfortranarray(arange(24, dtype='u1').reshape(2, 3, 4)))
        byte[] stored = [0, 12, 4, 16, 8, 20, 1, 13, 5, 17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23];
        Assert.Equal(Enumerable.Range(0, 24).Select(i => (long)i), Read(Header("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4), }"), stored).ToInt64());
        byte[] wide = [.. stored.SelectMany(v => BitConverter.GetBytes((double)v))];
        Assert.Equal(Enumerable.Range(0, 24).Select(i => (double)i), Read(Header("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3, 4), }"), wide).ToDoubles());
    }

    [Theory]
    [InlineData("{'descr': '>f4', 'fortran_order': False, 'shape': (6,), }", "big-endian")]
    [InlineData("{'descr': '<f2', 'fortran_order': False, 'shape': (12,), }", "float32, float64, int64 and uint8 can be read")]
    [InlineData("{'descr': '|O', 'fortran_order': False, 'shape': (6,), }", "can be read")]
    [InlineData("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }", "records of several fields")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }", "cut off: an array (7) takes 28 bytes and 24 are there")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }", "too long")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4), }", "an axis of 4294967296")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (2147483647, 2147483647, 2147483647, 0), }", "larger than anything")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (-6,), }", "a size is missing")]
    [InlineData("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (6,), }", "neither True nor False")]
    [InlineData("{'descr': '<f4', 'shape': (6,), }", "lacks")]
    [InlineData("{'descr': '<f4', 'descr': '<f4', 'shape': (6,), }", "twice")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'x': 1}", "'x' is no part")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (6,)} __import__('os')", "something follows")]
    [InlineData("{'descr': '<f4", "a text does not end")]
    [InlineData("", "'{' is missing")]
    public void DamageIsTold(string header, string phrase)
    {
        var e = Assert.Throws<FileFormatException>(() => Read(Header(header), new byte[24]));
        Assert.Contains(phrase, e.Message);
    }

    [Fact]
    public void OtherFilesAreTold()
    {
        Assert.Contains("not a NumPy file", Message("PK\u0003\u0004 and so on"u8.ToArray()));
        Assert.Contains("not a NumPy file", Message([]));
        Assert.Contains("cut off", Message([0x93, .. "NUMPY"u8, 1, 0]));
        Assert.Contains("version 4.0", Message([0x93, .. "NUMPY"u8, 4, 0, 0, 0, 0, 0]));
        Assert.Contains("more than a plain array needs", Message([0x93, .. "NUMPY"u8, 2, 0, 255, 255, 255, 255]));
        Assert.Contains("cut off: its header", Message([0x93, .. "NUMPY"u8, 1, 0, 200, 0, 0, 0]));
        Assert.Contains("is a folder", Assert.Throws<FileFormatException>(() => NpyFile.Read(_folder.Path)).Message);
        Assert.Throws<FileNotFoundException>(() => NpyFile.Read(_folder.File("none.npy")));

        string Message(byte[] bytes) => Assert.Throws<FileFormatException>(() => NpyFile.Read(_folder.Write("x.npy", bytes))).Message;
    }

    [Fact]
    public void MutatedFilesGiveAResultOrAClearError()
    {
        byte[] good = [.. Header("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }"), .. Convert.FromBase64String(Small)];
        var random = new Random(1);
        int read = 0, refused = 0;
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = [.. good.AsSpan(0, random.Next(6) == 0 ? random.Next(good.Length + 1) : good.Length)];
            for (int change = random.Next(1, 3); change > 0 && bytes.Length > 0; change--)
            {
                // Mostly in what means something: the first 70 bytes.
                bytes[random.Next(Math.Min(bytes.Length, random.Next(4) == 0 ? bytes.Length : 70))] = random.Next(2) == 0 ? (byte)random.Next(256) : (byte)"0123456789(),'{}<f8 "[random.Next(20)];
            }
            try
            {
                var array = NpyFile.Read("x", new MemoryStream(bytes));
                Assert.Equal(array.Shape.Count, array.ToDoubles().Length);
                read++;
            }
            catch (FileFormatException)
            {
                refused++;
            }
        }
        Assert.True(read > 500 && refused > 500, $"{read} read, {refused} refused"); // both happen
    }

    private static NpyArray Read(byte[] header, byte[] data) => NpyFile.Read("x", new MemoryStream([.. header, .. data]));

    private static byte[] Header(string text, int version = 1)
    {
        int fixedPart = version == 1 ? 10 : 12;
        byte[] body = Encoding.UTF8.GetBytes(text.PadRight(118 - fixedPart) + "\n");
        byte[] length = version == 1 ? BitConverter.GetBytes((ushort)body.Length) : BitConverter.GetBytes(body.Length);
        return [0x93, .. "NUMPY"u8, (byte)version, 0, .. length, .. body];
    }
}
