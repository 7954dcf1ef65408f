using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Tests.Cli;
using RefConv.Tests.Examples;
using RefConv.Tests.Imaging;

namespace RefConv.Tests;

/// <summary>The README shows code that is compiled and run here, so it cannot grow stale.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class ReadmeTests
{
    [Theory]
    [InlineData("TrainRefocusMerge.cs", "// example: train, refocus, merge", 20, 40)]
    [InlineData("PredictPhoto.cs", "// example: what is on a photo", 5, 10)]
    public void TheExampleIsTheOneThatIsTested(string file, string title, int fewest, int most)
    {
        string[] source = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Examples", file));
        string[] between = [.. source.SkipWhile(l => l.Trim() != "// <example>").Skip(1).TakeWhile(l => l.Trim() != "// </example>")];
        string[] expected = [.. between.Select(l => l.Length > 8 ? l[8..] : "")];
        Assert.Equal(title, expected[0]);
        Assert.InRange(expected.Length, fewest, most);

        // The namespaces stand above it; the block begins at its title.
        string[] block = [.. ExampleBlock(title).SkipWhile(l => l != title)];
        Assert.Equal(expected, block);
        string[] usings = [.. ExampleBlock(title).TakeWhile(l => l != title).Where(l => l.Length > 0)];
        Assert.Equal(source.Where(l => l.StartsWith("using ", StringComparison.Ordinal)), usings);
    }

    [Fact]
    public void TheExampleDoesWhatItSays()
    {
        using var folder = new TemporaryFolder();
        string before = Directory.GetCurrentDirectory();
        var stdout = Console.Out;
        using var text = new StringWriter();
        try
        {
            Directory.SetCurrentDirectory(folder.Path);
            Console.SetOut(text);
            var (refocused, merged, scores) = TrainRefocusMerge.Run();
            Assert.Equal(refocused, merged);
            Assert.Equal(10, scores.Length);
        }
        finally
        {
            Console.SetOut(stdout);
            Directory.SetCurrentDirectory(before);
        }
        Assert.Matches(@"^[\d,]+ parameters became [\d,]+, largest difference 0\n", text.ToString());
        Assert.Contains("says the model.", text.ToString());
        Assert.Equal(["merged.safetensors"], Directory.GetFiles(folder.Path).Select(Path.GetFileName));
    }

    [Fact]
    public void ThePhotoExampleDoesWhatItSays()
    {
        using var folder = new TemporaryFolder();
        string before = Directory.GetCurrentDirectory();
        var stdout = Console.Out;
        using var text = new StringWriter();
        using (var device = new CpuDevice(1))
        {
            using var model = Zoo.Create(new ModelSpec("mobilenet_v1") { Classes = 2, Width = 0.0625, ImageSize = 32, SmallImages = true }, new Initializer(device));
            ModelFile.Save(model, folder.File("model.safetensors"), new DataInfo("d", [0.5f, 0.5f, 0.5f], [0.5f, 0.5f, 0.5f], ["cup", "clock"]));
        }
        folder.Write("photo.png", PngMaker.Noise(40, 50));
        try
        {
            Directory.SetCurrentDirectory(folder.Path);
            Console.SetOut(text);
            string best = PredictPhoto.Run();
            Assert.Equal($"It is a {best}, says the model.\n", text.ToString().ReplaceLineEndings("\n"));
        }
        finally
        {
            Console.SetOut(stdout);
            Directory.SetCurrentDirectory(before);
        }
    }

    /// <summary>The block of C# in the README that holds the example.</summary>
    private static string[] ExampleBlock(string title)
    {
        string[] lines = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "README.md"));
        for (int i = 0; i < lines.Length; i++)
        {
            if (lines[i] != "```csharp") continue;
            string[] block = [.. lines.Skip(i + 1).TakeWhile(l => l != "```")];
            if (block.Contains(title)) return block;
        }
        throw new InvalidDataException($"README.md has no ```csharp block with the line '{title}'.");
    }
}
