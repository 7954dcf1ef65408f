using System.Diagnostics;
using System.Text.Json.Nodes;
using RefConv.Bench.Cudnn;
using RefConv.Kernels;

namespace RefConv.Bench.Gpu;

/// <summary>What a run is told.</summary>
internal sealed record Settings(string Device, int Batch, double Seconds, bool Quick);

/// <summary>
/// The parts of a run. Several are a process each, with a share of the time: what a faulting kernel leaves behind then harms one part only, and the first step is measured
/// from a process that has compiled nothing.
/// </summary>
internal static class Parts
{
    private static readonly Dictionary<string, double> s_shares = new() { ["start"] = 0.08, ["conformance"] = 0.3, ["layers"] = 0.28, ["models"] = 0.18, ["pipeline"] = 0.16 };

    public static string[] All { get; } = [.. s_shares.Keys];

    /// <summary>A part that is run only when it is named.</summary>
    public const string Compile = "compile";

    public static int Run(Settings settings, string[] wanted, string? torch, string? file)
    {
        var clock = Stopwatch.StartNew();
        var results = new Results(torch == null ? null : File.ReadAllText(torch)) { File = wanted.Length == 1 ? file : null };
        results.Environment["command"] = string.Join(' ', System.Environment.GetCommandLineArgs());
        results.Environment["date"] = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm", System.Globalization.CultureInfo.InvariantCulture) + " UTC";
        results.Environment["device"] = GpuBackend.Devices.FirstOrDefault(d => d.Name == settings.Device)?.Description ?? settings.Device;
        results.Environment["cudnn"] = NativeLibraries.Missing() is { } missing ? $"not here: {missing}" : CudnnHandle.Version.ToString(System.Globalization.CultureInfo.InvariantCulture);
        if (wanted is [var only])
        {
            Run(only, settings, results, clock);
        }
        else
        {
            foreach (string part in wanted)
            {
                Console.WriteLine($"== {part} ({clock.Elapsed.TotalSeconds:0} s)");
                RunApart(part, settings, torch, results, (1.2 * settings.Seconds) - clock.Elapsed.TotalSeconds);
                if (file != null) results.Save(file);
            }
        }
        results.Environment["seconds"] = Math.Round(clock.Elapsed.TotalSeconds, 1);
        if (file != null) results.Save(file);
        if (wanted.Length > 1) results.Summarize();
        return results.Failed ? 1 : 0;
    }

    private static void Run(string part, Settings settings, Results results, Stopwatch clock)
    {
        try
        {
            switch (part)
            {
                case "conformance": Conformance.Run(settings, results, clock); break;
                case "start": FirstStep.Run(settings, results); break;
                case "layers": Layers.Run(settings, results, clock); break;
                case Compile: CompileTimes.Run(settings, results); break;
                case "models": Models.Run(settings, results, clock); break;
                default: Pipeline.Run(settings, results); break;
            }
        }
        catch (Exception e) when (e is not DeviceUnavailableException)
        {
            // Whatever it was: what was measured before it counts.
            results.Note($"{part} broke off: {e.GetType().Name}: {e.Message}");
            results.Failed = true;
        }
    }

    /// <param name="part">Its name.</param>
    /// <param name="settings">For all parts.</param>
    /// <param name="torch">PyTorch's figures, or null.</param>
    /// <param name="results">Takes what it measures.</param>
    /// <param name="left">Seconds until everything has to be over.</param>
    private static void RunApart(string part, Settings settings, string? torch, Results results, double left)
    {
        double seconds = Math.Min(settings.Seconds * s_shares.GetValueOrDefault(part, 0.2), left), most = Math.Min((1.3 * seconds) + 15, left);
        if (seconds < 5)
        {
            results.Note($"{part} was left out: the time was over.");
            results.Failed = true;
            return;
        }
        string file = Path.GetTempFileName();
        try
        {
            string program = System.Environment.ProcessPath!;
            var start = new ProcessStartInfo(program);
            if (Path.GetFileNameWithoutExtension(program) == "dotnet") start.ArgumentList.Add(System.Environment.GetCommandLineArgs()[0]);
            string[] arguments = ["--device", settings.Device, "--parts", part, "--out", file, "--batch", $"{settings.Batch}", "--seconds", seconds.ToString("0", System.Globalization.CultureInfo.InvariantCulture)];
            foreach (string argument in (string[])[.. arguments, .. torch == null ? Array.Empty<string>() : ["--torch", torch], .. settings.Quick ? ["--quick"] : Array.Empty<string>()]) start.ArgumentList.Add(argument);
            start.Environment["CUDA_CACHE_DISABLE"] = "1"; // the driver's cache and ours would hide what compiling costs, which is asked once; after that ours saves time for measuring
            if (part == "start") start.Environment[PtxCache.Variable] = "off";
            using var process = Process.Start(start)!;
            // A part begins nothing new when its time is over; what is under way may take a while longer.
            if (!process.WaitForExit(TimeSpan.FromSeconds(most)))
            {
                process.Kill(entireProcessTree: true);
                process.WaitForExit();
                results.Note($"{part} was stopped: it took more than {most:0} s.");
                results.Failed = true;
            }
            results.Failed |= process.ExitCode != 0;
            results.Take(file, part);
        }
        finally
        {
            File.Delete(file);
        }
    }
}

/// <summary>Figures as they come, for the file and for the table at the end.</summary>
internal sealed class Results
{
    private readonly JsonArray _rows = [];
    private readonly JsonArray _kernels = [];
    private readonly List<string> _notes = [];

    public Results(string? torch)
    {
        foreach (string line in (torch ?? "").Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (Row(line) is { } row && row["name"] != null) Torch[(string)row["name"]!] = row;
        }
    }

    public JsonObject Environment { get; } = [];

    /// <summary>Written after every figure, so that a part which is stopped leaves what it had; or null.</summary>
    public string? File { get; init; }

    /// <summary>What a kernel needs of a multiprocessor.</summary>
    public void Kernel(string name, int registers, int localBytes) => _kernels.Add(new JsonObject { ["name"] = name, ["registers"] = registers, ["localBytes"] = localBytes });

    public bool Failed { get; set; }

    /// <summary>PyTorch's figures by name.</summary>
    public Dictionary<string, JsonObject> Torch { get; } = [];

    /// <summary>A figure. With a peer's time and a class it counts in that class's geometric mean.</summary>
    public void Add(string part, string name, string? group, double milliseconds, double? peer = null, string? peerName = null, params (string Key, JsonNode? Value)[] more)
    {
        var row = new JsonObject { ["part"] = part, ["name"] = name, ["class"] = group, ["ms"] = milliseconds };
        if (peer is { } p)
        {
            row["peer"] = peerName;
            row["peerMs"] = p;
            row["ratio"] = p / milliseconds;
        }
        foreach (var (key, value) in more) row[key] = value;
        _rows.Add(row);
        if (File != null) Save(File);
        Console.WriteLine($"{name,-48} {milliseconds,9:0.0000} ms" + (peer is { } q ? $"  {peerName} {q,9:0.0000} ms  ×{q / milliseconds:0.00}" : "") + string.Concat(more.Select(m => $"  {m.Key} {m.Value?.ToJsonString()}")));
    }

    /// <summary>What a part of its own process wrote.</summary>
    public void Take(string file, string part)
    {
        string text = System.IO.File.ReadAllText(file);
        if (text.Length == 0)
        {
            Note($"{part} left no figures.");
            Failed = true;
            return;
        }
        var all = JsonNode.Parse(text)!;
        foreach (var row in all["rows"]!.AsArray()) _rows.Add(row!.DeepClone());
        foreach (var kernel in all["kernels"]?.AsArray() ?? []) _kernels.Add(kernel!.DeepClone());
        foreach (var note in all["notes"]!.AsArray()) _notes.Add((string)note!);
    }

    public void Note(string text)
    {
        _notes.Add(text);
        Console.WriteLine("! " + text);
    }

    public void Save(string file)
    {
        var all = new JsonObject { ["environment"] = Environment.DeepClone(), ["rows"] = _rows.DeepClone(), ["kernels"] = _kernels.DeepClone(), ["notes"] = new JsonArray([.. _notes.Select(n => (JsonNode)n)]) };
        string temporary = file + ".tmp";
        System.IO.File.WriteAllText(temporary, all.ToJsonString(new() { WriteIndented = true }));
        System.IO.File.Move(temporary, file, overwrite: true);
    }

    /// <summary>A line that was cut off is none.</summary>
    private static JsonObject? Row(string line)
    {
        try
        {
            return JsonNode.Parse(line) as JsonObject;
        }
        catch (System.Text.Json.JsonException)
        {
            return null;
        }
    }

    /// <summary>The table at the end: a line a class, then what was noted.</summary>
    public void Summarize()
    {
        Console.WriteLine($"\n== {Environment["device"]}, cuDNN {Environment["cudnn"]}");
        Console.WriteLine($"{"class",-28} {"cases",5}  {"peer",-24} {"geomean",8} {"least",7}");
        foreach (var group in _rows.OfType<JsonObject>().Where(r => r["ratio"] != null && r["class"] != null).GroupBy(r => ((string)r["class"]!, (string)r["peer"]!)))
        {
            double[] ratios = [.. group.Select(r => (double)r["ratio"]!)];
            Console.WriteLine($"{group.Key.Item1,-28} {ratios.Length,5}  {group.Key.Item2,-24} {Math.Exp(ratios.Average(Math.Log)),8:0.00} {ratios.Min(),7:0.00}");
        }
        foreach (var row in _rows.OfType<JsonObject>().Where(r => (string)r["part"]! is "start" or "pipeline" or "ceiling"))
            Console.WriteLine($"{row["name"]}: {(double)row["ms"]!:0.000} ms {string.Join(", ", row.Where(f => f.Key is not ("part" or "name" or "class" or "ms")).Select(f => $"{f.Key} {f.Value?.ToJsonString()}"))}");
        if (_kernels.Count > 0)
            Console.WriteLine($"{_kernels.Count} kernels: at most {_kernels.Max(k => (int)k!["registers"]!)} registers a thread; {_kernels.Count(k => (int)k!["localBytes"]! > 0)} with local memory");
        foreach (string note in _notes) Console.WriteLine("! " + note);
    }
}
