namespace RefConv.Models.Train;

/// <summary>
/// Everything that determines a training run besides the model and the data. The defaults are RefConv's published recipe, where it says
/// anything: SGD with momentum 0.9, learning rate 0.1, linear warm-up, cosine by iteration, weight decay 4e-5, random crop and flip.
/// </summary>
public sealed record Recipe
{
    /// <summary>Passes over the training pictures.</summary>
    public int Epochs { get; init; } = 12;

    /// <summary>Pictures a step.</summary>
    public int BatchSize { get; init; } = 128;

    /// <summary>Learning rate after the warm-up.</summary>
    public double LearningRate { get; init; } = 0.1;

    /// <summary>Epochs of linear warm-up.</summary>
    public double WarmupEpochs { get; init; } = 1;

    /// <summary>Where the cosine ends.</summary>
    public double MinimumLearningRate { get; init; } = 5e-7;

    /// <summary>Momentum of SGD.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Nesterov's method.</summary>
    public bool Nesterov { get; init; }

    /// <summary>Weight decay of weights with more than one axis.</summary>
    public double WeightDecay { get; init; } = 4e-5;

    /// <summary>Weight decay of norms and biases: a group of their own. The published recipe decays everything alike.</summary>
    public double NormWeightDecay { get; init; } = 4e-5;

    /// <summary>Label smoothing of the loss.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>Pixels added around a picture before a random crop of its size.</summary>
    public int CropPadding { get; init; } = 4;

    /// <summary>Mirror half of the pictures.</summary>
    public bool HorizontalFlip { get; init; } = true;

    /// <summary>Seed of the initial weights, the order of the pictures and their changes.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Compute the results of batch norms twice instead of keeping them: little more than half the memory, 5 to 10 % more time, the same bits.</summary>
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

        static void Check(bool good, string what, double value, string rule)
        {
            if (!good) throw new ArgumentException($"The {what} must be {rule}; it is {value}.");
        }
    }
}
