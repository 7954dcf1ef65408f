using System.Diagnostics;
using System.Text;
using RefConv.IO;

namespace RefConv.Tests.Formats;

/// <summary>Pickles made by hand: what no honest file has in it is refused, at a cost that the file's size justifies.</summary>
public sealed unsafe class PickleTests
{
    private const string Storage = "X\u0007\0\0\0storagectorch\nFloatStorage\nX\u0001\0\0\00X\u0003\0\0\0cpuK\u0006tQ";

    [Theory]
    [InlineData("cos", "a name in it has no end")]
    [InlineData("K\u0001K\u0002R.", "calls what cannot be called")]
    [InlineData("ctorch\nSize\nK\u0002\u0085R.", "'torch.Size' is called with what it cannot take")]
    [InlineData("ctorch._utils\n_rebuild_tensor_v2\n)R.", "is called with what it cannot take")]
    [InlineData("K\u0001Q.", "a storage has no name")]
    [InlineData("0.", "more values from its stack")]
    [InlineData("t.", "more values from its stack")]
    [InlineData("K\u0000K\u0001K\u0002s.", "no dictionary")]
    [InlineData("}(K\u0001u.", "a key without a value")]
    [InlineData("h\u0005.", "refers to value 5")]
    [InlineData("X\u00ff\u00ff\u00ff\u007f.", "ends too early")]
    [InlineData("\u008d\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f.", "ends too early")]
    [InlineData("\u008b\u00ff\u00ff\u00ff\u00ff.", "negative length")]
    [InlineData("\u0080\u0009.", "version 9 of the pickle format")]
    [InlineData("K\u0001", "ends too early")]
    [InlineData("K\u0001}b.", "attributes")]
    [InlineData("o.", "more values from its stack")]
    [InlineData("(o.", "more values from its stack")]
    [InlineData("Ix\n.", "a number in it is none")]
    [InlineData("Sx\n.", "has no quotes")]
    [InlineData("pq\n.", "what is no number")]
    [InlineData("\u0097.", "instruction 0x97")]
    public void WhatNoWeightsNeed(string pickle, string phrase) =>
        Assert.Contains(phrase, Assert.Throws<FileFormatException>(() => Read(pickle)).Message);

    /// <summary>Whatever a name that is not known is called with, given or filled with: the value can do nothing and stays what it is.</summary>
    [Theory]
    [InlineData("cos\nsystem\n(X\u0001\0\0\0atR.", "os.system")]
    [InlineData("cos\nsystem\n)\u0081.", "os.system")]
    [InlineData("cos\nsystem\n)}\u0092.", "os.system")]
    [InlineData("ios\nsystem\n.", null)]
    [InlineData("(K\u0001ios\nsystem\n.", "os.system")]
    [InlineData("(cos\nsystem\nK\u0001o.", "os.system")]
    [InlineData("c__builtin__\neval\n(X\u0001\0\0\0atR.", "__builtin__.eval")]
    [InlineData("\u008c\u0008builtins\u008c\u0004eval\u0093)R.", "builtins.eval")]
    [InlineData("ccollections\nOrderedDict.evil\n)R.", "collections.OrderedDict.evil")]
    [InlineData("ca\nb\n)R)R)R}b.", "a.b")]
    [InlineData("ca\nb\n)RK\u0001a(K\u0001K\u0002uK\u0001K\u0002s.", "a.b")]
    [InlineData("ca\nb\n)\u0081(K\u0001K\u0002e.", "a.b")]
    [InlineData("ctorch._utils\n_rebuild_parameter\n(ca\nb\n)R\u0089tR.", "a.b")]
    [InlineData("ctorch\nSize\nca\nb\n)R\u0085R.", "torch.Size")]
    [InlineData("Pid\n.", "a registered extension")]
    [InlineData("\u0082\u0001.", "a registered extension")]
    [InlineData("\u008f(K\u0001\u0090.", "a set")]
    [InlineData("\u0096\u0003\0\0\0\0\0\0\0abc.", "bytes")]
    public void WhatIsNotKnownCanDoNothing(string pickle, string? what)
    {
        if (what is null) Assert.Contains("more values from its stack", Assert.Throws<FileFormatException>(() => Read(pickle)).Message);
        else Assert.Equal(what, Assert.IsType<PickleOpaque>(Read(pickle)).What);
    }

    [Theory]
    [InlineData("I7\n.", 7L)]
    [InlineData("I-7\n.", -7L)]
    [InlineData("L123456789012L\n.", 123456789012L)]
    [InlineData("I01\n.", true)]
    [InlineData("I00\n.", false)]
    [InlineData("F2.5\n.", 2.5)]
    [InlineData("S'text'\n.", "text")]
    [InlineData("Vtext\n.", "text")]
    [InlineData("S'a'\np3\n0g3\n.", "a")]
    [InlineData("K\u0005.", 5L)]
    [InlineData("\u008a\u0002\u0000\u00ff.", -256L)]
    public void ValuesOfTheTextProtocols(string pickle, object expected) => Assert.Equal(expected, Read(pickle));

    [Theory]
    [InlineData("K\u0000(K\u0002K\u0003t(K\u0003K\u0001t", null)]
    [InlineData("K\u0001(K\u0002K\u0003t(K\u0003K\u0001t", "reaches beyond its storage")]
    [InlineData("K\u0000(K\u0002K\u0003t(K\u0004K\u0001t", "reaches beyond its storage")]
    [InlineData("K\u0000(K\u0007t(K\u0001t", "reaches beyond its storage")]
    [InlineData("K\u0000(K\u0002K\u0003t(K\u0001t", "offset, size or stride")]
    [InlineData("J\u00ff\u00ff\u00ff\u00ff(K\u0002t(K\u0001t", "offset, size or stride")]
    [InlineData("K\u0000(J\u00ff\u00ff\u00ff\u00fft(K\u0001t", "offset, size or stride")]
    [InlineData("K\u0000(\u008a\u0008\0\0\0\0\0\0\0\u0040\u008a\u0008\0\0\0\0\0\0\0\u0040t(K\u0000K\u0000t", "more elements than can be counted")]
    [InlineData("K\u0000(K\u0000\u008a\u0008\0\0\0\0\0\0\0\u0040\u008a\u0008\0\0\0\0\0\0\0\u0040t(K\u0000K\u0000K\u0000t", "more elements than can be counted")]
    public void ViewsLieInTheirStorage(string view, string? phrase)
    {
        string pickle = $"ctorch._utils\n_rebuild_tensor_v2\n(({Storage}{view}\u0089}}tR.";
        if (phrase is null) Assert.Equal([2L, 3L], Assert.IsType<TorchTensor>(Read(pickle)).Shape);
        else Assert.Contains(phrase, Assert.Throws<FileFormatException>(() => Read(pickle)).Message);
    }

    [Fact]
    public void OneStorageIsDescribedInOneWay()
    {
        string other = Storage.Replace("K\u0006tQ", "K\u0007tQ", StringComparison.Ordinal);
        Assert.Contains("described in two ways", Assert.Throws<FileFormatException>(() => Read($"({Storage}({other}.")).Message);
    }

    /// <summary>A few bytes cannot ask for much memory or time: by nesting, by copying over and over, by filling the stack.</summary>
    [Theory]
    [InlineData("nested", "((((((((((", 100_000, "ends too early")]
    [InlineData("lists", "]", 200_000, "stacks more than")]
    [InlineData("dictionaries", "}", 200_000, "stacks more than")]
    [InlineData("tuples", "\u0085", 200_000, null)]
    [InlineData("kept values", "\u0094", 200_000, "again and again")]
    [InlineData("copies", "ccollections\nOrderedDict\nh\u0001\u0085R0", 20_000, "again and again")]
    public void SmallPicklesStaySmall(string kind, string repeated, int times, string? phrase)
    {
        // A list of a thousand pairs is at hand in the memo.
        string start = "]q\u0001(" + string.Concat(Enumerable.Repeat("NN\u0086", 1000)) + "e";
        byte[] bytes = [.. Encoding.Latin1.GetBytes(start), .. Encoding.Latin1.GetBytes(string.Concat(Enumerable.Repeat(repeated, times))), .. phrase is null ? "."u8.ToArray() : []];
        long before = GC.GetAllocatedBytesForCurrentThread();
        if (phrase is null) Read(bytes);
        else Assert.Contains(phrase, Assert.Throws<FileFormatException>(() => Read(bytes)).Message);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < (100 * bytes.Length) + 100_000, $"{kind}: {bytes.Length} bytes made it allocate {allocated}");
    }

    /// <summary>One dictionary of many entries, many times in another one: what is in it is not counted anew each time.</summary>
    [Fact]
    public void OneDictionaryInManyPlacesIsLookedThroughOnce()
    {
        const int Many = 60_000, Batch = 20_000;
        string inner = string.Concat(Enumerable.Repeat("(" + string.Concat(Enumerable.Repeat("NN", Batch)) + "u", Many / Batch));
        string outer = string.Concat(Enumerable.Repeat("(" + string.Concat(Enumerable.Repeat("K\u0001h\0", Batch)) + "u", Many / Batch));
        object? root = Read("}q\0" + inner + "0}" + outer + ".");
        long start = Stopwatch.GetTimestamp();
        Assert.Contains("no weights that could be found", Assert.Throws<FileFormatException>(() => TorchCheckpoint.Flatten("made.pth", root, 1000)).Message);
        // Looking through all of them each time took 9 s; now it is a millisecond.
        Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 3, $"took {Stopwatch.GetElapsedTime(start)}");
    }

    /// <summary>What is empty takes a byte of a pickle and forty of memory; so do small values in long lists. There is an end to it.</summary>
    [Theory]
    [InlineData("}")]
    [InlineData("]")]
    [InlineData("G\0\0\0\0\0\0\0\0")]
    [InlineData("N")]
    public void ManySmallValuesHaveALimit(string value)
    {
        const int Batch = 60_000;
        byte[] batch = Encoding.Latin1.GetBytes("(" + string.Concat(Enumerable.Repeat(value, Batch)) + "e");
        byte[] bytes = [.. "]"u8, .. Enumerable.Repeat(batch, 250).SelectMany(b => b), .. "."u8];
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("more values than any checkpoint has", Assert.Throws<FileFormatException>(() => Read(bytes)).Message);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < 450L << 20, $"{bytes.Length} bytes made it allocate {allocated}");
    }

    /// <summary>A key that is written once and a dictionary around the next: the names would be longer than all memory.</summary>
    [Fact]
    public void NamesOfNestedDictionariesHaveALimit()
    {
        string key = new('k', 60_000);
        object? root = Read($"}}q\0X\u0060\u00ea\0\0{key}q\u0001}}s" + string.Concat(Enumerable.Range(0, 250).Select(i => $"X\u0004\0\0\0{i:D4}}}h\u0001cos\nsystem\n)Rss")) + ".");
        Assert.Contains("its names are longer than the whole file", Assert.Throws<FileFormatException>(() => TorchCheckpoint.Flatten("made.pth", root, 1000)).Message);
    }

    private static object? Read(string latin1) => Read(Encoding.Latin1.GetBytes(latin1));

    private static object? Read(byte[] bytes)
    {
        fixed (byte* data = bytes) return new PickleReader("made.pth", data, bytes.Length, new TorchRebuild("made.pth")).Read();
    }
}
