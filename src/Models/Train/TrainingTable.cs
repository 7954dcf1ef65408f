using System.Text.Json;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models.Analysis;
using RefConv.Models.Data;

namespace RefConv.Models.Train;

/// <summary>
/// One architecture trained once for every row and seed, each row in a folder of its own: what <see cref="MethodComparison"/> and
/// <see cref="AblationTable"/> have in common. They only say which rows there are. Trained forms are merged, and the merged file is checked against them.
/// </summary>
/// <remarks>What one row meets (training that diverges, a merge that is refused) is that row's result, and the others go on. Running the table again in the same folder goes on where it stopped, inside a row too.</remarks>
public abstract class TrainingTable
{
    private const string SetupFile = "comparison.json", ResultFile = "row.json", OptionsFile = "options.json";

    /// <summary>The architecture.</summary>
    public required ModelSpec Spec { get; init; }

    /// <summary>The pictures.</summary>
    public required DataSource Data { get; init; }

    /// <summary>The recipe of every training; its seed is the first one.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>Seeds, counting up from the recipe's.</summary>
    public int Seeds { get; init; } = 1;

    /// <summary>Where to keep the files.</summary>
    public required string Folder { get; init; }

    /// <summary>Runs the trainer of one row and says whether it came to its end: given the row's name, to show what is going on.</summary>
    public Func<string, Trainer, CancellationToken, bool> Train { get; init; } = (_, trainer, cancellation) => trainer.Run(cancellation: cancellation);

    /// <summary>Told every row when it is there.</summary>
    public Action<MethodRow>? OnRow { get; init; }

    /// <summary>The rows of one seed, in the order they are trained: a row that others start from is before them.</summary>
    public IReadOnlyList<string> RowNames => [.. Rows.Select(r => r.Name)];

    /// <summary>See <see cref="RowNames"/>.</summary>
    private protected abstract IReadOnlyList<TrainingRow> Rows { get; }

    /// <summary>Runs what is not there yet.</summary>
    /// <param name="device">Where.</param>
    /// <param name="cancellation">Stops between steps; what was done is kept.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    /// <exception cref="ArgumentException">The model cannot take a method.</exception>
    /// <exception cref="IOException">The folder holds the same of something else.</exception>
    public IReadOnlyList<MethodRow> Run(Device device, CancellationToken cancellation = default)
    {
        Check(device);
        KeepSetup();
        List<MethodRow> done = [];
        for (int i = 0; i < Seeds; i++)
        {
            foreach (var row in Rows)
            {
                done.Add(TrainRow(row, Recipe.Seed + (ulong)i, device, cancellation));
                OnRow?.Invoke(done[^1]);
            }
        }
        return done;
    }

    /// <summary>Everything that can be known to be wrong before anything is trained or written.</summary>
    internal void Check(Device device)
    {
        CheckMethods(device);
        CheckFolder();
    }

    /// <summary>Told that the model cannot take the method of a row. True leaves the row out; false makes it an error.</summary>
    private protected virtual bool LeaveOut(TrainingRow row, ArgumentException reason) => false;

    /// <summary>Expands by every method once, which costs nothing beside training: a method that cannot be used is told before hours were spent on the others.</summary>
    private void CheckMethods(Device device)
    {
        using var model = Zoo.Create(Spec, new Initializer(device, Recipe.Seed));
        foreach (var row in Rows)
        {
            try
            {
                row.Recipe.Validate();
                if (row.Method is { } method) model.Expand(method, seed: Recipe.Seed).Dispose();
            }
            catch (ArgumentException e) when (row.Method != null && LeaveOut(row, e))
            {
                // The reason is kept where the row was left out.
            }
        }
    }

    private MethodRow TrainRow(TrainingRow row, ulong seed, Device device, CancellationToken cancellation)
    {
        if (Finished(row.Name, seed) is { } known) return known;
        string path = RowFolder(row.Name, seed);
        MethodRow result;
        if (row.Start is { } start && TrainRow(Rows.First(r => r.Name == start), seed, device, cancellation).Failed is { } reason)
        {
            result = MethodRow.Failure(row.Name, seed, $"it starts from the row '{start}', which failed: {reason}", []);
            Directory.CreateDirectory(path);
        }
        else
        {
            var folder = new RunFolder(path);
            using var trainer = File.Exists(folder.LastFile) ? Trainer.Resume(folder, device) : Begin(row, seed, folder, device);
            using var model = trainer.Model;
            try
            {
                if (!Train(Seeds == 1 ? row.Name : $"seed {seed} {row.Name}", trainer, cancellation)) throw new OperationCanceledException(cancellation);
                result = Judge(row.Name, seed, model, trainer.State, path, cancellation);
            }
            catch (Exception e) when (e is DivergedException or MergeRefusedException)
            {
                result = MethodRow.Failure(row.Name, seed, e.Message, trainer.State.History);
            }
        }
        AtomicFile.WriteAllText(Path.Combine(path, ResultFile), JsonSerializer.Serialize(result, TableJson.Default.MethodRow));
        return result;
    }

    /// <summary>The result of a row; null where it is not there yet.</summary>
    internal MethodRow? Finished(string name, ulong seed)
    {
        string file = Path.Combine(RowFolder(name, seed), ResultFile);
        return File.Exists(file) ? TableJson.Read(file, TableJson.Default.MethodRow) : null;
    }

    private string RowFolder(string name, ulong seed) => Path.Combine(Folder, $"seed{seed}", name);

    private Trainer Begin(TrainingRow row, ulong seed, RunFolder folder, Device device)
    {
        var model = row.Start is { } start
            ? ModelFile.Load(new RunFolder(RowFolder(start, seed)).LastFile, device)
            : Zoo.Create(Spec, new Initializer(device, seed));
        if (row.Method is { } method)
        {
            using var plain = model;
            model = plain.Expand(method, seed: seed);
        }
        try
        {
            Directory.CreateDirectory(folder.Path);
            if (model.Forms.Count > 0) AtomicFile.WriteAllText(Path.Combine(folder.Path, OptionsFile), model.Forms[^1].Method.Options.ToJsonString());
            var state = new RunState { Kind = row.Name, Data = Data.Spec, Limit = Data.Train.Count, TestLimit = Data.Test.Count, Recipe = row.Recipe with { Seed = seed } };
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
        double step = StepTime.Milliseconds(model, Recipe.BatchSize, recipe: Recipe);
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

    /// <summary>What must be the same when a folder is used again: everything but which rows there are and the number of seeds, which may grow. A row keeps its options and its recipe.</summary>
    private void CheckFolder()
    {
        string file = Path.Combine(Folder, SetupFile);
        if (File.Exists(file) && TableJson.Read(file, TableJson.Default.ComparisonSetup) is var there && there != Setup)
            throw new IOException($"'{Folder}' holds a comparison of something else ({there}; asked for {Setup}). Give the same model, data and recipe to go on with it, or another folder (--out).");
        foreach (var row in Rows)
        {
            for (int i = 0; i < Seeds; i++) CheckRow(row, Recipe.Seed + (ulong)i);
        }
    }

    private void CheckRow(TrainingRow row, ulong seed)
    {
        string path = RowFolder(row.Name, seed), options = Path.Combine(path, OptionsFile), run = new RunFolder(path).StateFile;
        if (row.Method?.Options.ToJsonString() is { } asked && File.Exists(options) && File.ReadAllText(options) is var kept && kept != asked)
            throw new IOException($"'{Folder}' has a row {row.Name} with the options {kept}; asked for are {asked}. Give the same options (--set) to go on with it, or another folder (--out).");
        if (File.Exists(run) && RunState.FromJson(File.ReadAllText(run), run).Recipe is var there && there != row.Recipe with { Seed = seed })
            throw new IOException($"'{Folder}' has a row {row.Name} of {there.Epochs} epochs at learning rate {there.LearningRate}; asked for are {row.Recipe.Epochs} at {row.Recipe.LearningRate}, or another recipe otherwise. Give the same one to go on with it, or another folder (--out).");
    }

    private ComparisonSetup Setup => new(Spec, Data.Spec, Data.Train.Count, Data.Test.Count, Recipe);

    private void KeepSetup()
    {
        string file = Path.Combine(Folder, SetupFile);
        if (File.Exists(file)) return;
        Directory.CreateDirectory(Folder);
        AtomicFile.WriteAllText(file, JsonSerializer.Serialize(Setup, TableJson.Default.ComparisonSetup));
    }
}
