using System.Text.Json.Serialization;
using RefConv.Optim;

namespace RefConv.Models.Train;

/// <summary>What moves the weights.</summary>
public enum OptimizerKind
{
    /// <summary>Stochastic gradient descent with momentum.</summary>
    [JsonStringEnumMemberName("sgd")]
    Sgd,

    /// <summary>Adam; weight decay is part of the gradient.</summary>
    [JsonStringEnumMemberName("adam")]
    Adam,

    /// <summary>Adam; weight decay shrinks the weight itself.</summary>
    [JsonStringEnumMemberName("adamw")]
    AdamW,
}

/// <summary>How the learning rate falls after the warm-up.</summary>
public enum ScheduleKind
{
    /// <summary>Half a cosine down to the minimum.</summary>
    [JsonStringEnumMemberName("cosine")]
    Cosine,

    /// <summary>Times the decay factor at every milestone.</summary>
    [JsonStringEnumMemberName("step")]
    Step,

    /// <summary>A power of the share of steps that is left, down to the minimum.</summary>
    [JsonStringEnumMemberName("polynomial")]
    Polynomial,

    /// <summary>It stays.</summary>
    [JsonStringEnumMemberName("constant")]
    Constant,
}

/// <summary>
/// Everything that determines a training run besides the model and the data. The defaults are RefConv's published recipe, where it says
/// anything: SGD with momentum 0.9, learning rate 0.1, linear warm-up, cosine by iteration, weight decay 4e-5, random crop and flip.
/// </summary>
/// <remarks>
/// A field that is added here gets a default under which older runs do what they did, and a property in <c>docs/recipes/recipe.schema.json</c>. Recipes are equal when all
/// fields are: a comparison goes on only with the recipe it was begun with.
/// </remarks>
public sealed record Recipe
{
    private readonly MilestoneList _milestones = MilestoneList.Empty;

    /// <summary>Passes over the training pictures.</summary>
    public int Epochs { get; init; } = 12;

    /// <summary>Pictures a step.</summary>
    public int BatchSize { get; init; } = 128;

    /// <summary>Learning rate after the warm-up.</summary>
    public double LearningRate { get; init; } = 0.1;

    /// <summary>Epochs of linear warm-up.</summary>
    public double WarmupEpochs { get; init; } = 1;

    /// <summary>How it falls after the warm-up.</summary>
    public ScheduleKind Schedule { get; init; }

    /// <summary>Where cosine and polynomial end.</summary>
    public double MinimumLearningRate { get; init; } = 5e-7;

    /// <summary>Schedule step: the epochs of the run, counted from its beginning, after which the learning rate is multiplied by the decay factor.</summary>
    public IReadOnlyList<int> Milestones { get => _milestones; init => _milestones = new MilestoneList(value ?? []); }

    /// <summary>Schedule step: the factor.</summary>
    public double DecayFactor { get; init; } = 0.1;

    /// <summary>Schedule polynomial: the power.</summary>
    public double Power { get; init; } = 1;

    /// <summary>What moves the weights.</summary>
    public OptimizerKind Optimizer { get; init; }

    /// <summary>Momentum of SGD.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Nesterov's method.</summary>
    public bool Nesterov { get; init; }

    /// <summary>β₁ of Adam and AdamW.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>β₂ of Adam and AdamW.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>ε of Adam and AdamW.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Weight decay of weights with more than one axis.</summary>
    public double WeightDecay { get; init; } = 4e-5;

    /// <summary>Weight decay of norms and biases: a group of their own. The published recipe decays everything alike.</summary>
    public double NormWeightDecay { get; init; } = 4e-5;

    /// <summary>Largest norm of all gradients together; longer ones are scaled down to it. 0: any.</summary>
    public double ClipNorm { get; init; }

    /// <summary>
    /// Share of itself that a running average of all weights and statistics keeps at every step. The average is what is evaluated and, when the run is done, the model. 0: none.
    /// </summary>
    public double EmaDecay { get; init; }

    /// <summary>Let the average begin short: in step t (from 1) it keeps at most 1 − (1 + t)^(−2/3) of itself.</summary>
    public bool EmaWarmup { get; init; }

    /// <summary>Label smoothing of the loss.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>Pixels added around a picture before a random crop of its size.</summary>
    public int CropPadding { get; init; } = 4;

    /// <summary>Mirror half of the pictures.</summary>
    public bool HorizontalFlip { get; init; } = true;

    /// <summary>Rows and columns of a square that is painted over in every picture, at a random place. 0: none.</summary>
    public int Cutout { get; init; }

    /// <summary>α of mixup: pictures and labels are mixed in pairs, by a share λ from Beta(α, α). 0: none.</summary>
    public double Mixup { get; init; }

    /// <summary>Stop when so many epochs in a row were no better (top-1 on the test pictures) than the best before them. 0: never.</summary>
    public int Patience { get; init; }

    /// <summary>Seed of the initial weights, the order of the pictures and their changes.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Compute the results of batch norms twice instead of keeping them: a half to three quarters of the memory, 5 to 10 % more time, the same bits.</summary>
    public bool SaveMemory { get; init; }

    /// <summary>Checks that the numbers make sense.</summary>
    /// <exception cref="ArgumentException">One does not; the message says which and what it may be.</exception>
    public void Validate()
    {
        Check(Epochs >= 1, "number of epochs", Epochs, "at least 1");
        Check(BatchSize >= 1, "batch size", BatchSize, "at least 1");
        Check(LearningRate > 0 && double.IsFinite(LearningRate), "learning rate", LearningRate, "above 0");
        Check(WarmupEpochs >= 0 && WarmupEpochs <= Epochs, "warm-up", WarmupEpochs, $"between 0 and the {Epochs} epochs");
        Check(MinimumLearningRate >= 0 && MinimumLearningRate <= LearningRate, "minimum learning rate", MinimumLearningRate, "between 0 and the learning rate");
        Check(Momentum is >= 0 and < 1, "momentum", Momentum, "at least 0 and below 1");
        Check(WeightDecay >= 0 && NormWeightDecay >= 0, "weight decay", Math.Min(WeightDecay, NormWeightDecay), "at least 0");
        Check(LabelSmoothing is >= 0 and < 1, "label smoothing", LabelSmoothing, "at least 0 and below 1");
        Check(CropPadding >= 0, "crop padding", CropPadding, "at least 0");
        ValidateHelpers();
    }

    private void ValidateHelpers()
    {
        Check(Enum.IsDefined(Optimizer), "optimiser", (int)Optimizer, "sgd, adam or adamw");
        Check(Enum.IsDefined(Schedule), "schedule", (int)Schedule, "cosine, step, polynomial or constant");
        Check(Beta1 is >= 0 and < 1, "β₁", Beta1, "at least 0 and below 1");
        Check(Beta2 is >= 0 and < 1, "β₂", Beta2, "at least 0 and below 1");
        Check(Epsilon >= 0 && double.IsFinite(Epsilon), "ε", Epsilon, "at least 0");
        Check(!Nesterov || Momentum > 0, "momentum", Momentum, "above 0 for Nesterov's method");
        Check(DecayFactor is > 0 and <= 1, "decay factor", DecayFactor, "above 0 and at most 1");
        Check(Power > 0 && double.IsFinite(Power), "power of the schedule", Power, "above 0");
        Check(ClipNorm >= 0 && double.IsFinite(ClipNorm), "largest gradient norm", ClipNorm, "at least 0 (0: any)");
        Check(EmaDecay is >= 0 and < 1, "decay of the average", EmaDecay, "at least 0 and below 1 (0: no average)");
        Check(Cutout >= 0, "size of the cutout", Cutout, "at least 0");
        Check(Mixup >= 0 && double.IsFinite(Mixup), "α of mixup", Mixup, "at least 0 (0: none)");
        Check(Patience >= 0, "patience", Patience, "at least 0 (0: never stop early)");
        for (int i = 0; i < Milestones.Count; i++)
            Check(Milestones[i] > (i == 0 ? 0 : Milestones[i - 1]) && Milestones[i] < Epochs, $"milestone number {i + 1}", Milestones[i], $"a later epoch than the one before, and before the last of {Epochs} epochs");
        if (Schedule == ScheduleKind.Step && Milestones.Count == 0) throw new ArgumentException("The schedule 'step' needs milestones: the epochs after which the learning rate falls. Give some, or the schedule 'constant'.");
        if (Schedule != ScheduleKind.Step && Milestones.Count > 0) throw new ArgumentException("Milestones belong to the schedule 'step'. Give it, or leave them out.");
    }

    internal IOptimizer MakeOptimizer(IEnumerable<(string Name, Parameter Parameter)> parameters)
    {
        var trainable = parameters.Where(p => p.Parameter.Trainable).ToArray();
        ParameterGroup[] groups =
        [
            new([.. trainable.Where(p => p.Parameter.TorchShape.Rank > 1)], WeightDecay),
            new([.. trainable.Where(p => p.Parameter.TorchShape.Rank <= 1)], NormWeightDecay),
        ];
        return Optimizer == OptimizerKind.Sgd
            ? new Sgd(groups, Momentum, Nesterov)
            : new Adam(groups, new AdamOptions { Beta1 = Beta1, Beta2 = Beta2, Epsilon = Epsilon, DecoupledDecay = Optimizer == OptimizerKind.AdamW });
    }

    internal ILearningRateSchedule MakeSchedule(long stepsPerEpoch)
    {
        long total = Epochs * stepsPerEpoch, warmup = (long)(WarmupEpochs * stepsPerEpoch);
        return Schedule switch
        {
            ScheduleKind.Cosine => new WarmupCosine(LearningRate, total, warmup, MinimumLearningRate),
            ScheduleKind.Polynomial => new WarmupPolynomial(LearningRate, total, warmup, Power, MinimumLearningRate),
            ScheduleKind.Step or ScheduleKind.Constant => new WarmupMultiStep(LearningRate, [.. Milestones.Select(m => m * stepsPerEpoch)], DecayFactor, warmup),
            _ => throw new InvalidOperationException($"There is no schedule number {(int)Schedule}."),
        };
    }

    private static void Check(bool good, string what, double value, string rule)
    {
        if (!good) throw new ArgumentException($"The {what} must be {rule}; it is {value}.");
    }

    /// <summary>A list that equals another one of the same numbers.</summary>
    private sealed class MilestoneList(IEnumerable<int> epochs) : System.Collections.ObjectModel.ReadOnlyCollection<int>([.. epochs])
    {
        public static new MilestoneList Empty { get; } = new([]);

        public override bool Equals(object? other) => other is MilestoneList list && this.SequenceEqual(list);

        public override int GetHashCode() => this.Aggregate(0, HashCode.Combine);
    }
}
