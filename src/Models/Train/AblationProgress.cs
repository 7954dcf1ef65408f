using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models.Analysis;

namespace RefConv.Models.Train;

/// <summary>How far an <see cref="Ablation"/> has come, and how long the rest may take, judged by the epochs that are done.</summary>
public sealed class AblationProgress
{
    private readonly List<Cell> _cells;
    private readonly double[] _costs;   // multiply-adds of an epoch of each model: what is known of one that has no epoch yet

    /// <summary>Looks at what is in the folder.</summary>
    internal AblationProgress(IReadOnlyList<AblationTable> tables, Device device)
    {
        _cells = [.. tables.SelectMany((table, model) => Enumerable.Range(0, table.Seeds).SelectMany(i => table.Plan.Select(row =>
            new Cell(model, table.Spec, row.Name, table.Recipe.Seed + (ulong)i, row.Epochs) { Finished = table.Finished(row.Name, table.Recipe.Seed + (ulong)i)?.History })))];
        _costs = [.. tables.Select(t => Macs(t.Spec, device))];
    }

    /// <summary>Rows that are done, of all models and seeds.</summary>
    public int Done => _cells.Count(c => c.Finished != null);

    /// <summary>Rows in all.</summary>
    public int Total => _cells.Count;

    /// <summary>A row is there.</summary>
    public void Add(ModelSpec model, MethodRow row)
    {
        foreach (var cell in _cells)
        {
            if (cell.Spec == model && cell.Name == row.Method && cell.Seed == row.Seed) cell.Finished = row.History;
        }
    }

    /// <summary>Seconds that are left, of the row that is being trained and all others; null before the first epoch of all is done.</summary>
    /// <param name="current">Where that row stands; it is of the first model that has rows left.</param>
    public double? SecondsLeft(RunState? current = null)
    {
        var next = _cells.Find(c => c.Finished == null);
        if (next == null) return 0;
        var seen = _cells.SelectMany(c => (c.Finished ?? (c == next ? current?.History : null) ?? []).Select(e => (c.Model, e.Seconds))).ToLookup(e => e.Model, e => e.Seconds);
        if (seen.Count == 0) return null;
        // A model without an epoch takes as long, for its multiply-adds, as those that have some.
        double perCost = seen.Sum(m => m.Sum()) / seen.Sum(m => m.Count() * _costs[m.Key]);
        return _cells.Where(c => c.Finished == null).Sum(c =>
            (c.Epochs - (c == next ? current?.Epoch ?? 0 : 0)) * (seen.Contains(c.Model) ? seen[c.Model].Average() : perCost * _costs[c.Model]));
    }

    private static double Macs(ModelSpec spec, Device device)
    {
        using var model = Zoo.Create(spec, new Initializer(device, seed: 0));
        return ModelSummary.Of(model).TrainMacs;
    }

    private sealed record Cell(int Model, ModelSpec Spec, string Name, ulong Seed, int Epochs)
    {
        public IReadOnlyList<EpochResult>? Finished { get; set; }
    }
}
