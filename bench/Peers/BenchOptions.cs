using System.CommandLine;
using System.Runtime.InteropServices;

namespace RefConv.Bench;

/// <summary>The options of the benchmark: of <c>refconv bench</c>, and of this project's own program.</summary>
internal sealed class BenchOptions
{
    private readonly Option<string> _only = new("--only") { Description = "Cases whose name contains this text. Default: all.", DefaultValueFactory = _ => "", HelpName = "SUBSTRING" };
    private readonly Option<string?> _class = new("--class") { Description = $"Cases of this class: {string.Join(" | ", CaseClass.All.Select(c => c.Name))}. Default: all.", HelpName = "NAME" };
    private readonly Option<int> _threads = Number("--threads", "Threads of every engine; 0 for all cores.", "N");
    private readonly Option<int> _rounds = Number("--rounds", "Samples of each contestant wanted; 0: as many as suit the kind of case. With --profile steps.", "N");
    private readonly Option<int> _budget = Number("--budget", "Seconds a case may go on for rounds in which nobody else used the machine; 0: what suits the kind of case.", "SECONDS");
    private readonly Option<bool> _quick = new("--quick") { Description = "One case of each class and two models: under four minutes with peers." };
    private readonly Option<bool> _peers = new("--peers") { Description = "PyTorch and ONNX Runtime in the same run, sample by sample in turn (bench/README.md says how to install them)." };
    private readonly Option<bool> _alone = new("--alone") { Description = "Without the peers." };
    private readonly Option<bool> _json = new("--json") { Description = "Print JSON lines for machines instead of text; the last line is the summary." };
    private readonly Option<string?> _out = new("--out") { Description = "Also write the results to this file: tables when its name ends in .md, all figures when in .json. Default: no file.", HelpName = "FILE" };
    private readonly Option<bool> _list = new("--list") { Description = "Print the cases and time nothing." };
    private readonly Option<bool> _explain = new("--explain") { Description = "Print which algorithm the device picks for each layer case, and time nothing." };
    private readonly Option<bool> _profile = new("--profile") { Description = "Time every kernel of our side's step instead." };
    private readonly Option<bool> _shapes = new("--shapes") { Description = "With --profile: a line for every shape." };
    private readonly Option<string> _python = new("--python")
    {
        Description = "The Python that has PyTorch.",
        DefaultValueFactory = _ => File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3",
        HelpName = "PATH",
    };
    private readonly Option<string> _node = new("--node") { Description = "The Node that runs ONNX Runtime.", DefaultValueFactory = _ => "node", HelpName = "PATH" };
    private readonly Option<string?> _modules = new("--node-modules") { Description = "The folder node_modules that has onnxruntime-node. Default: NODE_PATH, then ./node_modules.", HelpName = "PATH" };
    private readonly Option<string> _machine = new("--machine")
    {
        Description = "How to call this machine in the results.",
        DefaultValueFactory = _ => $"{Environment.ProcessorCount} cores, {RuntimeInformation.OSArchitecture}",
        HelpName = "TEXT",
    };
    private readonly Option<string[]> _child = new("--child") { Hidden = true, DefaultValueFactory = _ => [] };
    private readonly bool _peersByDefault;

    /// <param name="command">Gets the options.</param>
    /// <param name="peersByDefault">The comparison is what the program is for; <c>--alone</c> leaves it out.</param>
    public BenchOptions(Command command, bool peersByDefault)
    {
        _peersByDefault = peersByDefault;
        Option[] options = [_only, _class, _threads, _rounds, _budget, _quick, peersByDefault ? _alone : _peers, _json, _out, _list, _explain, _profile, _shapes, _python, _node, _modules, _machine, _child];
        foreach (var option in options) command.Add(option);
    }

    /// <summary>Does what the command line asks for; the exit code.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="program">What warnings begin with.</param>
    /// <param name="cancellation">Ends the run after the sample; what was measured is printed.</param>
    public int Run(ParseResult parsed, string program, CancellationToken cancellation)
    {
        if (parsed.GetValue(_child) is { Length: > 0 } words)
        {
            ChildProcess.Run(words, parsed.GetValue(_threads));
            return 0;
        }
        return new Benchmark(Read(parsed), text => Console.Error.WriteLine($"{program}: {text}"), cancellation).Run();
    }

    private BenchSettings Read(ParseResult parsed) => new()
    {
        Only = parsed.GetValue(_only)!,
        Class = parsed.GetValue(_class),
        Threads = parsed.GetValue(_threads),
        Rounds = parsed.GetValue(_rounds),
        Budget = parsed.GetValue(_budget),
        Quick = parsed.GetValue(_quick),
        Peers = _peersByDefault ? !parsed.GetValue(_alone) : parsed.GetValue(_peers),
        Json = parsed.GetValue(_json),
        Out = parsed.GetValue(_out),
        List = parsed.GetValue(_list),
        Explain = parsed.GetValue(_explain),
        Profile = parsed.GetValue(_profile),
        Shapes = parsed.GetValue(_shapes),
        Python = parsed.GetValue(_python)!,
        Node = parsed.GetValue(_node)!,
        NodeModules = parsed.GetValue(_modules),
        Machine = parsed.GetValue(_machine)!,
    };

    private static Option<int> Number(string name, string description, string unit) => new(name) { Description = description, DefaultValueFactory = _ => 0, HelpName = unit };
}
