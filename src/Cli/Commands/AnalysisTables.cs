using System.Globalization;
using System.Text.Json.Nodes;
using RefConv.Models.Analysis;

namespace RefConv.Cli.Commands;

/// <summary>What people see of an analysis: a row a layer, model or attack. A cell is a word, a whole number, a number, or null where there is none.</summary>
internal static class AnalysisTables
{
    public static (IReadOnlyList<string> Titles, IReadOnlyList<object?[]> Rows) Of(AnalysisResults results) => results switch
    {
        ConnectionResults r => (["layer", "channels", "to itself", "to others", "others / itself"],
            [.. r.Layers.Select(l => new object?[] { l.Layer, l.Size, l.DiagonalMean, l.OffDiagonalMean, l.OffDiagonalMean / l.DiagonalMean })]),
        RedundancyResults r => (["layer", "channels", "KL before", "KL after", "after / before", "KL after, at equal size", "that / before"],
            [.. r.Layers.Select(l => new object?[] { l.Layer, l.Channels, l.Before?.Mean, l.After.Mean, l.After.Mean / l.Before?.Mean, l.AfterAtEqualSize, l.AfterAtEqualSize / l.Before?.Mean })]),
        SkeletonResults r => (["layer", "kernel", "centre before", "corners before", "centre after", "corners after"],
            [.. r.Layers.Select(l => new object?[] { l.Layer, $"{l.Rows}×{l.Columns}", Centre(l.Before), Corners(l.Before, l.Columns), Centre(l.After), Corners(l.After, l.Columns) })]),
        RankResults r => (["layer", "rank before", "rank after", "of", "|cosine| before", "|cosine| after"],
            [.. r.Layers.Select(l => new object?[] { l.Layer, l.EffectiveRankBefore, l.EffectiveRankAfter, l.Maximum, l.CosineBefore, l.CosineAfter })]),
        KernelResults r => (["layer", "kernel", "channels"], [.. r.Layers.Select(l => new object?[] { l.Layer, $"{l.Rows}×{l.Columns}", l.Count })]),
        LandscapeResults r => (["model", "directions", "points", "loss at centre", "largest loss", "mean rise", "curvature x", "curvature y"],
            [.. r.Surfaces.Select(s => new object?[] { s.Name, s.Directions, s.Loss.Length, s.CentreLoss, s.Sharpness.MaxLoss, s.Sharpness.MeanRise, s.Sharpness.CurvatureX, s.Sharpness.CurvatureY })]),
        AttackResults r => (["attack", .. r.Models.Select(m => $"top-1 % {m.Name}")],
            [["none", .. r.Models.Select(m => (object?)(100 * m.Clean))],
                .. r.Models[0].Rows.Select((row, i) => new object?[] { new AttackOptions(row.Attack, row.Epsilon, row.Steps, row.StepSize, false).ToString() }
                    .Concat(r.Models.Select(m => (object?)(100 * m.Rows[i].Accuracy))).ToArray())]),
        CostResults r => (["layer", "parameters plain", "parameters refocused", "MACs/step plain", "MACs/step refocused", "bytes/step plain", "bytes/step refocused", "ms plain", "ms refocused"],
            [.. r.Rows.Select(c => new object?[] { c.Layer, c.Plain.Parameters, c.Refconv.Parameters, c.Plain.Macs, c.Refconv.Macs, c.Plain.Bytes, c.Refconv.Bytes, c.Plain.StepMs, c.Refconv.StepMs })]),
        _ => throw new ArgumentException($"There is no table for {results.GetType().Name}."),
    };

    /// <summary>What must be known to read the table.</summary>
    public static IEnumerable<string> Notes(AnalysisResults results) => results switch
    {
        ConnectionResults r => r.Layers.Where(l => l.Note != null).GroupBy(l => l.Note).Select(g => $"{string.Join(", ", g.Select(l => l.Layer))}: {g.Key}"),
        RedundancyResults r => r.Layers.Where(l => l.Note != null).GroupBy(l => l.Note).Select(g => $"{string.Join(", ", g.Select(l => l.Layer))}: {g.Key}")
            .Append(r.Layers.Any(l => l.Before == null) ? "nothing to compare with: give the plain model with --against" : null).OfType<string>(),
        LandscapeResults r => r.Surfaces.Where(s => !s.Loss.All(double.IsFinite)).Select(s => $"{s.Name}: at {s.Loss.Count(l => !double.IsFinite(l))} points the loss is no finite number; they do not count")
            .Concat(r.Surfaces.Where(s => s.Explained != null).Select(s => FormattableString.Invariant($"{s.Name}: the directions explain {100 * s.Explained![0]:0.0} and {100 * s.Explained[1]:0.0} % of the path's variance"))),
        CostResults r => [FormattableString.Invariant($"{r.Batch} images a step: {r.StepMs.Refconv / r.StepMs.Plain:0.00} times the time, {r.Memory.RefconvPeakBytes / (double)r.Memory.PlainPeakBytes:0.00} times the memory ({r.Memory.PlainPeakBytes / 1048576.0:0.0} and {r.Memory.RefconvPeakBytes / 1048576.0:0.0} MiB)")],
        _ => [],
    };

    public static string Text(object? cell) => cell switch
    {
        null => "",
        double d => double.IsFinite(d) ? d.ToString(Math.Abs(d) is >= 100 or 0 ? "0.0" : "G4", CultureInfo.InvariantCulture) : "–",
        IFormattable number => number.ToString("N0", CultureInfo.InvariantCulture),
        _ => cell.ToString()!,
    };

    public static JsonNode? Json(object? cell) => cell switch
    {
        double d => double.IsFinite(d) ? d : null,
        int i => i,
        long l => l,
        string s => s,
        _ => null,
    };

    private static object? Centre(double[]? skeleton) => skeleton == null ? null : skeleton[skeleton.Length / 2];

    private static object? Corners(double[]? skeleton, int columns) => skeleton == null ? null : (skeleton[0] + skeleton[columns - 1] + skeleton[^columns] + skeleton[^1]) / 4;
}
