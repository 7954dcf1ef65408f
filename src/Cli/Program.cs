using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;
using RefConv.Cli.Commands;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Train;

namespace RefConv.Cli;

/// <summary>The <c>refconv</c> tool. Exit codes: 0 done, 1 it could not be done, 2 the command line makes no sense, 130 interrupted.</summary>
internal static class Program
{
    private const int Failed = 1, Misused = 2, Interrupted = 130;

    private static int Main(string[] args)
    {
        using var stop = new CancellationTokenSource();
        Console.OutputEncoding = System.Text.Encoding.UTF8;
        Console.CancelKeyPress += (_, e) => e.Cancel = EndOrderly("Ctrl-C again to end at once");
        // What runs in the background is stopped by kill, which sends this one; the shell has told such a process to ignore Ctrl-C.
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, e => e.Cancel = EndOrderly("once more to end at once"));
        return Run(args, stop.Token);

        // The first signal asks for an orderly end (the checkpoint is written); the second one ends the process.
        bool EndOrderly(string hint)
        {
            if (stop.IsCancellationRequested) return false;
            Console.Error.WriteLine($"Stopping after this step and saving ({hint}) …");
            stop.Cancel();
            return true;
        }
    }

    /// <summary>Runs one command line; everything that can go wrong with it ends in one sentence on standard error.</summary>
    internal static int Run(string[] args, CancellationToken cancellation)
    {
        var root = new RootCommand(
            "RefConv: train a ConvNet, refocus its kernels (arXiv 2310.10563), merge them back into the plain model.\n" +
            "Start with `refconv demo`: it needs no data and takes about two minutes.");
        // The one that is asked for, or all of them for help and suggestions: several hundred options take their time at every start.
        (string Name, Func<Command> Create)[] commands =
        [
            ("demo", () => DemoCommand.Create(cancellation)), ("train", () => TrainCommand.Create(cancellation)), ("lr-find", () => LearningRateCommand.Create(cancellation)),
            ("refocus", () => RefocusCommand.Create(cancellation)), ("compare", () => CompareCommand.Create(cancellation)), ("ablate", () => AblateCommand.Create(cancellation)),
            ("merge", MergeCommand.Create), ("convert", ConvertCommand.Create), ("export", ExportCommand.Create), ("eval", () => EvalCommand.Create(cancellation)),
            ("predict", () => PredictCommand.Create(cancellation)), ("report", ReportCommand.Create), ("summary", SummaryCommand.Create),
            ("analyze", () => AnalyzeCommand.Create(cancellation)), ("bench", () => BenchCommand.Create(cancellation)), ("devices", DevicesCommand.Create),
        ];
        var asked = Array.FindAll(commands, c => args.Length > 0 && c.Name == args[0]);
        foreach (var (_, create) in asked.Length > 0 ? asked : commands) root.Add(create());
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0 || UnknownWord(parsed) != null)
        {
            Console.Error.WriteLine($"refconv: {Complaint(parsed)}");
            return Misused;
        }
        try
        {
            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("refconv: stopped.");
            return Interrupted;
        }
        catch (Exception e) when (e is ArgumentException or IOException or UnauthorizedAccessException or StateDictException or DivergedException
            or InvalidOperationException or OutOfMemoryException or NotSupportedException or KeyNotFoundException or DeviceUnavailableException or DeviceLostException)
        {
            Console.Error.WriteLine($"refconv: {OneLine(e.Message)}");
            return Failed;
        }
    }

    /// <summary>The first thing that is wrong with the command line, with the nearest word that would be right.</summary>
    private static string Complaint(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        if (UnknownWord(parsed) is { } token)
        {
            IEnumerable<string> known = token.StartsWith('-')
                ? command.Options.Select(o => o.Name).Append("--help")
                : command.Subcommands.Select(c => c.Name);
            string kind = token.StartsWith('-') ? "option" : command.Subcommands.Count > 0 ? "command" : "argument";
            string help = $" See `refconv {(command is RootCommand ? "" : command.Name + " ")}--help`.";
            return $"there is no {kind} '{token}'.{Suggest.Offer(token, known)}{help}";
        }
        return $"{NotANumber(parsed.Errors[0]) ?? OneLine(parsed.Errors[0].Message)} See `refconv {(command is RootCommand ? "" : command.Name + " ")}--help`.";
    }

    /// <summary>
    /// The first word that nothing on this command line takes. A mistyped option counts even where the parser took it for the FILE of the command,
    /// or where help was asked for, which makes it overlook mistakes.
    /// </summary>
    private static string? UnknownWord(ParseResult parsed) =>
        parsed.CommandResult.Children.OfType<ArgumentResult>().SelectMany(a => a.Tokens).Select(t => t.Value).Concat(parsed.UnmatchedTokens)
            .FirstOrDefault(word => word.StartsWith("--", StringComparison.Ordinal)) ?? parsed.UnmatchedTokens.FirstOrDefault();

    /// <summary>What the parser says of a number that is none, without the names of .NET types.</summary>
    private static string? NotANumber(ParseError error)
    {
        var result = error.SymbolResult is ArgumentResult argument ? argument.Parent : error.SymbolResult;
        if (result is not OptionResult { Tokens: [var token, ..], Option: var option }) return null;
        string? range = (Nullable.GetUnderlyingType(option.ValueType) ?? option.ValueType) switch
        {
            var t when t == typeof(int) => $"up to {int.MaxValue:N0}",
            var t when t == typeof(ulong) => "not below 0",
            _ => null,
        };
        return range == null ? null : $"{option.Name} takes a whole number ({range}), not '{token.Value}'.";
    }

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");
}
