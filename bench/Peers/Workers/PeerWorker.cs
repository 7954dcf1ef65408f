using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace RefConv.Bench.Peers;

/// <summary>A peer that cannot take part: not installed. The message is one sentence with the command that installs it.</summary>
internal sealed class PeerMissingException(string message) : InvalidOperationException(message);

/// <summary>The engines disagree on a case: it is not timed.</summary>
internal sealed class DisagreementException(string message) : InvalidOperationException(message);

/// <summary>A peer, a process: one JSON object a line in, one out.</summary>
internal abstract class PeerWorker : IDisposable
{
    private readonly Process _process;

    /// <summary>Starts the process and waits for its first line: versions, or why it cannot work.</summary>
    protected PeerWorker(ProcessStartInfo start)
    {
        (start.RedirectStandardInput, start.RedirectStandardOutput) = (true, true);
        try
        {
            _process = Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw Missing($"there is no '{start.FileName}' ({e.Message})");
        }
        string? line = _process.StandardOutput.ReadLine();
        if (line == null) throw Missing($"{start.FileName} ended at once");
        Hello = JsonNode.Parse(line)!.AsObject();
        if (Hello["error"] is { } error) throw Missing($"{start.FileName} says \"{error.ToString().ReplaceLineEndings(" ")}\"");
    }

    /// <summary>As in the results: pytorch.</summary>
    public abstract string Name { get; }

    /// <summary>Name, version and how it runs, for people.</summary>
    public abstract string Description { get; }

    /// <summary>Versions, threads and libraries, as the worker sees them.</summary>
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

    /// <summary>Forgets what was loaded.</summary>
    public void Unload() => Ask(new JsonObject { ["do"] = "unload" });

    public void Dispose()
    {
        _process.StandardInput.Close(); // the end of its input ends it
        if (!_process.WaitForExit(5000)) _process.Kill();
        _process.Dispose();
    }

    /// <summary>How to say that the peer is not there.</summary>
    protected abstract PeerMissingException Missing(string why);

    protected JsonObject Ask(JsonObject question)
    {
        _process.StandardInput.WriteLine(question.ToJsonString());
        _process.StandardInput.Flush();
        string line = _process.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"The {Name} worker ended in the middle of its work; what it wrote above says why.");
        var answer = JsonNode.Parse(line)!.AsObject();
        return answer["error"] is { } error ? throw new InvalidOperationException($"{Name} worker: {error}") : answer;
    }

    protected static Dictionary<string, double> Values(JsonObject answer) => answer["values"].Deserialize<Dictionary<string, double>>()!;
}

/// <summary>The workers' programs are parts of this assembly; they are written to a folder of their own as long as they are needed.</summary>
internal sealed class WorkerScripts : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("refconv-workers-").FullName;

    public WorkerScripts()
    {
        foreach (string name in (string[])["torch_worker.py", "torch_models.py", "torch_blocks.py", "pillow_worker.py", "ort_worker.js"])
        {
            using var from = typeof(WorkerScripts).Assembly.GetManifestResourceStream(name)!;
            using var to = File.Create(Path.Combine(_folder, name));
            from.CopyTo(to);
        }
    }

    /// <summary>PyTorch's side.</summary>
    public string Torch => Path.Combine(_folder, "torch_worker.py");

    /// <summary>Pillow's side.</summary>
    public string Pillow => Path.Combine(_folder, "pillow_worker.py");

    /// <summary>ONNX Runtime's side.</summary>
    public string OnnxRuntime => Path.Combine(_folder, "ort_worker.js");

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
