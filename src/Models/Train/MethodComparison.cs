using System.Text.Json;
using System.Text.Json.Nodes;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models.Analysis;
using RefConv.Models.Data;

namespace RefConv.Models.Train;

/// <summary>
/// Trains one architecture by several methods, from one recipe and the same initial weights a seed, merges each, and checks the merged file against the
/// trained form. A method that starts from a trained model (RefConv) starts from the plain row's, and then the plain model is trained twice as well,
/// as a row of its own: what a second round of training gives by itself.
/// </summary>
/// <remarks>What one row meets (training that diverges, a merge that is refused) is that row's result, and the others go on. Every row is kept in a folder of its own. Running the comparison again in the same folder goes on where it stopped, inside a row too.</remarks>
public sealed class MethodComparison
{
    /// <summary>The plain model.</summary>
    public const string Plain = "none";

    /// <summary>The plain model, trained once more by the same recipe: the control of methods that start from a trained model.</summary>
    public const string Retrained = "retrained";

    private const string ResultFile = "row.json", OptionsFile = "options.json";

    /// <summary>The architecture.</summary>
    public required ModelSpec Spec { get; init; }

    /// <summary>The pictures.</summary>
    public required DataSource Data { get; init; }

    /// <summary>The recipe of every training; its seed is the first one.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>The methods, by name.</summary>
    public required IReadOnlyList<string> Methods { get; init; }

    /// <summary>Options of methods, by name; what is left out has its default.</summary>
    public IReadOnlyDictionary<string, JsonObject> MethodOptions { get; init; } = new Dictionary<string, JsonObject>();

    /// <summary>Leave out methods that the model cannot take, and keep the reasons in <see cref="Skipped"/>. Otherwise the first such method is an error.</summary>
    public bool SkipUnsuitable { get; init; }

    /// <summary>Methods that <see cref="Run"/> left out, and why.</summary>
    public IReadOnlyDictionary<string, string> Skipped { get; private set; } = new Dictionary<string, string>();

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
            List<string> others = [.. Methods.Where(m => m is not (Plain or Retrained) && !Skipped.ContainsKey(m)).Distinct()];
            var second = others.FindAll(m => Create(m).NeedsTrainedModel);   // an unknown name is told before anything is trained
            bool control = Methods.Contains(Retrained) || second.Count > 0;
            return [Plain, .. others.Except(second), .. control ? [Retrained] : Array.Empty<string>(), .. second];
        }
    }

    /// <summary>Runs what is not there yet.</summary>
    /// <param name="device">Where.</param>
    /// <param name="cancellation">Stops between steps; what was done is kept.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    /// <exception cref="ArgumentException">The model cannot take a method.</exception>
    /// <exception cref="IOException">The folder holds a comparison of something else.</exception>
    public IReadOnlyList<MethodRow> Run(Device device, CancellationToken cancellation = default)
    {
        CheckMethods(device);
        var names = RowNames;
        CheckFolder(names);
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

    private IReparameterization Create(string method) => Reparameterizations.Create(method, MethodOptions.GetValueOrDefault(method));

    private bool StartsTrained(string row) => row == Retrained || (row != Plain && Create(row).NeedsTrainedModel);

    /// <summary>Expands by every method once, which costs nothing beside training: a method that cannot be used is told before hours were spent on the others.</summary>
    private void CheckMethods(Device device)
    {
        using var model = Zoo.Create(Spec, new Initializer(device, Recipe.Seed));
        Dictionary<string, string> skipped = [];
        foreach (string name in Methods.Where(m => m is not (Plain or Retrained)).Distinct())
        {
            var method = Create(name);
            try
            {
                model.Expand(method, seed: Recipe.Seed).Dispose();
            }
            catch (ArgumentException e) when (SkipUnsuitable)
            {
                skipped[name] = e.Message;
            }
        }
        Skipped = skipped;
    }

    private MethodRow Row(string name, ulong seed, Device device, CancellationToken cancellation)
    {
        string path = RowFolder(name, seed), result = Path.Combine(path, ResultFile);
        if (File.Exists(result)) return ReadJson(result, ComparisonJson.Default.MethodRow);
        MethodRow row;
        if (StartsTrained(name) && Row(Plain, seed, device, cancellation).Failed is { } reason)
        {
            row = MethodRow.Failure(name, seed, $"it starts from the plain model's row, which failed: {reason}", []);
            Directory.CreateDirectory(path);
        }
        else
        {
            var folder = new RunFolder(path);
            using var trainer = File.Exists(folder.LastFile) ? Trainer.Resume(folder, device) : Start(name, seed, folder, device);
            using var model = trainer.Model;
            try
            {
                if (!Train(Seeds == 1 ? name : $"seed {seed} {name}", trainer, cancellation)) throw new OperationCanceledException(cancellation);
                row = Judge(name, seed, model, trainer.State, path, cancellation);
            }
            catch (Exception e) when (e is DivergedException or MergeRefusedException)
            {
                row = MethodRow.Failure(name, seed, e.Message, trainer.State.History);
            }
        }
        AtomicFile.WriteAllText(result, JsonSerializer.Serialize(row, ComparisonJson.Default.MethodRow));
        return row;
    }

    private string RowFolder(string name, ulong seed) => Path.Combine(Folder, $"seed{seed}", name);

    private Trainer Start(string name, ulong seed, RunFolder folder, Device device)
    {
        var recipe = Recipe with { Seed = seed };
        var model = StartsTrained(name)
            ? ModelFile.Load(new RunFolder(RowFolder(Plain, seed)).LastFile, device)
            : Zoo.Create(Spec, new Initializer(device, seed));
        if (name is not (Plain or Retrained))
        {
            using var plain = model;
            model = plain.Expand(Create(name), seed: seed);
        }
        try
        {
            Directory.CreateDirectory(folder.Path);
            if (model.Forms.Count > 0) AtomicFile.WriteAllText(Path.Combine(folder.Path, OptionsFile), model.Forms[^1].Method.Options.ToJsonString());
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
            var (merged, _) = Merge(model);
            using (merged) ModelFile.Save(merged, file, DataInfo.Of(Data.Train));
            using var loaded = ModelFile.Load(file, model.Device);
            var (difference, largest) = MergeCheck.OnScores(model, loaded, Data.Test, cancellation);
            error = difference / Math.Max(largest, double.Epsilon);
        }
        string? stays = model.NamedModules().Select(m => m.Module).OfType<IUnmergeable>().FirstOrDefault()?.Reason;
        string? progress = (model.Forms.LastOrDefault()?.Method as IEvolving)?.Progress(model);
        var summary = ModelSummary.Of(model);
        double step = StepTime.Milliseconds(model, Recipe.BatchSize);
        var last = state.History[^1];
        return new MethodRow(name, seed, last.Accuracy, last.TestLoss, error, summary.TrainParameters, summary.DeployParameters, summary.TrainMacs, summary.DeployMacs,
            step, model.Forms.Sum(f => f.Layers.Count), state.History) { Stays = stays, Progress = progress };
    }

    private static (Model Merged, MergeReport Report) Merge(Model model)
    {
        try
        {
            return model.Merge();
        }
        catch (InvalidOperationException e)
        {
            throw new MergeRefusedException(e);
        }
    }

    /// <summary>What must be the same when a folder is used again: everything but the methods and the number of seeds, which may grow. A row keeps its options.</summary>
    private void CheckFolder(IReadOnlyList<string> names)
    {
        foreach (string name in names.Where(n => n is not (Plain or Retrained)))
        {
            string options = Create(name).Options.ToJsonString();
            for (int i = 0; i < Seeds; i++)
            {
                string kept = Path.Combine(RowFolder(name, Recipe.Seed + (ulong)i), OptionsFile);
                if (File.Exists(kept) && File.ReadAllText(kept) is var there && there != options)
                    throw new IOException($"'{Folder}' has a row {name} with the options {there}; asked for are {options}. Give the same options (--set) to go on with it, or another folder (--out).");
            }
        }
        CheckSetup();
    }

    private void CheckSetup()
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
