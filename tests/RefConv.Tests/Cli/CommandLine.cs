using System.Text.Json;
using RefConv.Cli;

namespace RefConv.Tests.Cli;

/// <summary>Everything that captures the console runs in this collection, one test after another.</summary>
[CollectionDefinition(Name)]
public sealed class ConsoleCollection
{
    public const string Name = "console";
}

/// <summary>What a command line gave.</summary>
internal sealed record CommandLine(int Code, string Out, string Error)
{
    /// <summary>Options of a run that takes a moment.</summary>
    public static string[] Tiny { get; } = ["--limit", "40", "--test-limit", "20", "--batch", "10", "--threads", "2"];

    /// <summary>The last line, which with --json is the result.</summary>
    public JsonElement Json => JsonDocument.Parse(Out.TrimEnd().Split('\n')[^1]).RootElement;

    /// <summary>Runs a command line in this process.</summary>
    public static CommandLine Run(params string[] args) => Run(CancellationToken.None, args);

    public static CommandLine Run(CancellationToken cancellation, params string[] args)
    {
        var (stdout, stderr) = (Console.Out, Console.Error);
        using StringWriter o = new(), e = new();
        try
        {
            Console.SetOut(o);
            Console.SetError(e);
            int code = Program.Run(args, cancellation);
            return new CommandLine(code, o.ToString(), e.ToString());
        }
        finally
        {
            Console.SetOut(stdout);
            Console.SetError(stderr);
        }
    }

    /// <summary>Runs a command line that must work.</summary>
    public static CommandLine Good(params string[] args)
    {
        var result = Run(args);
        Assert.True(result.Code == 0, $"refconv {string.Join(' ', args)} → {result.Code}: {result.Error}");
        Assert.Equal("", result.Error);
        return result;
    }

    /// <summary>Runs a command line that must fail with one sentence for people and nothing else.</summary>
    public static void Fails(int code, string phrase, params string[] args)
    {
        var result = Run(args);
        string what = $"refconv {string.Join(' ', args)} → {result.Code}: {result.Error}";
        Assert.True(code == result.Code, what);
        Assert.True(result.Error.StartsWith("refconv: ", StringComparison.Ordinal), what);
        Assert.True(result.Error.IndexOf('\n') == result.Error.Length - 1, what);
        Assert.Contains(phrase, result.Error);
        foreach (string inside in new[] { "   at ", "Exception", "(Parameter", "System." }) Assert.DoesNotContain(inside, result.Error);
    }
}
