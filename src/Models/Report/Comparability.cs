using System.Text.Json.Nodes;
using RefConv.Models.Report.Reading;

namespace RefConv.Models.Report;

/// <summary>What a reader must know before comparing anything: said, not hidden.</summary>
internal static class Comparability
{
    /// <summary>Sentences, the gravest first.</summary>
    public static IReadOnlyList<string> Notes(ReportInput input)
    {
        List<string> notes = [];
        var runs = input.Sets.SelectMany(s => s.Runs.Select(r => (Set: s, Run: r))).ToArray();
        Different(notes, [.. runs.Select(r => (Plain(r.Run.Model), Group(r.Set, r.Run))), .. input.Analyses.Select(a => (Plain(a.Model), $"{a.Kind} analysis"))], "models", "Figures of one are not comparable with those of another.");
        Different(notes, [.. runs.Select(r => (r.Run.Data, Group(r.Set, r.Run))), .. input.Analyses.Select(a => (a.Data, $"{a.Kind} analysis"))], "data", "Their accuracies and losses measure different things.");
        Different(notes, [.. runs.Where(r => r.Run.Data != null).Select(r => (r.Run.Pictures, Group(r.Set, r.Run)))], "numbers of pictures", "Runs with more pictures have an advantage, and accuracies were measured on different test pictures.");
        foreach (var kind in input.Analyses.Where(a => a.Images != null).GroupBy(a => (a.Kind, a.Model, a.Data)).Where(k => k.Select(a => a.Images).Distinct().Count() > 1))
            notes.Add($"The {kind.Key.Kind} analyses of {kind.Key.Model ?? "a model"} used {Num.List([.. kind.Select(a => Num.Whole(a.Images!.Value)).Distinct()])} pictures: their figures are not those of one measurement. Give --limit the same number.");
        Recipes(notes, runs);
        Seeds(notes, input);
        foreach (var (set, run) in runs)
        {
            if (run.Failed != null) notes.Add($"{Name(set, run)} failed: {run.Failed}");
            foreach (string fault in run.Faults) notes.Add($"{Name(set, run)}: {fault}.");
        }
        notes.AddRange(input.Faults);
        foreach (var a in input.Analyses.Where(HasGaps)) notes.Add($"The {a.Kind} analysis of {a.Name} holds values that are not finite: they are left blank and out of means.");
        return notes;
    }

    /// <summary>A run by a name that tells it from all others of a report.</summary>
    public static string Name(RunSet set, ReportRun run) => set.Compared ? $"{set.Title}, {run.Method}, seed {run.Seed}" : run.Method;

    /// <summary>Rows of one comparison are alike in all that it fixes.</summary>
    private static string Group(RunSet set, ReportRun run) => set.Compared ? $"comparison of {set.Title}" : run.Method;

    /// <summary>Architecture, width and variant: runs and analyses write them a little differently, and classes are the data's.</summary>
    internal static string? Plain(string? model) => model?.Split(", ")[0].Replace("(small images)", "small");

    private static void Different(List<string> notes, IReadOnlyList<(string? Value, string Name)> all, string what, string consequence)
    {
        var groups = all.Where(v => v.Value != null).GroupBy(v => v.Value!).ToArray();
        if (groups.Length < 2) return;
        notes.Add($"Different {what} stand side by side: {string.Join("; ", groups.Select(g => $"{g.Key} ({Few([.. g.Select(v => v.Name).Distinct()])})"))}. {consequence}");
    }

    private static void Recipes(List<string> notes, IReadOnlyList<(RunSet Set, ReportRun Run)> runs)
    {
        var flat = runs.Where(r => r.Run.Recipe != null).Select(r => RecipeText.Flat(r.Run.Recipe!)).ToArray();
        string[] differing = [.. flat.SelectMany(f => f.Keys).Distinct().Where(k => k != "seed" && flat.Select(f => f.GetValueOrDefault(k)).Distinct().Count() > 1)];
        if (differing.Length > 0) notes.Add($"Recipes differ in {Num.List([.. differing.Select(RecipeText.Words)])}: what differs between those runs need not come from their methods. The table of recipes says which is which.");
    }

    private static void Seeds(List<string> notes, ReportInput input)
    {
        string[] single = [.. input.Sets.Where(s => s.Compared && s.Runs.Select(r => r.Seed).Distinct().Count() < 2).Select(s => s.Title)];
        if (single.Length > 0) notes.Add($"One seed only ({Few(single)}): how far another seed would be off is not known, so no deviation is given, and no claim about accuracy can be judged. Repeat with --seeds 3.");
        foreach (var set in input.Sets.Where(s => s.Compared))
        {
            int most = set.Methods.Max(m => set.BySeed(m).Count);
            string[] fewer = [.. set.Methods.Where(m => set.BySeed(m).Count < most).Select(m => $"{m} ({set.BySeed(m).Count} of {most})")];
            if (fewer.Length > 0) notes.Add($"{set.Title}: not every row has all seeds: {Num.List(fewer)}. Means of such rows are over fewer seeds; differences are taken where both rows have the seed.");
        }
    }

    private static string Few(IReadOnlyList<string> names) => names.Count <= 4 ? string.Join(", ", names) : $"{string.Join(", ", names.Take(3))} and {names.Count - 3} more";

    private static bool HasGaps(AnalysisInput file) => Gap(file.Results, "");

    // Whole matrices may be null where there is nothing to compare with; a null among numbers is a value that was not finite.
    private static bool Gap(JsonNode? node, string name) => node switch
    {
        JsonArray list => (name is ("values" or "loss" or "accuracy" or "before" or "after") && list.Any(n => n is null)) || list.Any(n => n is JsonObject && Gap(n, "")),
        JsonObject all => all.Any(p => p.Value is JsonArray or JsonObject && Gap(p.Value, p.Key)),
        _ => false,
    };
}

/// <summary>Recipes as rows of a table, whatever settings they have.</summary>
internal static class RecipeText
{
    /// <summary>Settings with their values as text; settings inside others by both names.</summary>
    public static IReadOnlyDictionary<string, string> Flat(JsonObject recipe)
    {
        Dictionary<string, string> flat = [];
        Add("", recipe);
        return flat;

        void Add(string prefix, JsonObject inner)
        {
            foreach (var (name, value) in inner)
            {
                if (value is JsonObject deeper) Add(prefix + name + " ", deeper);
                else flat[prefix + name] = value is JsonValue text && text.TryGetValue(out string? s) ? s : value?.ToJsonString() ?? "none";
            }
        }
    }

    /// <summary>labelSmoothing → label smoothing.</summary>
    public static string Words(string name) => string.Concat(name.Select((c, i) => char.IsAsciiLetterUpper(c) && i > 0 ? " " + char.ToLowerInvariant(c) : c.ToString()));
}
