using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace RefConv.Bench.Peers;

/// <summary>What was measured, as text and as JSON.</summary>
internal static class Report
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Machine, versions and command: without them a figure means nothing.</summary>
    public static JsonObject Header(string machine, Kernels.Device device, JsonObject torch, string command) => new()
    {
        ["date"] = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
        ["machine"] = machine,
        ["command"] = command,
        ["refconv"] = $"{typeof(Tensor).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion} ({device.Description})",
        ["runtime"] = RuntimeInformation.FrameworkDescription,
        ["peer"] = $"PyTorch {torch["torch"]} (torchvision {torch["torchvision"]}, BLAS {torch["blas"]}, {torch["threads"]} threads)",
    };

    public static string ToText(JsonObject header) => string.Join("\n", header.Select(p => $"{p.Key + ":",-9} {p.Value}"));

    /// <summary>One line of the table a form; a case with two forms also gets their ratio in each engine.</summary>
    public static IEnumerable<string> Lines(IReadOnlyList<DuelResult> forms)
    {
        foreach (var r in forms)
        {
            double[] q = Quartiles(r.Ratios);
            yield return Text($"{r.Case.Name + (r.Form == PeerCase.Plain ? "" : " " + r.Form),-34} {r.Ours.Median,9:F2} {r.Ours.Fastest,9:F2} {r.Best.Median,9:F2} {r.Best.Fastest,9:F2}  {r.Best.Name,-11} {q[1],6:F2}  {q[0],5:F2}..{q[2],-5:F2} {r.Difference,8:E1}  {Rounds(r)}");
        }
        if (forms.Count == 2)
        {
            double[] ours = Quartiles(Statistics.Ratios(forms[1].Ours, forms[0].Ours)), theirs = Quartiles(Statistics.Ratios(forms[1].Best, forms[0].Best));
            yield return Text($"  {forms[1].Form} step over {forms[0].Form} step: ours {ours[1]:F3} ({ours[0]:F3}..{ours[2]:F3}), PyTorch {theirs[1]:F3} ({theirs[0]:F3}..{theirs[2]:F3})");
        }
    }

    public static string Heading { get; } =
        Text($"{"case",-34} {"ours ms",9} {"fastest",9} {"PyTorch",9} {"fastest",9}  {"its way",-11} {"ratio",6}  {"quartiles",-12} {"differ",8}  {"rounds"}");

    public static string Legend { get; } =
        "ms: median of the samples, one step. ratio: PyTorch over ours round by round, median and quartiles; above 1 ours is faster.\n" +
        "differ: largest relative difference of loss or scores on the same weights (gradients are compared too).\n" +
        "rounds: how many, and whether the machine was quiet meanwhile or what share of it other processes took.";

    private static string Rounds(DuelResult r) => r.Ours.Samples.Count + (r.Quiet ? " quiet" : Text($", others {r.Others:P0}"));

    public static JsonNode ToJson(DuelResult r) => new JsonObject
    {
        ["case"] = r.Case.Name,
        ["form"] = r.Form,
        ["ours"] = ToJson(r.Ours),
        ["theirs"] = new JsonObject(r.Theirs.Select(s => KeyValuePair.Create(s.Name, (JsonNode?)ToJson(s)))),
        ["theirBest"] = r.Best.Name,
        ["ratio"] = Round(Quartiles(r.Ratios)[1]),
        ["ratioQuartiles"] = new JsonArray(Round(Quartiles(r.Ratios)[0]), Round(Quartiles(r.Ratios)[2])),
        ["difference"] = r.Difference,
        ["quiet"] = r.Quiet,
        ["othersShare"] = double.IsNaN(r.Others) ? null : Round(r.Others),
    };

    public static string Format(JsonNode node) => node.ToJsonString(Indented);

    private static JsonObject ToJson(Series s) => new()
    {
        ["medianMs"] = Round(s.Median),
        ["fastestMs"] = Round(s.Fastest),
        ["samplesMs"] = new JsonArray([.. s.Samples.Select(v => (JsonNode)Round(v))]),
    };

    private static double[] Quartiles(double[] values) => [.. new[] { 0.25, 0.5, 0.75 }.Select(q => Statistics.Quantile(values, q))];

    private static double Round(double value) => double.Parse(value.ToString("G5", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
