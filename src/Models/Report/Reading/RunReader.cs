using System.Text.Json;
using System.Text.Json.Nodes;
using RefConv.IO;

namespace RefConv.Models.Report.Reading;

/// <summary>All that was found in the folders of a report.</summary>
internal sealed record ReportInput(IReadOnlyList<RunSet> Sets, IReadOnlyList<AnalysisInput> Analyses, IReadOnlyList<string> Faults, IReadOnlyList<string> Paths);

/// <summary>
/// Finds runs and analyses. It looks at files, not at what made them: a folder with <c>row.json</c> is a row of a comparison or ablation, one with <c>run.json</c> alone
/// a run, and every JSON file that says so an analysis; so the folder of a whole study can be given as well as that of one run.
/// </summary>
internal sealed class RunReader
{
    private const int MostDepth = 6, MostFiles = 20_000;

    private readonly List<(string Root, ReportRun Run, JsonObject? Setup, string SetFolder)> _runs = [];
    private readonly List<AnalysisInput> _analyses = [];
    private readonly List<string> _faults = [];
    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);

    /// <summary>Reads all paths.</summary>
    /// <exception cref="IOException">A path is not there, or nothing in it can be reported on.</exception>
    public static ReportInput Read(IReadOnlyList<string> paths)
    {
        var reader = new RunReader();
        foreach (string path in paths) reader.Path(path);
        return new ReportInput(reader.Sets(), reader._analyses, reader._faults, paths);
    }

    private void Path(string path)
    {
        int before = _runs.Count + _analyses.Count + _faults.Count;
        bool again = _seen.Contains(System.IO.Path.GetFullPath(path)); // given twice, or inside another one
        if (File.Exists(path))
        {
            if (System.IO.Path.GetFileName(path) is "run.json" or "row.json") Folder(path, System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!, null, 0);
            else JsonFile(path, mustBe: true);
        }
        else if (Directory.Exists(path)) Folder(path, path, null, 0);
        else throw new FileNotFoundException($"There is no run '{path}'. Give folders that train, demo, compare, ablate or analyze made.");
        if (_runs.Count + _analyses.Count + _faults.Count == before && !again)
            throw new IOException($"'{path}' holds no run and no analysis. Give folders that train, demo, compare, ablate or analyze made.");
    }

    private void Folder(string root, string folder, (JsonObject Setup, string Folder)? around, int depth)
    {
        if (depth > MostDepth || !_seen.Add(System.IO.Path.GetFullPath(folder))) return;
        if (_seen.Count > MostFiles) throw new IOException($"'{root}' holds more than {MostFiles:N0} folders and files. Give the folders of runs themselves.");
        try
        {
            foreach (string name in (ReadOnlySpan<string>)["comparison.json", "ablation.json"])
            {
                string file = System.IO.Path.Combine(folder, name);
                if (File.Exists(file) && Json(file) is { } setup) around = (setup, folder);
            }
            string row = System.IO.Path.Combine(folder, "row.json"), run = System.IO.Path.Combine(folder, "run.json");
            if (File.Exists(row) || File.Exists(run)) Run(root, folder, File.Exists(row) ? row : null, File.Exists(run) ? run : null, around);
            foreach (string file in Directory.EnumerateFiles(folder, "*.json").Order(StringComparer.Ordinal))
            {
                if (System.IO.Path.GetFileName(file) is not ("row.json" or "run.json" or "comparison.json" or "ablation.json" or "options.json")) JsonFile(file, mustBe: false);
            }
            foreach (string inner in Directory.EnumerateDirectories(folder).OrderBy(d => d, Comparer<string>.Create(Natural))) Folder(root, inner, around, depth + 1);
        }
        catch (UnauthorizedAccessException e)
        {
            _faults.Add($"{folder} cannot be read ({e.Message.TrimEnd('.')}).");
        }
    }

    /// <summary>seed2 before seed10.</summary>
    private static int Natural(string a, string b)
    {
        string Key(string s) => System.Text.RegularExpressions.Regex.Replace(s, @"\d+", m => m.Value.PadLeft(12, '0'));
        return string.CompareOrdinal(Key(a), Key(b));
    }

    private JsonObject? Json(string file)
    {
        var json = LenientJson.Read(file, out string? fault);
        if (fault != null) _faults.Add($"{file} {fault}.");
        return json;
    }

    /// <summary>An analysis. In folders, other JSON files are no concern of reports.</summary>
    private void JsonFile(string file, bool mustBe)
    {
        string full = System.IO.Path.GetFullPath(file);
        if (!_seen.Add(full)) return;
        var json = LenientJson.Read(file, out string? fault);
        bool known = json.Text("format") == AnalysisInput.Format;
        if (!known && !mustBe) return;
        if (json == null) throw new FileFormatException(file, $"the file {fault}. Make the analysis again.");
        if (!known) throw new FileFormatException(file, "the file is no analysis. Give one that refconv analyze wrote, or the folder of a run.");
        string kind = json.Text("kind") ?? "";
        if (json.Whole("version") is not AnalysisInput.Version || !AnalysisInput.Kinds.Contains(kind))
        {
            _faults.Add($"{file} is an analysis of kind '{kind}', version {json["version"]?.ToJsonString() ?? "unknown"}, which this version of the tool does not know; it is left out.");
            return;
        }
        if (fault != null) _faults.Add($"{file} {fault}.");
        if (json.Inner("results") is not { } results)
        {
            _faults.Add($"{file} holds no results; it is left out.");
            return;
        }
        _analyses.Add(new AnalysisInput(file, kind, json.Text("model"), json.Text("subject"), json.Text("against"), DataName(json.Text("data")), json.Whole("images"), json.Text("command"), json.Text("environment"), results)
            { Fingerprint = json.Text("fingerprint") });
    }

    private void Run(string root, string folder, string? rowFile, string? runFile, (JsonObject Setup, string Folder)? around)
    {
        List<string> faults = [];
        JsonObject? row = Log(rowFile), state = Log(runFile);
        // Both logs have the epochs; one that was cut off has fewer.
        EpochPoint[] ofRow = Epochs(row), ofState = Epochs(state), history = ofRow.Length >= ofState.Length ? ofRow : ofState;
        var recipe = state.Inner("recipe") ?? around?.Setup.Inner("recipe");
        string? failed = row.Text("failed");
        long? epochs = recipe.Whole("epochs");
        bool finished = row != null || epochs == null || history.Length >= epochs || StoppedEarly(recipe, history);
        if (history.Length == 0 && failed == null) faults.Add(row == null && state == null ? "its log is missing" : "it has no finished epoch yet");
        else if (!finished) faults.Add($"{history.Length} of {epochs} epochs are done, so its last figures are no result");
        var gap = history.Where(e => double.IsNaN(e.Accuracy) && double.IsNaN(e.Psnr) || double.IsNaN(e.TrainLoss)).ToArray();
        if (gap.Length > 0) faults.Add($"{Num.Count(gap.Length, "epoch")} of its log {(gap.Length == 1 ? "has a value" : "have values")} missing or not finite: curves have gaps there");
        var (model, form) = CheckpointModel(folder);
        if (around?.Setup is { } setup && SpecIn(setup, SetFolder(folder, around.Value.Folder)) is { } named) model = named;
        string kind = state.Text("kind") ?? "";
        _runs.Add((root, new ReportRun
        {
            Folder = folder,
            Method = row.Text("method") ?? (around != null || RowNames.Role(kind) >= 0 && kind is not "refocus" ? kind : ""),
            Seed = (ulong?)(row.Whole("seed") ?? recipe.Whole("seed")),
            Model = model,
            Form = form,
            Data = DataName(state.Text("data") ?? around?.Setup.Text("data")),
            Pictures = Pictures(state, around?.Setup),
            Recipe = recipe,
            Environment = state.Text("environment"),
            History = history,
            Figures = row != null && failed == null ? RowFigures.Of(row) : null,
            Failed = failed,
            Finished = finished && failed == null && history.Length > 0 || row != null,
            Faults = faults,
        }, around?.Setup, SetFolder(folder, around?.Folder)));

        EpochPoint[] Epochs(JsonObject? log) => [.. log.Objects("history").Select(EpochPoint.Of).OfType<EpochPoint>().Where(e => !e.IsEmpty)];

        JsonObject? Log(string? file)
        {
            if (file == null) return null;
            var json = LenientJson.Read(file, out string? fault);
            if (fault != null) faults.Add($"its log {System.IO.Path.GetFileName(file)} {fault}");
            return json;
        }
    }

    /// <summary>The recipe has a patience, and it was over: no better epoch came.</summary>
    private static bool StoppedEarly(JsonObject? recipe, EpochPoint[] history) => recipe.Whole("patience") is > 0 and var patience && history.Length > 0 &&
        history[^1].Epoch - history.Where(e => double.IsFinite(e.Accuracy)).DefaultIfEmpty(history[^1]).MaxBy(e => e.Accuracy)!.Epoch >= patience;

    /// <summary>Rows of one model belong together: those under a setup, or under the folder above the seeds.</summary>
    private static string SetFolder(string folder, string? setup)
    {
        string parent = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(folder)) ?? folder;
        if (System.IO.Path.GetFileName(parent).StartsWith("seed", StringComparison.Ordinal)) return System.IO.Path.GetDirectoryName(parent) ?? parent;
        return setup != null ? System.IO.Path.GetFullPath(setup) : parent;
    }

    /// <summary>A comparison is of one model; an ablation of several, each in a folder with the name of its architecture.</summary>
    private static string? SpecIn(JsonObject setup, string folder) =>
        (setup.Inner("model") ?? setup.Objects("models").FirstOrDefault(m => m.Text("architecture") == System.IO.Path.GetFileName(folder))) is { } model ? Spec(model) : null;

    private static string? Spec(JsonObject model) => model.Text("architecture") is not { } name ? null : new ModelSpec(name)
    {
        Classes = (int)Math.Clamp(model.Whole("classes") ?? 0, 0, int.MaxValue),
        Width = model.Number("width") is var w && double.IsNaN(w) ? 1 : w,
        SmallImages = model["smallImages"] is JsonValue small && small.GetValueKind() == JsonValueKind.True,
    }.ToString();

    /// <summary>What the checkpoint says of itself; its weights are not read.</summary>
    private static (string? Model, string? Form) CheckpointModel(string folder)
    {
        foreach (string name in (ReadOnlySpan<string>)["last.safetensors", "best.safetensors"])
        {
            string file = System.IO.Path.Combine(folder, name);
            if (!File.Exists(file)) continue;
            try
            {
                using var open = SafeTensorsFile.Open(file);
                if (!open.Metadata.TryGetValue(ModelFile.MetadataKey, out string? text) || JsonNode.Parse(text) is not JsonObject header || header.Inner("spec") is not { } spec) continue;
                string forms = string.Join(", ", header.Objects("forms").Select(f => $"in {f.Text("method")} form"));
                return (Spec(spec), forms.Length == 0 ? null : forms);
            }
            catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
            {
                // The log is what counts here; a damaged checkpoint is told by those who load it.
            }
        }
        return (null, null);
    }

    /// <summary>Without the folder, which is another on every machine.</summary>
    private static string? DataName(string? data)
    {
        if (data == null) return null;
        int colon = data.IndexOf(':');
        string kind = colon < 0 ? data : data[..colon];
        return kind == "imagefolder" || (colon < 0 && data.Contains('/')) ? $"{(colon < 0 ? "" : kind + " ")}{System.IO.Path.GetFileName(data.TrimEnd('/', '\\'))}" : kind;
    }

    private static string? Pictures(JsonObject? state, JsonObject? setup)
    {
        long? train = setup.Whole("trainImages") ?? state.Whole("limit"), test = setup.Whole("testImages") ?? state.Whole("testLimit");
        return $"{(train == null ? "all" : Num.Whole(train.Value))} training and {(test == null ? "all" : Num.Whole(test.Value))} test pictures";
    }

    private IReadOnlyList<RunSet> Sets()
    {
        List<RunSet> sets = [];
        List<ReportRun> loose = [];
        foreach (var group in _runs.GroupBy(r => r.SetFolder))
        {
            var named = group.Where(r => r.Run.Method.Length > 0).Select(r => r.Run).ToArray();
            bool compared = named.Length > 1 && named.Select(r => r.Method).Distinct().Count() > 1;
            if (compared) sets.Add(new RunSet(SetTitle(named, group.Key), true, named));
            loose.AddRange(group.Select(r => r.Run).Where(r => !compared || r.Method.Length == 0));
        }
        if (loose.Count > 0) sets.Add(new RunSet(loose.Count == 1 ? "The run" : "Runs", false, Labels.Name(loose)));
        return sets;
    }

    private static string SetTitle(IReadOnlyList<ReportRun> runs, string folder) => runs.Select(r => r.Model).FirstOrDefault(m => m != null)?.Split(", ")[0] ?? System.IO.Path.GetFileName(folder);
}
