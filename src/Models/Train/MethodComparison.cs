using System.Text.Json;
using System.Text.Json.Serialization;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models.Analysis;
using RefConv.Models.Data;

namespace RefConv.Models.Train;

/// <summary>One method with one seed in a <see cref="MethodComparison"/>.</summary>
/// <param name="Method">Name of the method; <c>none</c> for the plain model, <c>retrained</c> for the plain model trained twice.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Accuracy">Top-1 on the test pictures at the end.</param>
/// <param name="TestLoss">Mean cross-entropy on the test pictures at the end.</param>
/// <param name="MergeError">Largest difference of a test picture's scores between the trained form and the merged file, relative to the largest score; null where nothing is merged.</param>
/// <param name="TrainParameters">Weights while training, frozen ones included.</param>
/// <param name="DeployParameters">Weights of the deployed model.</param>
/// <param name="TrainMacs">Multiply-adds an image while training, without what is computed once a step.</param>
/// <param name="DeployMacs">Multiply-adds an image, deployed.</param>
/// <param name="StepMs">Median milliseconds of a training step.</param>
/// <param name="Layers">Layers in the method's form.</param>
/// <param name="History">Its epochs.</param>
public sealed record MethodRow(string Method, ulong Seed, double Accuracy, double TestLoss, double? MergeError, long TrainParameters, long DeployParameters,
    long TrainMacs, long DeployMacs, double StepMs, int Layers, IReadOnlyList<EpochResult> History);

/// <summary>
/// Trains one architecture by several methods, from one recipe and the same initial weights a seed, merges each, and checks the merged file against the
/// trained form. A method that starts from a trained model (RefConv) starts from the plain row's, and then the plain model is trained twice as well,
/// as a row of its own: what a second round of training gives by itself.
/// </summary>
/// <remarks>Every row is kept in a folder of its own. Running the comparison again in the same folder goes on where it stopped, inside a row too.</remarks>
public sealed class MethodComparison
{
    /// <summary>The plain model.</summary>
    public const string Plain = "none";

    /// <summary>The plain model, trained once more by the same recipe: the control of methods that start from a trained model.</summary>
    public const string Retrained = "retrained";

    /// <summary>The architecture.</summary>
    public required ModelSpec Spec { get; init; }

    /// <summary>The pictures.</summary>
    public required DataSource Data { get; init; }

    /// <summary>The recipe of every training; its seed is the first one.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>The methods, by name.</summary>
    public required IReadOnlyList<string> Methods { get; init; }

    /// <summary>Seeds, counting up from the recipe's.</summary>
    public int Seeds { get; init; } = 1;

    /// <summary>Where to keep the files.</summary>
    public required string Folder { get; init; }

    /// <summary>Runs the trainer of one row and says whether it came to its end: given the row's name, to show what is going on.</summary>
    public Func<string, Trainer, CancellationToken, bool> Train { get; init; } = (_, trainer, cancellation) => trainer.Run(cancellation: cancellation);

    /// <summary>Told every row when it is there.</summary>
    public Action<MethodRow>? OnRow { get; init; }

    /// <summary>The rows of one seed, in the order they are trained: the plain model first, the control before what it is a control of.</summary>
    public IReadOnlyList<string> RowNames
    {
        get
        {
            List<string> others = [.. Methods.Where(m => m is not (Plain or Retrained)).Distinct()];
            foreach (string name in others) _ = Reparameterizations.Create(name);   // an unknown name is told before anything is trained
            bool control = Methods.Contains(Retrained) || others.Exists(StartsTrained);
            return [Plain, .. others.Where(m => !StartsTrained(m)), .. control ? [Retrained] : Array.Empty<string>(), .. others.Where(StartsTrained)];
        }
    }

    /// <summary>Runs what is not there yet.</summary>
    /// <param name="device">Where.</param>
    /// <param name="cancellation">Stops between steps; what was done is kept.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    /// <exception cref="IOException">The folder holds a comparison of something else.</exception>
    public IReadOnlyList<MethodRow> Run(Device device, CancellationToken cancellation = default)
    {
        var names = RowNames;
        CheckFolder();
        List<MethodRow> rows = [];
        for (int i = 0; i < Seeds; i++)
        {
            ulong seed = Recipe.Seed + (ulong)i;
            foreach (string name in names)
            {
                rows.Add(Row(name, seed, device, cancellation));
                OnRow?.Invoke(rows[^1]);
            }
        }
        return rows;
    }

    private static bool StartsTrained(string method) => method == "refconv";

    private MethodRow Row(string name, ulong seed, Device device, CancellationToken cancellation)
    {
        string path = Path.Combine(Folder, $"seed{seed}", name), result = Path.Combine(path, "row.json");
        if (File.Exists(result)) return ReadJson(result, ComparisonJson.Default.MethodRow);
        var folder = new RunFolder(path);
        using var trainer = File.Exists(folder.LastFile) ? Trainer.Resume(folder, device) : Start(name, seed, folder, device);
        using var model = trainer.Model;
        if (!Train(Seeds == 1 ? name : $"seed {seed} {name}", trainer, cancellation)) throw new OperationCanceledException(cancellation);
        var row = Judge(name, seed, model, trainer.State, path, cancellation);
        AtomicFile.WriteAllText(result, JsonSerializer.Serialize(row, ComparisonJson.Default.MethodRow));
        return row;
    }

    private Trainer Start(string name, ulong seed, RunFolder folder, Device device)
    {
        var recipe = Recipe with { Seed = seed };
        bool second = name == Retrained || StartsTrained(name);
        var model = second
            ? ModelFile.Load(new RunFolder(Path.Combine(Folder, $"seed{seed}", Plain)).LastFile, device)
            : Zoo.Create(Spec, new Initializer(device, seed));
        if (name is not (Plain or Retrained))
        {
            using var plain = model;
            model = plain.Expand(Reparameterizations.Create(name), seed: seed);
        }
        try
        {
            Directory.CreateDirectory(folder.Path);
            var state = new RunState { Kind = name, Data = Data.Spec, Limit = Data.Train.Count, TestLimit = Data.Test.Count, Recipe = recipe };
            return new Trainer(model, Data, state, folder);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private MethodRow Judge(string name, ulong seed, Model model, RunState state, string path, CancellationToken cancellation)
    {
        model.Eval();
        double? error = null;
        if (model.IsMergeable)
        {
            string file = Path.Combine(path, "merged.safetensors");
            var (merged, _) = model.Merge();
            using (merged) ModelFile.Save(merged, file, DataInfo.Of(Data.Train));
            using var loaded = ModelFile.Load(file, model.Device);
            var (difference, largest) = MergeCheck.OnScores(model, loaded, Data.Test, cancellation);
            error = difference / Math.Max(largest, double.Epsilon);
        }
        var summary = ModelSummary.Of(model);
        double step = StepTime.Milliseconds(model, Recipe.BatchSize);
        var last = state.History[^1];
        return new MethodRow(name, seed, last.Accuracy, last.TestLoss, error, summary.TrainParameters, summary.DeployParameters, summary.TrainMacs, summary.DeployMacs,
            step, model.Forms.Sum(f => f.Layers.Count), state.History);
    }

    /// <summary>What must be the same when a folder is used again: everything but the methods and the number of seeds, which may grow.</summary>
    private void CheckFolder()
    {
        string file = Path.Combine(Folder, "comparison.json");
        var setup = new ComparisonSetup(Spec, Data.Spec, Data.Train.Count, Data.Test.Count, Recipe);
        if (File.Exists(file))
        {
            var there = ReadJson(file, ComparisonJson.Default.ComparisonSetup);
            if (there != setup)
                throw new IOException($"'{Folder}' holds a comparison of something else ({there}; asked for {setup}). Give the same model, data and recipe to go on with it, or another folder (--out).");
            return;
        }
        Directory.CreateDirectory(Folder);
        AtomicFile.WriteAllText(file, JsonSerializer.Serialize(setup, ComparisonJson.Default.ComparisonSetup));
    }

    private static T ReadJson<T>(string path, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), type) ?? throw new JsonException("it is empty");
        }
        catch (JsonException e)
        {
            throw new FileFormatException(path, $"the file is damaged ({e.Message}). Delete it to have that part done again.", e);
        }
    }
}

/// <summary>What a comparison is of.</summary>
internal sealed record ComparisonSetup(ModelSpec Model, string Data, int TrainImages, int TestImages, Recipe Recipe)
{
    public override string ToString() => $"{Model} on {Data}, {TrainImages:N0} and {TestImages:N0} pictures, {Recipe.Epochs} epochs of batch {Recipe.BatchSize} at {Recipe.LearningRate}, seed {Recipe.Seed}";
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(MethodRow))]
[JsonSerializable(typeof(ComparisonSetup))]
internal sealed partial class ComparisonJson : JsonSerializerContext;
