using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace RefConv.Bench.Peers;

/// <summary>The other side, a Python process: one JSON object a line in, one out. See <c>torch_worker.py</c>.</summary>
internal sealed class TorchWorker : IDisposable
{
    public const string InstallCommand = "apt-get install -y --no-install-recommends python3-torch python3-torchvision libopenblas0-pthread";

    private readonly Process _process;

    private TorchWorker(Process process, JsonObject hello) => (_process, Hello) = (process, hello);

    /// <summary>Versions, threads and BLAS, as the worker sees them.</summary>
    public JsonObject Hello { get; }

    /// <summary>Processor time it has used.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>Starts the worker in the environment that suits PyTorch best.</summary>
    /// <exception cref="InvalidOperationException">There is no Python, or it has no PyTorch: the message says how to get it.</exception>
    public static TorchWorker Start(string python, int threads)
    {
        var start = new ProcessStartInfo(python, ["-u", Path.Combine(AppContext.BaseDirectory, "torch_worker.py"), threads.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        foreach (var (name, value) in Environment(threads)) start.Environment[name] = value;
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw Missing($"there is no '{python}' ({e.Message})");
        }
        string? line = process.StandardOutput.ReadLine();
        if (line == null) throw Missing($"{python} ended at once");
        var hello = JsonNode.Parse(line)!.AsObject();
        return hello["error"] is { } error ? throw Missing($"{python} says \"{error}\"") : new TorchWorker(process, hello);
    }

    /// <summary>Builds the models of a case and form.</summary>
    /// <returns>Ways to run it: memory formats, for inference also compiled or not.</returns>
    public string[] Load(PeerCase row, string form, string stateFile)
    {
        var answer = Ask(new JsonObject
        {
            ["do"] = "load",
            ["form"] = form,
            ["work"] = row.Work.ToString().ToLowerInvariant(),
            ["architecture"] = row.Spec.Architecture,
            ["width"] = row.Spec.Width,
            ["classes"] = row.Spec.Classes,
            ["small"] = row.Spec.SmallImages,
            ["state"] = stateFile,
            ["rate"] = OwnEngine.LearningRate,
            ["momentum"] = OwnEngine.Momentum,
            ["decay"] = OwnEngine.WeightDecay,
        });
        return answer["variants"].Deserialize<string[]>()!;
    }

    /// <summary>The values of <see cref="OwnEngine.Check"/>.</summary>
    public Dictionary<string, double> Check(string form) => Ask(new JsonObject { ["do"] = "check", ["form"] = form })["values"].Deserialize<Dictionary<string, double>>()!;

    /// <summary>Does the work so many times; milliseconds of one, by the worker's own clock.</summary>
    public double Run(string form, string variant, int times) =>
        (double)Ask(new JsonObject { ["do"] = "run", ["form"] = form, ["variant"] = variant, ["times"] = times })["ms"]!;

    /// <summary>Forgets the models of the last case.</summary>
    public void Unload() => Ask(new JsonObject { ["do"] = "unload" });

    public void Dispose()
    {
        _process.StandardInput.Close(); // the end of its input ends it
        if (!_process.WaitForExit(5000)) _process.Kill();
        _process.Dispose();
    }

    /// <summary>
    /// glibc gives large blocks back to the kernel on every free, and the page faults cost large layers up to five times: keep them, as our pool
    /// does. Debian's PyTorch links the reference BLAS: put OpenBLAS in front of it, single-threaded beside PyTorch's own threads.
    /// </summary>
    private static IEnumerable<(string Name, string Value)> Environment(int threads)
    {
        yield return ("MALLOC_MMAP_MAX_", "0");
        yield return ("MALLOC_TRIM_THRESHOLD_", "16000000000");
        yield return ("MALLOC_TOP_PAD_", "268435456");
        yield return ("OMP_NUM_THREADS", threads.ToString(CultureInfo.InvariantCulture)); // autograd's own thread obeys this only
        yield return ("OPENBLAS_NUM_THREADS", "1");
        if (!Directory.Exists("/usr/lib")) yield break;
        string? blas = Directory.EnumerateDirectories("/usr/lib", "*-linux-gnu").Select(d => Path.Combine(d, "openblas-pthread")).FirstOrDefault(Directory.Exists);
        string? path = System.Environment.GetEnvironmentVariable("LD_LIBRARY_PATH");
        if (blas != null) yield return ("LD_LIBRARY_PATH", string.IsNullOrEmpty(path) ? blas : $"{blas}:{path}");
    }

    private static InvalidOperationException Missing(string what) =>
        new($"PyTorch is needed for the comparison, but {what}. Install it with `{InstallCommand}`, or name a Python that has it with --python PATH. (--profile needs no PyTorch.)");

    private JsonObject Ask(JsonObject question)
    {
        _process.StandardInput.WriteLine(question.ToJsonString());
        _process.StandardInput.Flush();
        string line = _process.StandardOutput.ReadLine() ?? throw new InvalidOperationException("The PyTorch worker ended in the middle of its work; what it wrote above says why.");
        var answer = JsonNode.Parse(line)!.AsObject();
        return answer["error"] is { } error ? throw new InvalidOperationException($"PyTorch worker: {error}") : answer;
    }
}
