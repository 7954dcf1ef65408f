using System.CommandLine;

namespace RefConv.Bench;

/// <summary>
/// Our engine beside its peers on the same work in the same run: <c>refconv bench --peers</c> as a program of its own.
/// Exit codes: 0 done, 1 it could not be done, 2 the command line makes no sense, 130 interrupted.
/// </summary>
internal static class Program
{
    private const int Failed = 1;

    private static int Main(string[] args)
    {
        Console.OutputEncoding = System.Text.Encoding.UTF8;
        using var stop = new CancellationTokenSource();
        Console.CancelKeyPress += (_, e) =>
        {
            // The first Ctrl-C ends the run after the sample and prints what there is; the second one ends the process.
            if (stop.IsCancellationRequested) return;
            e.Cancel = true;
            stop.Cancel();
        };
        var root = new RootCommand("Times layers, training steps and inference beside PyTorch and ONNX Runtime, alternating sample by sample.");
        var options = new BenchOptions(root, peersByDefault: true);
        root.SetAction(parsed => options.Run(parsed, "bench", stop.Token));
        try
        {
            return root.Parse(args).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception e) when (e is InvalidOperationException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            Console.Error.WriteLine($"bench: {e.Message}");
            return Failed;
        }
    }
}
