using RefConv.IO;
using RefConv.Models.Report.Reading;
using RefConv.Models.Report.Sections;

namespace RefConv.Models.Report;

/// <summary>
/// One page about runs and analyses: what the claims come to, tables, curves, maps, recipes. Everything is inside one HTML file.
/// </summary>
public sealed class EvidenceReport
{
    private static readonly (string Kind, string Heading, Action<Page, AnalysisInput> Add)[] s_analyses =
    [
        ("connection", "Connections between kernel channels", KernelSections.Connection),
        ("redundancy", "Redundancy of kernel channels", KernelSections.Redundancy),
        ("skeleton", "Kernel skeleton", KernelSections.Skeleton),
        ("rank", "Effective rank and similarity of kernels", KernelSections.Rank),
        ("kernels", "Kernels before and after", KernelSections.Kernels),
        ("landscape", "Loss landscape", ModelSections.Landscape),
        ("attack", "Robustness to attacks", ModelSections.Attack),
        ("cost", "Cost of training", ModelSections.Cost),
    ];

    private readonly ReportInput _input;
    private readonly IReadOnlyList<Claim> _claims;

    private EvidenceReport(ReportInput input)
    {
        _input = input;
        _claims = Report.Claims.Judge(input);
        Notes = Comparability.Notes(input);
    }

    /// <summary>What a reader must know before comparing anything: different models or data, single seeds, logs that are cut off.</summary>
    public IReadOnlyList<string> Notes { get; }

    /// <summary>Each claim with what was found (seen, not seen, too small to tell, not measured) and the number behind it.</summary>
    public IReadOnlyList<(string Claim, string Verdict, string Sentence)> Claims => [.. _claims.Select(c => (c.Title, Words(c.Verdict), c.Sentence))];

    /// <summary>Runs that were found.</summary>
    public int Runs => _input.Sets.Sum(s => s.Runs.Count);

    /// <summary>Analyses that were found.</summary>
    public int Analyses => _input.Analyses.Count;

    /// <summary>Reads runs (of train, demo, compare, ablate) and analyses.</summary>
    /// <param name="paths">Folders, or files of analyses; folders are searched.</param>
    /// <exception cref="IOException">A path is not there, or there is nothing to report on in it.</exception>
    public static EvidenceReport Read(IReadOnlyList<string> paths)
    {
        if (paths.Count == 0) throw new ArgumentException("Give at least one folder of a run.");
        return new(RunReader.Read(paths));
    }

    /// <summary>Writes the page.</summary>
    public void Save(string path) => AtomicFile.WriteAllText(path, ToHtml());

    /// <summary>The page.</summary>
    public string ToHtml()
    {
        var page = new Page("RefConv: the evidence");
        page.Notes("Before you compare", Notes);
        AddClaims(page);
        foreach (var set in _input.Sets) ResultSection.Add(page, set);
        foreach (var (kind, heading, add) in s_analyses) AddAnalyses(page, kind, heading, add);
        AddRecipes(page);
        AddSources(page);
        string[] models = [.. _input.Sets.SelectMany(s => s.Runs).Select(r => r.Model).Concat(_input.Analyses.Select(a => a.Model)).Select(Comparability.Plain).OfType<string>().Distinct()];
        string what = $"{Num.Count(Runs, "run")} and {Num.Count(Analyses, "analysis", "analyses")}{(models.Length == 0 ? "" : $" of {Num.List(models)}")}";
        return page.ToHtml("What the numbers show", what + ".");
    }

    private static string Words(Verdict verdict) => verdict switch
    {
        Verdict.Seen => "seen",
        Verdict.NotSeen => "not seen",
        Verdict.TooSmallToTell => "too small to tell",
        _ => "not measured",
    };

    private void AddClaims(Page page)
    {
        page.Section("The claims");
        page.Html("<ul class=\"claims\">");
        foreach (var claim in _claims)
        {
            string style = claim.Verdict switch { Verdict.Seen => "seen", Verdict.NotSeen => "not", Verdict.TooSmallToTell => "open", _ => "none" };
            page.Html($"<li><span><span class=\"mark {style}\">{Words(claim.Verdict)}</span></span><span><b>{Num.Escape(claim.Title)}.</b> {Num.Escape(claim.Sentence)}</span></li>");
        }
        page.Html("</ul>").Text(Report.Claims.Rule, "small soft");
    }

    private void AddAnalyses(Page page, string kind, string heading, Action<Page, AnalysisInput> add)
    {
        AnalysisInput[] files = [.. _input.Analyses.Where(a => a.Kind == kind)];
        if (files.Length == 0) return;
        page.Section(heading);
        foreach (var file in files)
        {
            page.Heading($"{file.Model ?? "A model"}: {file.Name}");
            string? against = file.Against != null ? $"before: {Tail(file.Against)}" : kind is not ("redundancy" or "skeleton" or "rank" or "kernels") ? null
                : HasBefore(file) ? "before: the frozen basis in the same file" : "no plain model to compare with";
            page.Text(string.Join("; ", new[] { against, file.Data == null ? null : $"{file.Data}{(file.Images is { } n ? $", {Num.Count(n, "picture")}" : "")}", file.Environment }.OfType<string>()) + ".", "small soft");
            add(page, file);
        }
    }

    /// <summary>Kernels of some layer were compared with others: a list or an object of what was before, or a number.</summary>
    private static bool HasBefore(AnalysisInput file) => file.Results.Objects("layers").Any(l => l["before"] != null || double.IsFinite(l.Number("effectiveRankBefore")));

    private static string Tail(string path) => string.Join('/', path.Split('/', '\\')[^Math.Min(3, path.Split('/', '\\').Length)..]);

    /// <summary>All recipes: one column each, the seed left out; settings in which they differ are marked.</summary>
    private void AddRecipes(Page page)
    {
        var groups = _input.Sets.SelectMany(s => s.Runs.Select(r => (Set: s, Run: r))).Where(r => r.Run.Recipe != null)
            .GroupBy(r => string.Join("\n", RecipeText.Flat(r.Run.Recipe!).Where(p => p.Key != "seed").OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => $"{p.Key}={p.Value}"))).ToArray();
        if (groups.Length == 0) return;
        page.Section("Recipe and environment");
        var recipes = groups.Select(g => RecipeText.Flat(g.First().Run.Recipe!)).ToArray();
        string[] keys = [.. recipes.SelectMany(r => r.Keys).Distinct().Where(k => k != "seed")];
        string[] names = [.. groups.Select(g => groups.Length == 1 ? "value" : g.Select(r => r.Set.Compared ? $"{r.Set.Title}, {r.Run.Method}" : r.Run.Method).Distinct().ToArray() is { Length: > 3 } many ? $"{many[0]}, {many[1]} and {many.Length - 2} more" : string.Join("; ", g.Select(r => r.Set.Compared ? $"{r.Set.Title}, {r.Run.Method}" : r.Run.Method).Distinct()))];
        List<string> titles = ["setting", .. names];
        if (groups.Length > 1) titles.Add("differs");
        page.Table("recipes", titles, [.. keys.Select(k =>
        {
            string[] values = [.. recipes.Select(r => r.GetValueOrDefault(k, "—"))];
            return (IReadOnlyList<Cell>)[RecipeText.Words(k), .. values.Select(v => (Cell)v), .. groups.Length > 1 ? new Cell[] { values.Distinct().Count() > 1 ? "differs" : "" } : []];
        })]);
        string[] seeds = [.. _input.Sets.SelectMany(s => s.Runs).Select(r => r.Seed).OfType<ulong>().Distinct().Order().Select(s => s.ToString(System.Globalization.CultureInfo.InvariantCulture))];
        page.Text($"Seeds: {Num.List(seeds)}.");
        string[] environments = [.. _input.Sets.SelectMany(s => s.Runs).Select(r => r.Environment).Concat(_input.Analyses.Select(a => a.Environment)).OfType<string>().Distinct()];
        page.Text(environments.Length == 0 ? "Where it was computed was not written down." : $"Computed on: {string.Join("; ", environments)}.");
    }

    private void AddSources(Page page)
    {
        page.Section("Where this comes from");
        string[] commands = [.. _input.Analyses.Select(a => a.Command).OfType<string>().Distinct()];
        page.Text($"Made by refconv report {string.Join(' ', _input.Paths.Select(p => p.Contains(' ') ? $"\"{p}\"" : p))}.");
        if (commands.Length > 0) page.Text("Commands of the analyses:").List(commands);
    }
}
