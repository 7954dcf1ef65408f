using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using RefConv.Kernels;

namespace RefConv.Bench.Peers;

/// <summary>PyTorch, a Python process. See <c>torch_worker.py</c>.</summary>
internal sealed class TorchWorker : PeerWorker
{
    public const string InstallCommand = "apt-get install -y --no-install-recommends python3-torch python3-torchvision libopenblas0-pthread";

    private TorchWorker(ProcessStartInfo start) : base(start)
    {
    }

    public override string Name => CaseClass.PyTorch;

    public override string Description => $"PyTorch {Hello["torch"]} (torchvision {Hello["torchvision"]}, BLAS {Hello["blas"]}, {Hello["threads"]} threads)";

    /// <summary>It has the fast BLAS; otherwise its figures flatter us.</summary>
    public bool HasOpenBlas => $"{Hello["blas"]}".Contains("openblas", StringComparison.Ordinal);

    /// <summary>Starts the worker in the environment that suits PyTorch best.</summary>
    /// <exception cref="PeerMissingException">There is no Python, or it has no PyTorch: the message says how to get it.</exception>
    public static TorchWorker Start(string python, string script, int threads, bool keepMemory = true) => new(StartInfo(python, script, threads, keepMemory, []));

    /// <summary>How to start the script: a worker, or with arguments something short.</summary>
    public static ProcessStartInfo StartInfo(string python, string script, int threads, bool keepMemory, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(python, ["-u", script, threads.ToString(CultureInfo.InvariantCulture), .. arguments]);
        foreach (var (name, value) in Environment(threads, keepMemory)) start.Environment[name] = value;
        return start;
    }

    /// <summary>Builds the models of a case and form.</summary>
    /// <returns>Ways to run it: memory formats, for inference also compiled or not.</returns>
    public string[] Load(ModelCase row, string form, string stateFile)
    {
        var question = Model(row, form, stateFile);
        question["do"] = "load";
        return Ask(question)["variants"].Deserialize<string[]>()!;
    }

    /// <summary>The values of <see cref="OwnModel.Check"/>.</summary>
    public Dictionary<string, double> Check(string form) => Values(Ask(new JsonObject { ["do"] = "check", ["form"] = form }));

    /// <summary>Writes the plain model of the last case as ONNX, and TorchScript.</summary>
    public void Export(string onnxFile, string? scriptFile = null) => Ask(new JsonObject { ["do"] = "export", ["form"] = ModelCase.Plain, ["onnx"] = onnxFile, ["script"] = scriptFile });

    /// <summary>Takes the operands of a layer: x, w and dy in our order of elements, bare floats.</summary>
    /// <returns>Ways to run it: memory formats.</returns>
    public string[] LoadLayer(in Conv2dGeometry g, string operandFile) => Ask(new JsonObject
    {
        ["do"] = "layer",
        ["x"] = new JsonArray(g.N, g.H, g.W, g.C),
        ["w"] = new JsonArray(g.R, g.S, g.GroupC, g.K),
        ["dy"] = new JsonArray(g.N, g.P, g.Q, g.K),
        ["stride"] = g.StrideH,
        ["pad"] = g.PadTop,
        ["groups"] = g.Groups,
        ["file"] = operandFile,
    })["variants"].Deserialize<string[]>()!;

    /// <summary>Computes an operation of the layer and writes its result as bare floats in our order of elements.</summary>
    public void LayerResult(string op, string file) => Ask(new JsonObject { ["do"] = "layer_result", ["op"] = op, ["file"] = file });

    /// <summary>Megabytes of a training step's peak above the process with the model built.</summary>
    public double PeakMemory(ModelCase row, string stateFile, string format)
    {
        var question = Model(row, ModelCase.Plain, stateFile);
        (question["do"], question["format"]) = ("memory", format);
        return (double)Ask(question)["megabytes"]!;
    }

    /// <summary>Does the work of a form (or operation of a layer) so many times; milliseconds of one, by the worker's own clock.</summary>
    public double Run(string form, string variant, int times) =>
        (double)Ask(new JsonObject { ["do"] = "run", ["form"] = form, ["variant"] = variant, ["times"] = times })["ms"]!;

    protected override PeerMissingException Missing(string why) =>
        new($"PyTorch is needed for the comparison, but {why}. Install it with `{InstallCommand}`, or name a Python that has it with --python PATH.");

    private static JsonObject Model(ModelCase row, string form, string stateFile) => new()
    {
        ["form"] = form,
        ["work"] = row.Trains ? "train" : "infer",
        ["architecture"] = row.Spec.Architecture,
        ["width"] = row.Spec.Width,
        ["classes"] = row.Spec.Classes,
        ["small"] = row.Spec.SmallImages,
        ["state"] = stateFile,
        ["rate"] = OwnModel.LearningRate,
        ["momentum"] = OwnModel.Momentum,
        ["decay"] = OwnModel.WeightDecay,
    };

    /// <summary>
    /// glibc gives large blocks back to the kernel on every free, and the page faults cost large layers up to five times: keep them, as our pool
    /// does (not where memory itself is measured: it makes the peak higher). Debian's PyTorch links the reference BLAS: put OpenBLAS in front of it,
    /// single-threaded beside PyTorch's own threads.
    /// </summary>
    private static IEnumerable<(string Name, string Value)> Environment(int threads, bool keepMemory)
    {
        if (keepMemory)
        {
            yield return ("MALLOC_MMAP_MAX_", "0");
            yield return ("MALLOC_TRIM_THRESHOLD_", "16000000000");
            yield return ("MALLOC_TOP_PAD_", "268435456");
        }
        yield return ("OMP_NUM_THREADS", threads.ToString(CultureInfo.InvariantCulture)); // autograd's own thread obeys this only
        yield return ("OPENBLAS_NUM_THREADS", "1");
        if (!Directory.Exists("/usr/lib")) yield break;
        string? blas = Directory.EnumerateDirectories("/usr/lib", "*-linux-gnu").Select(d => Path.Combine(d, "openblas-pthread")).FirstOrDefault(Directory.Exists);
        string? path = System.Environment.GetEnvironmentVariable("LD_LIBRARY_PATH");
        if (blas != null) yield return ("LD_LIBRARY_PATH", string.IsNullOrEmpty(path) ? blas : $"{blas}:{path}");
    }
}
