using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary>Makes the analyses that were asked for, writes and prints them.</summary>
internal sealed class AnalysisRun(Output output, string folder, string command, CancellationToken cancellation)
{
    private const int LandscapePictures = 2000, AttackPictures = 1000;

    public required IReadOnlyList<string> Files { get; init; }

    public required string? Against { get; init; }

    public required string Data { get; init; }

    public required int? Limit { get; init; }

    public required LayerPolicy? Layers { get; init; }

    public required IReadOnlyList<int> Dimensions { get; init; }

    public required int Points { get; init; }

    public required double Range { get; init; }

    public required ulong Seed { get; init; }

    public required string? Path { get; init; }

    public required bool AsTrained { get; init; }

    public required IReadOnlyList<double> Epsilons { get; init; }

    public required int Steps { get; init; }

    public required int Batch { get; init; }

    public required Func<Device> OpenDevice { get; init; }

    public int Go(IEnumerable<string> kinds, bool everything)
    {
        using var device = OpenDevice();
        using var model = ModelFile.Load(Files[0], device, out var info);
        using var plain = Against == null ? null : ModelFile.Load(Against, device);
        if (plain != null && plain.Spec.Architecture != model.Spec.Architecture)
            output.Line($"Note: {Against} is a {plain.Spec.Architecture}, {Files[0]} a {model.Spec.Architecture}: what differs may be the architectures.");
        IReadOnlyList<KernelPair>? layers = null;
        IReadOnlyList<KernelPair> Kernels() => layers ??= KernelPair.Of(model, plain, Layers);
        foreach (string kind in kinds)
        {
            if (everything && WhyNot(kind, model) is { } reason)
            {
                output.Line($"{kind} is left out: {reason}");
                continue;
            }
            IImageDataset? pictures = kind switch
            {
                "landscape" => Open(model, info, train: true),
                "attack" => Open(model, info, train: false),
                _ => null,
            };
            AnalysisResults results;
            try
            {
                results = kind switch
                {
                    "connection" => KernelStudy.Connection(Kernels()),
                    "redundancy" => KernelStudy.Redundancy(Kernels()),
                    "skeleton" => KernelStudy.Skeleton(Kernels()),
                    "rank" => KernelStudy.Rank(Kernels()),
                    "kernels" => KernelStudy.Kernels(Kernels()),
                    "landscape" => Landscape(device, pictures!, withRandom: Path == null || everything),
                    "attack" => Attack(device, pictures!),
                    _ => Cost(model),
                };
            }
            catch (OperationCanceledException)
            {
                output.Line($"Stopped; what was done is kept. Go on with the same command and --out {folder}");
                return 130;
            }
            Write(model, device, kind, pictures, results);
        }
        return 0;
    }

    /// <summary>Why an analysis means nothing for a model, so that `all` goes on without it; null where it does.</summary>
    private static string? WhyNot(string kind, Model model) => kind switch
    {
        "connection" when !model.NamedModules().Any(m => m.Module is RefConv2d) => "no layer of the model is refocused. It takes the checkpoint of `refconv refocus`.",
        "landscape" or "attack" when model.Task != ModelTask.Classification => $"{model.Spec.Architecture} is no classifier.",
        _ => null,
    };

    private void Write(Model model, Device device, string kind, IImageDataset? pictures, AnalysisResults results)
    {
        string form = model.Spec.Width == 1 ? "" : FormattableString.Invariant($" ×{model.Spec.Width}");
        var file = new AnalysisFile($"{model.Spec.Architecture}{form}{(model.Spec.SmallImages ? " small" : "")}", string.Join(", ", Files), Against, pictures == null ? null : Data, pictures?.Count,
            command, $"{device.Name}, {device.Description}", results) { Fingerprint = AnalysisFile.FingerprintOf(Files) };
        string path = file.Save(folder);
        // The parts have become the file.
        if (kind == "landscape")
        {
            foreach (string part in Directory.GetFiles(folder, "landscape-*.part.json")) File.Delete(part);
        }
        var (titles, rows) = AnalysisTables.Of(results);
        output.Heading($"{kind}: {file.Model}{(pictures == null ? "" : $", {pictures.Count} images of {Data}")}");
        output.Table(titles, [.. rows.Select(r => (IReadOnlyList<string>)[.. r.Select(AnalysisTables.Text)])]);
        foreach (string note in AnalysisTables.Notes(results)) output.Line("• " + note);
        output.Line($"Numbers: {System.IO.Path.GetFullPath(path)}");
        output.Line();
        output.Object(new JsonObject
        {
            ["kind"] = kind,
            ["file"] = path,
            ["rows"] = new JsonArray([.. rows.Select(r => (JsonNode)new JsonObject(titles.Zip(r, (t, c) => KeyValuePair.Create(t, AnalysisTables.Json(c)))))]),
        });
    }

    private IImageDataset Open(Model model, DataInfo? info, bool train)
    {
        int count = Limit ?? (train ? LandscapePictures : AttackPictures);
        var source = DataSource.Open(Data, train ? count : 1, train ? 1 : count, ImageFolderOptions.For(model.Spec, info));
        return train ? source.Train : source.Test;
    }

    /// <summary>The models with their names for people, the plain one first; each is there while it is looked at.</summary>
    private IEnumerable<(string Name, Model Model)> Subjects(Device device, bool merged)
    {
        string[] files = Against == null ? [.. Files] : [Against, .. Files];
        foreach (string file in files)
        {
            using var model = ModelFile.Load(file, device);
            using var plain = merged && model.IsMergeable ? model.Merge().Merged : null;
            bool refocused = model.Forms.Any(f => f.Method is RefConvMethod);
            string name = file == Against ? "baseline" : refocused && Files.Count == 1 ? "refconv" : ShortName(file);
            yield return (name, plain ?? model);
        }
    }

    /// <summary>The name of the file, with its folder where that alone would not tell files apart.</summary>
    private string ShortName(string file)
    {
        string name = System.IO.Path.GetFileName(file);
        return Files.Count(f => System.IO.Path.GetFileName(f) == name) > 1 ? file : name;
    }

    private LandscapeResults Landscape(Device device, IImageDataset pictures, bool withRandom)
    {
        if (Path != null && Files.Count > 1) throw new ArgumentException("--path belongs to one model. Give one.");
        Directory.CreateDirectory(folder);
        List<LandscapeSurface> surfaces = [];
        foreach (var (name, model) in Subjects(device, merged: !AsTrained))
        {
            if (withRandom) Add(name, model, null);
            if (Path != null && name != "baseline") Add(name, model, PathDirections.Of(TrainingPath.Read(Path, device, merged: !AsTrained), model));
        }
        return new LandscapeResults(surfaces);

        void Add(string name, Model model, PathDirections? path)
        {
            foreach (int dimensions in Dimensions)
            {
                var options = new LandscapeOptions { Name = name, Points = Points, Range = Range, Line = dimensions == 1, Seed = Seed, Path = path };
                string part = System.IO.Path.Combine(folder, $"landscape-{surfaces.Count + 1}.part.json");
                surfaces.Add(CountingView.Run(output, $"{name}, {(path == null ? "random" : "path")} {dimensions}-d", "points",
                    progress => LossLandscape.Compute(model, pictures, options, part, progress, cancellation)));
            }
        }
    }

    private AttackResults Attack(Device device, IImageDataset pictures)
    {
        AttackOptions[] attacks = [.. Epsilons.Select(AttackOptions.Fgsm), .. Epsilons.Select(e => AttackOptions.Pgd(e, Steps))];
        List<AttackModel> models = [];
        foreach (var (name, model) in Subjects(device, merged: true))
        {
            models.Add(CountingView.Run(output, name, "attacks", progress =>
            {
                double clean = Evaluator.Evaluate(model, pictures, Batch, cancellation: cancellation).Accuracy;
                List<AttackRow> rows = [];
                foreach (var attack in attacks)
                {
                    progress(rows.Count, attacks.Length);
                    double accuracy = AdversarialAttack.Evaluate(model, pictures, attack, Batch, Seed, cancellation).Accuracy;
                    rows.Add(new AttackRow(attack.Name, attack.Epsilon, attack.Steps, attack.StepSize, accuracy));
                }
                return new AttackModel(name, clean, rows);
            }));
        }
        return new AttackResults(models);
    }

    private CostResults Cost(Model model)
    {
        var form = model.Forms.FirstOrDefault(f => f.Method is RefConvMethod);
        return TrainingCost.Measure(model.Spec, (RefConvMethod?)form?.Method ?? new RefConvMethod(), form == null ? Layers : LayerPolicy.Named([.. form.Layers]), Batch, OpenDevice);
    }
}
