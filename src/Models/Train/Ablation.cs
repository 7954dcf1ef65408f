using System.Text.Json;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Models.Data;

namespace RefConv.Models.Train;

/// <summary>The ablation of RefConv on one or several architectures: an <see cref="AblationTable"/> each, in a folder of its own, from one set-up that <c>ablation.json</c> keeps.</summary>
/// <remarks>Running it again in the same folder goes on where it stopped. Models, rows and seeds may be added.</remarks>
public sealed class Ablation
{
    private const string SetupFile = "ablation.json";

    /// <summary>The architectures; each name once.</summary>
    public required IReadOnlyList<ModelSpec> Models { get; init; }

    /// <summary>The pictures.</summary>
    public required DataSource Data { get; init; }

    /// <summary>The recipe of all rows; its seed is the first one.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>Names of rows, of <see cref="AblationTable.All"/>; all if not given.</summary>
    public IReadOnlyList<string> Rows { get; init; } = [.. AblationTable.All.Select(r => r.Name)];

    /// <summary>Epochs of the baseline that all others start from; the recipe's if not given.</summary>
    public int? BaseEpochs { get; init; }

    /// <summary>Learning rate of the row finetune; a tenth of the recipe's if not given.</summary>
    public double? FinetuneRate { get; init; }

    /// <summary>Seeds, counting up from the recipe's.</summary>
    public int Seeds { get; init; } = 1;

    /// <summary>Where to keep the files.</summary>
    public required string Folder { get; init; }

    /// <summary>Runs the trainer of one row and says whether it came to its end: given model and row in words, to show what is going on.</summary>
    public Func<string, Trainer, CancellationToken, bool> Train { get; init; } = (_, trainer, cancellation) => trainer.Run(cancellation: cancellation);

    /// <summary>Told every row when it is there, those that were there before too.</summary>
    public Action<ModelSpec, MethodRow>? OnRow { get; init; }

    /// <summary>One table for each model.</summary>
    internal IReadOnlyList<AblationTable> Tables =>
    [
        .. Models.Select(spec => new AblationTable
        {
            Spec = spec,
            Data = Data,
            Recipe = Recipe,
            Wanted = Rows,
            BaseEpochs = Setup.BaseEpochs,
            FinetuneRate = Setup.FinetuneRate,
            Seeds = Seeds,
            Folder = Path.Combine(Folder, spec.Architecture),
            Train = (name, trainer, cancellation) => Train($"{spec.Architecture} {name}", trainer, cancellation),
            OnRow = row => OnRow?.Invoke(spec, row),
        }),
    ];

    private AblationSetup Setup => new(Models, Data.Spec, Data.Train.Count, Data.Test.Count, Recipe, BaseEpochs ?? Recipe.Epochs, FinetuneRate ?? Recipe.LearningRate / 10,
        [.. AblationTable.Chosen(Rows).Select(r => r.Name)], Seeds);

    /// <summary>Runs what is not there yet.</summary>
    /// <param name="device">Where.</param>
    /// <param name="onStart">Given what is to be done, when everything is checked and before anything is trained.</param>
    /// <param name="cancellation">Stops between steps; what was done is kept.</param>
    /// <returns>All rows of all seeds, model by model.</returns>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    /// <exception cref="ArgumentException">A row, a model or the recipe makes no sense.</exception>
    /// <exception cref="IOException">The folder holds an ablation of something else.</exception>
    public IReadOnlyList<(ModelSpec Model, IReadOnlyList<MethodRow> Rows)> Run(Device device, Action<AblationProgress>? onStart = null, CancellationToken cancellation = default)
    {
        CheckNames();
        var setup = MergedSetup();
        var tables = Tables;
        foreach (var table in tables) table.Check(device);
        Directory.CreateDirectory(Folder);
        AtomicFile.WriteAllText(Path.Combine(Folder, SetupFile), JsonSerializer.Serialize(setup, TableJson.Default.AblationSetup));
        onStart?.Invoke(new AblationProgress(tables, device));
        List<(ModelSpec, IReadOnlyList<MethodRow>)> results = [];
        foreach (var table in tables) results.Add((table.Spec, table.Run(device, cancellation)));
        return results;
    }

    private void CheckNames()
    {
        string[] known = [.. AblationTable.All.Select(r => r.Name)];
        if (Rows.FirstOrDefault(r => !known.Contains(r)) is { } unknown)
            throw new ArgumentException($"There is no row '{unknown}'.{Suggest.Offer(unknown, known)} Known are {string.Join(", ", known)}; refconv is also the row of Xavier's initialisation and of map_k 3.");
        if (Models.GroupBy(m => m.Architecture).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw new ArgumentException($"The model '{twice.Key}' is named twice; each has a folder of its own. Name it once.");
        if (Seeds < 1) throw new ArgumentException($"There must be at least 1 seed; asked for are {Seeds}.");
    }

    /// <summary>What the folder holds when this has run: what was there, and what is asked for now.</summary>
    private AblationSetup MergedSetup()
    {
        string file = Path.Combine(Folder, SetupFile);
        if (!File.Exists(file)) return Setup;
        var there = TableJson.Read(file, TableJson.Default.AblationSetup);
        if (!there.Fits(Setup))
            throw new IOException($"'{Folder}' holds an ablation of something else ({there}; asked for {Setup}). Give the same models, data and recipe to go on with it, or another folder (--out).");
        return Setup with
        {
            Models = [.. there.Models.Union(Models)],
            Rows = [.. AblationTable.Chosen([.. there.Rows, .. Rows]).Select(r => r.Name)],
            Seeds = Math.Max(there.Seeds, Seeds),
        };
    }
}
