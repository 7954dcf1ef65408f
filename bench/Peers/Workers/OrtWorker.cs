using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace RefConv.Bench.Peers;

/// <summary>ONNX Runtime, a Node process. See <c>ort_worker.js</c>. Its models are the ONNX files that PyTorch writes.</summary>
internal sealed class OrtWorker : PeerWorker
{
    public const string InstallCommand = "npm install --ignore-scripts onnxruntime-node";

    private OrtWorker(ProcessStartInfo start) : base(start)
    {
    }

    public override string Name => CaseClass.OnnxRuntime;

    public override string Description => $"ONNX Runtime {Hello["onnxruntime"]} (Node {Hello["node"]}, {Hello["threads"]} threads)";

    /// <summary>Starts the worker.</summary>
    /// <exception cref="PeerMissingException">There is no Node, or it does not find onnxruntime-node: the message says how to get it.</exception>
    public static OrtWorker Start(string node, string script, string? modules, int threads) => new(StartInfo(node, script, modules, threads, []));

    /// <summary>How to start the script: a worker, or with arguments something short.</summary>
    /// <param name="modules">Folder node_modules that holds onnxruntime-node; null: NODE_PATH, then ./node_modules.</param>
    public static ProcessStartInfo StartInfo(string node, string script, string? modules, int threads, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(node, [script, threads.ToString(CultureInfo.InvariantCulture), .. arguments]);
        string?[] places = [modules, Environment.GetEnvironmentVariable("NODE_PATH"), Path.GetFullPath("node_modules")];
        start.Environment["NODE_PATH"] = string.Join(Path.PathSeparator, places.Where(p => !string.IsNullOrEmpty(p)));
        return start;
    }

    /// <summary>Opens a model and a batch, bare floats in PyTorch's order (n, c, h, w).</summary>
    public void Load(string onnxFile, string imageFile, Shape images) => Ask(new JsonObject
    {
        ["do"] = "load",
        ["onnx"] = onnxFile,
        ["images"] = imageFile,
        ["shape"] = new JsonArray(images[0], images[3], images[1], images[2]),
    });

    /// <summary>The scores.</summary>
    public Dictionary<string, double> Check() => Values(Ask(new JsonObject { ["do"] = "check" }));

    /// <summary>Does the work so many times; milliseconds of one, by the worker's own clock.</summary>
    public double Run(int times) => (double)Ask(new JsonObject { ["do"] = "run", ["times"] = times })["ms"]!;

    protected override PeerMissingException Missing(string why) =>
        new($"ONNX Runtime is needed for the comparison, but {why}. Install it with `{InstallCommand}` and name the folder with --node-modules PATH, NODE_PATH, or run where ./node_modules has it.");
}
