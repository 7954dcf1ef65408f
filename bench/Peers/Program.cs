using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using RefConv.Kernels;

namespace RefConv.Bench.Peers;

/// <summary>Our engine beside PyTorch on the same work in the same run. Exit codes: 0 done, 1 it could not be done, 2 nothing to do.</summary>
internal static class Program
{
    private static readonly Option<int> Threads = new("--threads") { Description = "Threads of both engines; 0 for all cores.", HelpName = "N" };
    private static readonly Option<string> Only = new("--only") { Description = "Cases whose name contains this text.", DefaultValueFactory = _ => "", HelpName = "SUBSTRING" };
    private static readonly Option<int> Rounds = new("--rounds") { Description = "Samples of each contestant wanted; with --profile steps.", DefaultValueFactory = _ => 15, HelpName = "N" };
    private static readonly Option<int> Budget = new("--budget")
    {
        Description = "Seconds a case may go on for rounds in which nobody else used the machine.",
        DefaultValueFactory = _ => 60,
        HelpName = "SECONDS",
    };
    private static readonly Option<bool> Json = new("--json") { Description = "Print the result as JSON instead of a table." };
    private static readonly Option<string?> Out = new("--out") { Description = "Also write the result there, as JSON.", HelpName = "FILE" };
    private static readonly Option<bool> List = new("--list") { Description = "Print the cases and time nothing." };
    private static readonly Option<bool> Profile = new("--profile") { Description = "Time every kernel of our side's step instead; needs no PyTorch." };
    private static readonly Option<bool> Shapes = new("--shapes") { Description = "With --profile: a line for every shape." };
    private static readonly Option<string> Python = new("--python")
    {
        Description = "The Python that has PyTorch.",
        DefaultValueFactory = _ => File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3",
        HelpName = "PATH",
    };
    private static readonly Option<string> Machine = new("--machine")
    {
        Description = "How to call this machine in the result.",
        DefaultValueFactory = _ => $"{Environment.ProcessorCount} cores, {RuntimeInformation.OSArchitecture}",
        HelpName = "TEXT",
    };

    private static int Main(string[] args)
    {
        Console.OutputEncoding = System.Text.Encoding.UTF8;
        var root = new RootCommand("Times training steps and inference beside PyTorch, alternating sample by sample.")
        {
            Threads, Only, Rounds, Budget, Json, Out, List, Profile, Shapes, Python, Machine,
        };
        root.SetAction(parsed =>
        {
            string only = parsed.GetValue(Only)!;
            PeerCase[] rows = [.. PeerCase.All.Where(c => c.Name.Contains(only, StringComparison.OrdinalIgnoreCase))];
            int threads = parsed.GetValue(Threads), rounds = parsed.GetValue(Rounds);
            if (rows.Length == 0) return Complain($"no case contains '{only}'. The cases are {string.Join(", ", PeerCase.All.Select(c => c.Name))}.");
            if (rounds < 1) return Complain($"--rounds must be at least 1; it is {rounds}.");
            if (threads is < 0 or > 1024) return Complain($"--threads must be between 0 (all cores) and 1024; it is {threads}.");
            if (parsed.GetValue(List)) foreach (var row in rows) Console.WriteLine(row.Name);
            else if (parsed.GetValue(Profile)) foreach (var row in rows) KernelProfile.Print(row, row.Forms[^1], threads, rounds, parsed.GetValue(Shapes));
            else Compare(rows, parsed);
            return 0;
        });
        try
        {
            return root.Parse(args).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (Exception e) when (e is InvalidOperationException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            Console.Error.WriteLine($"peers: {e.Message}");
            return 1;
        }
    }

    private static void Compare(PeerCase[] rows, ParseResult parsed)
    {
        using var device = new CpuDevice(parsed.GetValue(Threads));
        using var worker = TorchWorker.Start(parsed.GetValue(Python)!, device.Threads);
        if (!$"{worker.Hello["blas"]}".Contains("openblas", StringComparison.Ordinal))
            Console.Error.WriteLine($"peers: PyTorch does not run on OpenBLAS but on {worker.Hello["blas"]}; if that is the reference BLAS the figures flatter us. {TorchWorker.InstallCommand}");
        string command = $"--threads {device.Threads} --rounds {parsed.GetValue(Rounds)} --budget {parsed.GetValue(Budget)}" + (parsed.GetValue(Only) is { Length: > 0 } only ? $" --only {only}" : "");
        var document = Report.Header(parsed.GetValue(Machine)!, device, worker.Hello, command);
        bool json = parsed.GetValue(Json);
        if (!json) Console.WriteLine($"{Report.ToText(document)}\n\n{Report.Heading}");
        var results = new JsonArray();
        document["results"] = results;
        var duel = new Duel(device, worker, parsed.GetValue(Rounds), TimeSpan.FromSeconds(parsed.GetValue(Budget)));
        foreach (var row in rows)
        {
            var forms = duel.Run(row);
            foreach (var form in forms) results.Add(Report.ToJson(form));
            if (!json) foreach (string line in Report.Lines(forms)) Console.WriteLine(line);
            // After every case, so that what was measured is not lost when a later one fails.
            if (parsed.GetValue(Out) is { } file) File.WriteAllText(file, Report.Format(document) + "\n");
        }
        Console.WriteLine(json ? Report.Format(document) : "\n" + Report.Legend);
    }

    private static int Complain(string what)
    {
        Console.Error.WriteLine($"peers: {what}");
        return 2;
    }
}
