namespace RefConv.Models.Train;

/// <summary>What of an <see cref="Ablation"/> is no setting of a single run, in a <see cref="RecipeFile"/>. What is left out has the tool's default.</summary>
public sealed record AblationPlan
{
    /// <summary>The architectures; in the place of <see cref="RecipeFile.Model"/>.</summary>
    public IReadOnlyList<string>? Models { get; init; }

    /// <summary>Names of rows, of <see cref="AblationTable.All"/>.</summary>
    public IReadOnlyList<string>? Rows { get; init; }

    /// <summary>Seeds, counting up from the recipe's.</summary>
    public int? Seeds { get; init; }

    /// <summary>Epochs of the baseline that all other rows start from.</summary>
    public int? BaseEpochs { get; init; }

    /// <summary>Learning rate of the row finetune.</summary>
    public double? FinetuneLearningRate { get; init; }

    internal void Validate()
    {
        if (Models is { Count: 0 }) throw new ArgumentException("'ablation.models' names no architecture. Name one, or leave the field out.");
        if (Seeds is < 1) throw new ArgumentException($"'ablation.seeds' must be at least 1; it is {Seeds}.");
        if (BaseEpochs is < 1) throw new ArgumentException($"'ablation.baseEpochs' must be at least 1; it is {BaseEpochs}.");
        if (FinetuneLearningRate is { } rate && !(rate > 0)) throw new ArgumentException($"'ablation.finetuneLearningRate' must be above 0; it is {rate}.");
    }
}

/// <summary>What of a <see cref="MethodComparison"/> is no setting of a single run, in a <see cref="RecipeFile"/>. What is left out has the tool's default.</summary>
public sealed record ComparisonPlan
{
    /// <summary>Names of methods, of <see cref="Layers.Reparameterizations.Names"/>.</summary>
    public IReadOnlyList<string>? Methods { get; init; }

    /// <summary>Options of methods: an object for each, by its name.</summary>
    public System.Text.Json.Nodes.JsonObject? MethodOptions { get; init; }

    /// <summary>Seeds, counting up from the recipe's.</summary>
    public int? Seeds { get; init; }

    internal void Validate()
    {
        if (Methods is { Count: 0 }) throw new ArgumentException("'comparison.methods' names no method. Name one, or leave the field out.");
        if (Seeds is < 1) throw new ArgumentException($"'comparison.seeds' must be at least 1; it is {Seeds}.");
        if (MethodOptions?.FirstOrDefault(m => m.Value is not System.Text.Json.Nodes.JsonObject) is { Key: { } name })
            throw new ArgumentException($"'comparison.methodOptions.{name}' must be an object in braces, with the options of that method.");
    }
}
