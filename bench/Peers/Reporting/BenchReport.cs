using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using RefConv.Kernels;

namespace RefConv.Bench;

/// <summary>What was measured so far, and under which circumstances: without them a figure means nothing.</summary>
/// <param name="settings">What was asked for.</param>
/// <param name="device">Our device.</param>
/// <param name="peers">The peers' descriptions.</param>
/// <param name="ceilings">What the machine can do.</param>
internal sealed class BenchReport(BenchSettings settings, Device device, IReadOnlyList<string> peers, Ceilings ceilings)
{
    private readonly DateTime _started = DateTime.UtcNow;

    public Ceilings Ceilings => ceilings;

    /// <summary>In the order they came.</summary>
    public List<BenchResult> Results { get; } = [];

    /// <summary>Cases that could not be timed yet: title and reason.</summary>
    public List<BenchCase> Unavailable { get; } = [];

    /// <summary>Cases in which the engines disagreed: what about.</summary>
    public List<string> Disagreements { get; } = [];

    /// <summary>It was interrupted.</summary>
    public bool Stopped { get; set; }

    /// <summary>Machine, versions and command, for people.</summary>
    public IEnumerable<(string Name, string Value)> Header()
    {
        yield return ("date", _started.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture));
        yield return ("machine", settings.Machine);
        yield return ("command", settings.Command);
        yield return ("refconv", $"{typeof(Tensor).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion} ({device.Description})");
        yield return ("runtime", RuntimeInformation.FrameworkDescription);
        foreach (string peer in peers) yield return ("peer", peer);
        yield return ("ceilings", Text($"{ceilings.GigaFlops:F0} GFLOP/s, main memory {ceilings.ReadGigabytes:F1} GB/s read, {ceilings.CopyGigabytes:F1} GB/s copied"));
    }

    /// <summary>What the geometric means are of.</summary>
    public string MeanOf => Results.Any(r => r.Peer != null) ? "ratio" : "ms";

    /// <summary>Geometric means: a line a class, in the order of <see cref="CaseClass.All"/>.</summary>
    public IEnumerable<ClassMean> Means()
    {
        foreach (var c in CaseClass.All)
        {
            BenchResult[] rows = [.. Results.Where(r => r.Class == c.Name)];
            if (rows.Length == 0) continue;
            yield return new ClassMean(
                c.Name, rows.Length, Mean(rows.Select(r => r.Ratio)), Mean(rows.Select(r => (double?)r.Ours.Median)), Mean(rows.Select(r => r.CeilingShare(ceilings))),
                Mean(rows.Select(r => r.Overhead)), Mean(rows.Select(r => r.PeerOverhead)), rows.Min(r => r.Ratio), rows.Count(r => r.Surroundings is { Disturbed: true }));
        }

        static double? Mean(IEnumerable<double?> values)
        {
            double[] known = [.. values.OfType<double>()];
            return known.Length == 0 ? null : Statistics.GeometricMean(known);
        }
    }

    /// <summary>The last object of <c>--json</c>.</summary>
    public JsonObject Summary()
    {
        var means = Means().ToArray();
        var summary = new JsonObject { ["summary"] = true, ["results"] = Results.Count, ["geomeanOf"] = MeanOf };
        summary["geomean"] = Object(means, m => MeanOf == "ratio" ? m.Ratio : m.Milliseconds);
        summary["ceiling"] = Object(means, m => m.Ceiling);
        summary["disturbed"] = Object(means, m => m.Disturbed);
        summary["overhead"] = JsonLines.Number(means.FirstOrDefault(m => m.Class == CaseClass.Refocus)?.Overhead);
        summary["peerOverhead"] = JsonLines.Number(means.FirstOrDefault(m => m.Class == CaseClass.Refocus)?.PeerOverhead);
        foreach (var group in Header().GroupBy(h => h.Name).Where(g => g.Key is not ("peer" or "ceilings"))) summary[group.Key] = group.Single().Value;
        summary["peers"] = new JsonArray([.. peers.Select(p => (JsonNode)p)]);
        summary["threads"] = device.Threads;
        summary["peakGflops"] = JsonLines.Number(ceilings.GigaFlops);
        summary["readGBs"] = JsonLines.Number(ceilings.ReadGigabytes);
        summary["copyGBs"] = JsonLines.Number(ceilings.CopyGigabytes);
        summary["seconds"] = JsonLines.Number((DateTime.UtcNow - _started).TotalSeconds);
        summary["unavailable"] = new JsonArray([.. Unavailable.Select(c => (JsonNode)c.Title)]);
        summary["disagreements"] = new JsonArray([.. Disagreements.Select(d => (JsonNode)d)]);
        summary["stopped"] = Stopped;
        return summary;

        static JsonObject Object(ClassMean[] means, Func<ClassMean, double?> value)
        {
            var result = new JsonObject();
            foreach (var mean in means)
                if (value(mean) is { } v) result[mean.Class] = JsonLines.Number(v);
            return result;
        }
    }

    /// <summary>Writes the results file: tables when its name ends in .md, every sample when it ends in .json.</summary>
    public void Save(string path)
    {
        string text = Path.GetExtension(path) == ".md" ? MarkdownReport.Of(this) : JsonLines.Document(this);
        File.WriteAllText(path, text);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

/// <summary>Geometric means over the results of a class.</summary>
/// <param name="Class">Its name.</param>
/// <param name="Count">Results.</param>
/// <param name="Ratio">The peer's time over ours.</param>
/// <param name="Milliseconds">Ours.</param>
/// <param name="Ceiling">Share of what the machine can do.</param>
/// <param name="Overhead">Of refocus: our RefConv step over our plain one.</param>
/// <param name="PeerOverhead">The peer's.</param>
/// <param name="Worst">The smallest ratio: not a mean, but what a mean hides.</param>
/// <param name="Disturbed">Results taken while others used the machine: a mean with some of those is not to be quoted.</param>
internal sealed record ClassMean(
    string Class, int Count, double? Ratio, double? Milliseconds, double? Ceiling, double? Overhead, double? PeerOverhead, double? Worst, int Disturbed);
