using RefConv.Tests.Cli;
using RefConv.Tests.Examples;

namespace RefConv.Tests;

/// <summary>The README shows code that is compiled and run here, so it cannot grow stale.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class ReadmeTests
{
    private const string Title = "// example: train, refocus, merge";

    [Fact]
    public void TheExampleIsTheOneThatIsTested()
    {
        string[] source = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Examples", "TrainRefocusMerge.cs"));
        string[] between = [.. source.SkipWhile(l => l.Trim() != "// <example>").Skip(1).TakeWhile(l => l.Trim() != "// </example>")];
        string[] expected = [.. between.Select(l => l.Length > 8 ? l[8..] : "")];
        Assert.Equal(Title, expected[0]);
        Assert.InRange(expected.Length, 20, 40);

        // The namespaces stand above it; the block begins at its title.
        string[] block = [.. ExampleBlock().SkipWhile(l => l != Title)];
        Assert.Equal(expected, block);
        string[] usings = [.. ExampleBlock().TakeWhile(l => l != Title).Where(l => l.Length > 0)];
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

    /// <summary>The block of C# in the README that holds the example.</summary>
    private static string[] ExampleBlock()
    {
        string[] lines = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "README.md"));
        for (int i = 0; i < lines.Length; i++)
        {
            if (lines[i] != "```csharp") continue;
            string[] block = [.. lines.Skip(i + 1).TakeWhile(l => l != "```")];
            if (block.Contains(Title)) return block;
        }
        throw new InvalidDataException($"README.md has no ```csharp block with the line '{Title}'.");
    }
}
