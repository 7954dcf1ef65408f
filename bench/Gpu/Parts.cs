using System.Diagnostics;
using System.Text.Json.Nodes;
using RefConv.Bench.Cudnn;
using RefConv.Kernels;

namespace RefConv.Bench.Gpu;

/// <summary>What a run is told.</summary>
internal sealed record Settings(string Device, int Batch, double Seconds, bool Quick);

/// <summary>The parts of a run, one after another, and what they found.</summary>
internal static class Parts
{
    public static string[] All { get; } = ["conformance", "start", "layers", "models", "pipeline"];

    public static int Run(Settings settings, string[] wanted, string? torch, string? file)
    {
        var clock = Stopwatch.StartNew();
        var results = new Results(torch == null ? null : File.ReadAllText(torch));
        using (var device = GpuBackend.Open(settings.Device))
        {
            results.Environment["device"] = $"{device.Name}: {device.Description}";
            results.Environment["command"] = string.Join(' ', System.Environment.GetCommandLineArgs());
            results.Environment["date"] = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm", System.Globalization.CultureInfo.InvariantCulture) + " UTC";
            results.Environment["cudnn"] = NativeLibraries.Missing() is { } missing ? $"not here: {missing}" : CudnnHandle.Version.ToString(System.Globalization.CultureInfo.InvariantCulture);
        }
        foreach (string part in wanted)
        {
            if (clock.Elapsed.TotalSeconds > settings.Seconds)
            {
                results.Note($"{part} was left out: {settings.Seconds:0} s were over.");
                continue;
            }
            Console.WriteLine($"== {part} ({clock.Elapsed.TotalSeconds:0} s)");
            try
            {
                switch (part)
                {
                    case "conformance": Conformance.Run(settings, results, clock); break;
                    case "start": FirstStep.Run(settings, results); break;
                    case "layers": Layers.Run(settings, results, clock); break;
                    case "models": Models.Run(settings, results, clock); break;
                    default: Pipeline.Run(settings, results); break;
                }
            }
            catch (Exception e) when (e is InvalidOperationException or NotSupportedException or OutOfMemoryException or DeviceLostException or DllNotFoundException or EntryPointNotFoundException or NotImplementedException)
            {
                results.Note($"{part} broke off: {e.Message}");
                results.Failed = true;
            }
            if (file != null) results.Save(file);
        }
        results.Environment["seconds"] = Math.Round(clock.Elapsed.TotalSeconds, 1);
        if (file != null) results.Save(file);
        results.Summarize();
        return results.Failed ? 1 : 0;
    }
}

/// <summary>Figures as they come, for the file and for the table at the end.</summary>
internal sealed class Results
{
    private readonly JsonArray _rows = [];
    private readonly List<string> _notes = [];

    public Results(string? torch)
    {
        foreach (string line in (torch ?? "").Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (JsonNode.Parse(line) is JsonObject row && row["name"] != null) Torch[(string)row["name"]!] = row;
        }
    }

    public JsonObject Environment { get; } = [];

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
        Console.WriteLine($"{name,-48} {milliseconds,9:0.0000} ms" + (peer is { } q ? $"  {peerName} {q,9:0.0000} ms  ×{q / milliseconds:0.00}" : "") + string.Concat(more.Select(m => $"  {m.Key} {m.Value?.ToJsonString()}")));
    }

    public void Note(string text)
    {
        _notes.Add(text);
        Console.WriteLine("! " + text);
    }

    public void Save(string file)
    {
        var all = new JsonObject { ["environment"] = Environment.DeepClone(), ["rows"] = _rows.DeepClone(), ["notes"] = new JsonArray([.. _notes.Select(n => (JsonNode)n)]) };
        string temporary = file + ".tmp";
        File.WriteAllText(temporary, all.ToJsonString(new() { WriteIndented = true }));
        File.Move(temporary, file, overwrite: true);
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
        foreach (string note in _notes) Console.WriteLine("! " + note);
    }
}
