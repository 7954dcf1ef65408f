using System.Text.Json.Nodes;
using RefConv.Layers;

namespace RefConv.Models.Train;

/// <summary>
/// Trains one architecture by several methods, from one recipe and the same initial weights a seed, merges each, and checks the merged file against the
/// trained form. A method that starts from a trained model (RefConv) starts from the plain row's, and then the plain model is trained twice as well,
/// as a row of its own: what a second round of training gives by itself.
/// </summary>
public sealed class MethodComparison : TrainingTable
{
    /// <summary>The plain model.</summary>
    public const string Plain = "none";

    /// <summary>The plain model, trained once more by the same recipe: the control of methods that start from a trained model.</summary>
    public const string Retrained = "retrained";

    private readonly Dictionary<string, string> _skipped = [];

    /// <summary>The methods, by name.</summary>
    public required IReadOnlyList<string> Methods { get; init; }

    /// <summary>Options of methods, by name; what is left out has its default.</summary>
    public IReadOnlyDictionary<string, JsonObject> MethodOptions { get; init; } = new Dictionary<string, JsonObject>();

    /// <summary>Leave out methods that the model cannot take, and keep the reasons in <see cref="Skipped"/>. Otherwise the first such method is an error.</summary>
    public bool SkipUnsuitable { get; init; }

    /// <summary>Methods that <see cref="TrainingTable.Run"/> left out, and why.</summary>
    public IReadOnlyDictionary<string, string> Skipped => _skipped;

    /// <summary>The plain model first, the control before what it is a control of. An unknown name is told before anything is trained.</summary>
    private protected override IReadOnlyList<TrainingRow> Rows
    {
        get
        {
            var rows = Methods.Where(m => m is not (Plain or Retrained) && !_skipped.ContainsKey(m)).Distinct().Select(Row).ToLookup(r => r.Start != null);
            bool control = Methods.Contains(Retrained) || rows[true].Any();
            return [new(Plain, Recipe), .. rows[false], .. control ? [new TrainingRow(Retrained, Recipe, Plain)] : Array.Empty<TrainingRow>(), .. rows[true]];
        }
    }

    private protected override bool LeaveOut(TrainingRow row, ArgumentException reason)
    {
        if (SkipUnsuitable) _skipped[row.Name] = reason.Message;
        return SkipUnsuitable;
    }

    private TrainingRow Row(string name)
    {
        var method = Reparameterizations.Create(name, MethodOptions.GetValueOrDefault(name));
        return new(name, Recipe, method.NeedsTrainedModel ? Plain : null, method);
    }
}
