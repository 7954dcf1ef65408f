using RefConv.Layers;

namespace RefConv.Tests.Methods;

/// <summary>The help of <c>--set</c> sends its reader to the page of a method: every method has one, and every option stands in it by its name.</summary>
public sealed class MethodPagesTests
{
    public static TheoryData<string> Names => [.. Reparameterizations.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void ThePageNamesEveryOption(string method)
    {
        string folder = Path.Combine(Root(), "docs", "methods"), file = Path.Combine(folder, method + ".md");
        Assert.True(File.Exists(file), $"docs/methods/{method}.md is missing");
        Assert.Contains($"({method}.md)", File.ReadAllText(Path.Combine(folder, "README.md")));
        var made = Reparameterizations.Create(method);
        string[] options = [.. made.Options.Select(o => o.Key).Except(made.StateNames)]; // what a checkpoint keeps of a changed model is nobody's to choose
        string text = File.ReadAllText(file).ReplaceLineEndings("\n");
        if (options.Length == 0)
        {
            Assert.Contains("There are no options.", text);
            return;
        }
        int start = text.IndexOf("Options (`--set`):", StringComparison.Ordinal);
        Assert.True(start >= 0, $"docs/methods/{method}.md has no line that begins with \"Options (`--set`):\"");
        string paragraph = text[start..text.IndexOf("\n\n", start, StringComparison.Ordinal)];
        Assert.All(options, name => Assert.Matches($"`{name}(=[^`]*)?`", paragraph));
    }

    private static string Root()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder != null && !File.Exists(Path.Combine(folder, "docs", "architecture.md"))) folder = Path.GetDirectoryName(folder);
        return folder ?? throw new DirectoryNotFoundException("The repository's docs folder is not above the tests.");
    }
}
