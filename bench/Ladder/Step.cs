namespace RefConv.Bench.Ladder;

/// <summary>One rung: a kernel, and what is to be said of it.</summary>
/// <param name="Name">As <c>--step</c> takes it.</param>
/// <param name="What">What is new.</param>
/// <param name="Kernel">C = A·B.</param>
/// <param name="Group">Threads of a group.</param>
/// <param name="TileRows">Rows of C that a group computes.</param>
/// <param name="TileColumns">Columns of C that a group computes.</param>
/// <param name="ExpectedShare">Of the peak of an H100 that can be expected of it; reasoned, not measured.</param>
/// <param name="Bound">What holds it there.</param>
internal sealed record Step(string Name, string What, Action<Matrices> Kernel, int Group, int TileRows, int TileColumns, double ExpectedShare, string Bound)
{
    /// <summary>TFLOP/s of an H100 (SXM) that the share is of.</summary>
    public double Peak { get; init; } = 67;

    /// <summary>The largest error relative to Σ|a·b|.</summary>
    public double Accuracy { get; init; } = 1e-6;

    /// <summary>Needs an NVIDIA GPU or the simulation.</summary>
    public bool CudaOnly { get; init; }
}

/// <summary>All steps, from the ground up.</summary>
internal static class Rungs
{
    public static IReadOnlyList<Step> All { get; } = [Step1Naive.Step, Step2SharedTiles.Step, Step3RegisterTiles.Step, Step4WideLoads.Step, Step5DoubleBuffer.Step, Step6TensorCores.Step];
}
