using RefConv.Layers;

namespace RefConv.Models.Train;

/// <summary>A row of an ablation, in words.</summary>
/// <param name="Name">Its name.</param>
/// <param name="About">What is trained, from what.</param>
public sealed record AblationRow(string Name, string About);

/// <summary>
/// RefConv taken apart on one architecture. All rows but the first start from the trained baseline of their seed, so they differ in one thing each:
/// what the basis is, whether it is trained, how the kernel is made of it, and whether there is RefConv at all.
/// </summary>
public sealed class AblationTable : TrainingTable
{
    /// <summary>The plain model, from its initial weights.</summary>
    public const string Baseline = "baseline";

    /// <summary>The control: the trained baseline, trained once more as it is by the recipe of the rows below.</summary>
    public const string Retrain = "retrain";

    private const string Finetune = "finetune";

    /// <summary>What RefConv is made of in each of its rows. The first is the method as it is: initial weights of Xavier, map_k 3; so those are no rows of their own.</summary>
    private static readonly (string Name, string About, RefConvOptions Options)[] s_refocused =
    [
        ("refconv", "RefConv: trained base, frozen; Xavier init, map_k 3", new()),
        ("random-frozen", "random base, frozen", new() { BaseRandom = true }),
        ("trained-learnable", "trained base, learnable", new() { BaseTrainable = true }),
        ("random-learnable", "random base, learnable", new() { BaseRandom = true, BaseTrainable = true }),
        ("no-shortcut", "the kernel is refocus(W) without + W", new() { Shortcut = false }),
        ("init-zero", "refocus weights start at zero", new() { Init = RefocusInit.Zero }),
        ("init-torch", "refocus weights start as PyTorch's default", new() { Init = RefocusInit.TorchDefault }),
        ("map-k-1", "map_k 1: neighbours in a kernel are not mixed", new() { MapK = 1 }),
    ];

    /// <summary>All rows there are, in the order they are trained.</summary>
    public static IReadOnlyList<AblationRow> All { get; } =
    [
        new(Baseline, "plain, from initial weights"), new(Retrain, "plain, trained again"), new(Finetune, "plain, trained again at a small learning rate"),
        .. s_refocused.Select(r => new AblationRow(r.Name, r.About)),
    ];

    /// <summary>Names of the rows that are wanted. The baseline, which all start from, and its control <see cref="Retrain"/> are always there.</summary>
    public required IReadOnlyList<string> Wanted { get; init; }

    /// <summary>Epochs of the baseline: more than the recipe's bring it nearer to its plateau before the other rows go on from there.</summary>
    public required int BaseEpochs { get; init; }

    /// <summary>Learning rate of the row finetune.</summary>
    public required double FinetuneRate { get; init; }

    private protected override IReadOnlyList<TrainingRow> Rows =>
    [
        .. Chosen(Wanted).Select(r => r.Name switch
        {
            Baseline => new TrainingRow(Baseline, Recipe with { Epochs = BaseEpochs }),
            Retrain => new TrainingRow(Retrain, Recipe, Baseline),
            Finetune => new TrainingRow(Finetune, Recipe with { LearningRate = FinetuneRate }, Baseline),
            _ => new TrainingRow(r.Name, Recipe, Baseline, new RefConvMethod(s_refocused.First(o => o.Name == r.Name).Options)),
        }),
    ];

    /// <summary>The rows of these names and those that are always there, in their order.</summary>
    internal static IEnumerable<AblationRow> Chosen(IReadOnlyList<string> names) => All.Where(r => r.Name is Baseline or Retrain || names.Contains(r.Name));

    /// <summary>Epochs of one seed of each row.</summary>
    internal IEnumerable<(string Name, int Epochs)> Plan => Rows.Select(r => (r.Name, r.Recipe.Epochs));
}
