using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace RefConv.Bench;

/// <summary>Results for machines.</summary>
internal static class JsonLines
{
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    /// <summary>One result: a line of <c>--json</c>.</summary>
    /// <param name="r">The result.</param>
    /// <param name="ceilings">What the machine can do.</param>
    /// <param name="samples">With every sample.</param>
    public static JsonObject Of(BenchResult r, in Ceilings ceilings, bool samples = false)
    {
        var line = new JsonObject
        {
            ["name"] = r.Case.Name,
            ["op"] = r.Case.Op,
            ["class"] = r.Class,
            ["batch"] = r.Case.Batch,
            ["ms"] = r.IsMemory ? null : Number(r.Ours.Median),
            ["gflops"] = Number(r.GigaFlops),
            ["ceiling"] = Number(r.CeilingShare(ceilings)),
        };
        if (r.IsMemory) line["mb"] = Number(r.Ours.Median);
        foreach (var (name, value) in r.Notes) line[name] = Number(value);
        if (r.Plain is { } plain) (line["plainMs"], line["overhead"]) = (Number(plain.Ours.Median), Number(r.Overhead));
        if (r.Best is { } best) AddPeer(line, r, best);
        if (r.Surroundings is { } s) (line["clock"], line["quiet"], line["others"]) = (s.ProcessorTime ? "cpu" : "wall", s.Quiet, Number(s.Others));
        line["rounds"] = r.Ours.Samples.Count;
        if (!samples) return line;
        line["samples"] = new JsonObject(Series(r, "").Concat(r.Plain == null ? [] : Series(r.Plain, "plain ")));
        return line;

        static IEnumerable<KeyValuePair<string, JsonNode?>> Series(BenchResult r, string form) => r.Theirs.Prepend(r.Ours)
            .Select(s => KeyValuePair.Create(form + s.Name, (JsonNode?)new JsonArray([.. s.Samples.Select(v => Number(v))])));
    }

    /// <summary>Everything, indented.</summary>
    public static string Document(BenchReport report) => new JsonObject
    {
        ["summary"] = report.Summary(),
        ["results"] = new JsonArray([.. report.Results.Select(r => Of(r, report.Ceilings, samples: true))]),
    }.ToJsonString(s_indented) + "\n";

    /// <summary>Five digits: more is noise.</summary>
    public static JsonNode? Number(double? value) =>
        value is { } v && double.IsFinite(v) ? double.Parse(v.ToString("G5", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) : null;

    private static void AddPeer(JsonObject line, BenchResult r, Series best)
    {
        double[] quartiles = Statistics.Quartiles(r.Ratios);
        line["peer"] = r.Peer;
        line[r.IsMemory ? "peerMb" : "peerMs"] = Number(best.Median);
        line["ratio"] = Number(r.Ratio);
        line["ratioQuartiles"] = new JsonArray(Number(quartiles[0]), Number(quartiles[2]));
        line["peerWay"] = best.Name;
        line["difference"] = Number(r.Difference);
        if (r.Plain?.Best is { } plain) (line["peerPlainMs"], line["peerOverhead"]) = (Number(plain.Median), Number(r.PeerOverhead));
    }
}
