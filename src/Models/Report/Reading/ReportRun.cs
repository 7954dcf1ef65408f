using System.Text.Json.Nodes;

namespace RefConv.Models.Report.Reading;

/// <summary>What one epoch of any kind of run gave; NaN for what is not there.</summary>
internal sealed record EpochPoint(int Epoch, double TrainLoss, double TrainAccuracy, double TestLoss, double Accuracy, double Top5, double LearningRate, double Seconds, double Psnr)
{
    public static EpochPoint? Of(JsonObject o) => o.Whole("epoch") is { } epoch and > 0 and < int.MaxValue
        ? new((int)epoch, o.Number("trainLoss"), o.Number("trainAccuracy"), o.Number("testLoss"), o.Number("accuracy"), o.Number("top5"), o.Number("learningRate"), o.Number("seconds"), o.Number("psnr"))
        : null;

    /// <summary>No number was written at all: a line that was cut off.</summary>
    public bool IsEmpty => double.IsNaN(TrainLoss) && double.IsNaN(TestLoss) && double.IsNaN(Accuracy) && double.IsNaN(Psnr);
}

/// <summary>What a finished row of a comparison or an ablation says of itself.</summary>
internal sealed record RowFigures(double Accuracy, double TestLoss, double? MergeError, long? TrainParameters, long? DeployParameters, long? TrainMacs, long? DeployMacs, double? StepMs)
{
    public static RowFigures Of(JsonObject o) => new(o.Number("accuracy"), o.Number("testLoss"), Optional(o, "mergeError"), o.Whole("trainParameters"), o.Whole("deployParameters"),
        o.Whole("trainMacs"), o.Whole("deployMacs"), Optional(o, "stepMs") is > 0 and var ms ? ms : null);

    private static double? Optional(JsonObject o, string name) => o.Number(name) is var v && double.IsNaN(v) ? null : v;
}

/// <summary>One training run.</summary>
internal sealed record ReportRun
{
    /// <summary>Its folder.</summary>
    public required string Folder { get; init; }

    /// <summary>Row of a comparison (refconv, none, retrained); for a run by itself the name of its folder.</summary>
    public required string Method { get; init; }

    /// <summary>Its seed; null where the log does not say.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Architecture and options, in words; null where no file says.</summary>
    public string? Model { get; init; }

    /// <summary>The training form it is in, in words; null for a plain model.</summary>
    public string? Form { get; init; }

    /// <summary>Name of the data set, without the place where it lies.</summary>
    public string? Data { get; init; }

    /// <summary>Training and test pictures, in words.</summary>
    public string? Pictures { get; init; }

    /// <summary>The recipe, as it is written.</summary>
    public JsonObject? Recipe { get; init; }

    /// <summary>Where it was trained; null where the log does not say.</summary>
    public string? Environment { get; init; }

    /// <summary>Its epochs.</summary>
    public required IReadOnlyList<EpochPoint> History { get; init; }

    /// <summary>Result of a finished row; null for runs that are no row.</summary>
    public RowFigures? Figures { get; init; }

    /// <summary>Why it has no result; null where it has one.</summary>
    public string? Failed { get; init; }

    /// <summary>What is wrong or unfinished about it, as sentences without its name.</summary>
    public IReadOnlyList<string> Faults { get; init; } = [];

    /// <summary>Top-1 at the end; NaN without.</summary>
    public double Accuracy => Failed != null ? double.NaN : Figures?.Accuracy ?? History.LastOrDefault()?.Accuracy ?? double.NaN;

    /// <summary>Loss on the test pictures at the end; NaN without.</summary>
    public double TestLoss => Failed != null ? double.NaN : Figures?.TestLoss ?? History.LastOrDefault()?.TestLoss ?? double.NaN;

    /// <summary>Came to the end of its recipe.</summary>
    public bool Finished { get; init; } = true;
}

/// <summary>Runs that were made to be compared: one model, one data set, one recipe, several methods and seeds.</summary>
/// <param name="Title">What they are, for a heading.</param>
/// <param name="Compared">They are rows of one comparison, so that seeds may be paired; otherwise runs that merely stand side by side.</param>
/// <param name="Runs">The runs.</param>
internal sealed record RunSet(string Title, bool Compared, IReadOnlyList<ReportRun> Runs)
{
    /// <summary>Methods in the order they were found, the plain ones first.</summary>
    public IReadOnlyList<string> Methods => [.. Runs.Select(r => r.Method).Distinct().OrderBy(m => RowNames.Rank(m))];

    /// <summary>Finished runs of a method by seed.</summary>
    public IReadOnlyDictionary<ulong, ReportRun> BySeed(string method) => Runs.Where(r => r.Method == method && r.Failed == null && r.Finished && r.Seed != null)
        .GroupBy(r => r.Seed!.Value).ToDictionary(g => g.Key, g => g.First());
}

/// <summary>An analysis that <c>refconv analyze</c> wrote.</summary>
internal sealed record AnalysisInput(string File, string Kind, string? Model, string? Subject, string? Against, string? Data, long? Images, string? Command, string? Environment, JsonObject Results)
{
    /// <summary>Hash of the model that was looked at; null where it was not written down.</summary>
    public string? Fingerprint { get; init; }

    /// <summary>What tells trained models apart: paths may be the same in different folders, and different for one model.</summary>
    public string Identity => Fingerprint ?? Subject ?? File;

    /// <summary>Format and version that are read.</summary>
    public const string Format = "refconv-analysis";
    public const int Version = 1;
    public static IReadOnlyList<string> Kinds { get; } = ["connection", "redundancy", "skeleton", "rank", "kernels", "landscape", "attack", "cost"];

    /// <summary>The analysed model, short: the end of its path that a reader knows it by.</summary>
    public string Name => Subject == null ? Path.GetFileName(File) : Tail(Subject);

    private static string Tail(string path)
    {
        string[] parts = path.Split('/', '\\');
        // last.safetensors says nothing; the folder does, with the seed before it.
        return parts.Length == 1 ? parts[0] : string.Join('/', parts[^Math.Min(parts.Length, 3)..]);
    }
}

/// <summary>Names of rows that mean something to claims, whatever their spelling.</summary>
internal static class RowNames
{
    private static readonly string[][] s_known =
    [
        ["none", "baseline", "base", "plain"],
        ["retrained", "retrain"],
        ["finetuned", "finetune"],
        ["refconv", "refocused", "refocus"],
        ["randomfrozen", "randombase", "randomfrozenbase", "randomfrozenbasis"],
        ["trainedlearnable", "learnablebase", "pretrainedlearnable", "pretrainedlearnablebase"],
        ["randomlearnable", "randomlearnablebase"],
        ["noshortcut"],
    ];

    public const int Baseline = 0, Retrained = 1, Finetuned = 2, RefConv = 3, RandomBase = 4, LearnableBase = 5, RandomLearnableBase = 6, NoShortcut = 7;

    /// <summary>Which known row a name means; −1 for none.</summary>
    public static int Role(string name)
    {
        string key = string.Concat(name.Where(char.IsAsciiLetterOrDigit)).ToLowerInvariant();
        return Array.FindIndex(s_known, names => names.Contains(key));
    }

    /// <summary>The same for the path of a model file: the nearest part of it that means a row, as in seed1/refconv/last.safetensors.</summary>
    public static int RoleOfPath(string path) => path.Split('/', '\\').Reverse().Select(p => Role(Path.GetFileNameWithoutExtension(p))).FirstOrDefault(r => r >= 0, -1);

    /// <summary>For ordering: known rows first, in the table's order.</summary>
    public static int Rank(string name) => Role(name) is >= 0 and var role ? role : s_known.Length;
}
