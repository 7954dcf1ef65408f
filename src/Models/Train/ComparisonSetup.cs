namespace RefConv.Models.Train;

/// <summary>What a table of trainings is of.</summary>
internal sealed record ComparisonSetup(ModelSpec Model, string Data, int TrainImages, int TestImages, Recipe Recipe)
{
    public override string ToString() => $"{Model} on {Data}, {TrainImages:N0} and {TestImages:N0} pictures, {Recipe.Epochs} epochs of batch {Recipe.BatchSize} at {Recipe.LearningRate}, seed {Recipe.Seed}";
}

/// <summary>A merge that checked itself and was not satisfied.</summary>
internal sealed class MergeRefusedException(Exception reason) : Exception(reason.Message, reason);
