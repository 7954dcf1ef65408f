using RefConv.IO;

namespace RefConv.Tests.Formats;

public sealed class AtomicFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void WritesAndReplaces()
    {
        string path = _folder.File("a.txt");
        AtomicFile.WriteAllText(path, "first");
        AtomicFile.WriteAllText(path, "zweiter ü");
        Assert.Equal("zweiter ü"u8.ToArray(), File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void AFailureLeavesWhatWasThere()
    {
        string path = _folder.File("a.txt");
        AtomicFile.WriteAllText(path, "first");
        var e = Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(path, stream =>
        {
            stream.Write(new byte[200_000]);
            Assert.Equal("first", File.ReadAllText(path));
            throw new InvalidOperationException("midway");
        }));
        Assert.Equal("midway", e.Message);
        Assert.Equal("first", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void SaysWhyItCannotWrite()
    {
        Assert.Contains("it is a folder", Assert.Throws<IOException>(() => AtomicFile.WriteAllText(_folder.Path, "x")).Message);
        string deep = Path.Combine(_folder.Path, "none", "a.txt");
        Assert.Contains("there is no folder", Assert.Throws<DirectoryNotFoundException>(() => AtomicFile.WriteAllText(deep, "x")).Message);
        string through = Path.Combine(_folder.Write("file", [1]), "a.txt");
        Assert.Throws<DirectoryNotFoundException>(() => AtomicFile.WriteAllText(through, "x"));
    }

    [UnixFact("/dev/full")]
    public void AFullDiskIsReportedWithTheName()
    {
        var e = Assert.Throws<IOException>(() => AtomicFile.Write("/dev/full", stream => stream.Write(new byte[1 << 20])));
        Assert.Contains("Cannot write '/dev/full'", e.Message);
        Assert.True(File.Exists("/dev/full"));
    }

    [UnixFact]
    public void LinksAreFollowed()
    {
        string target = _folder.Write("target.txt", [1]), link = _folder.File("link.txt");
        File.CreateSymbolicLink(link, target);
        AtomicFile.WriteAllText(link, "new");
        Assert.Equal("new", File.ReadAllText(target));
        Assert.NotNull(File.ResolveLinkTarget(link, false));
    }
}
