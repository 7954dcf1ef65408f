using RefConv.Models;

namespace RefConv.Bench.Peers;

/// <summary>What is timed.</summary>
internal enum Work
{
    /// <summary>Forward pass, cross-entropy, backward pass and one SGD step (momentum 0.9, weight decay) of a batch.</summary>
    Train,

    /// <summary>Forward pass of a batch in evaluation mode, no gradients.</summary>
    Infer,
}

/// <summary>One row of the comparison: the same model, batch and work for both engines.</summary>
/// <param name="Name">As given to <c>--only</c>.</param>
/// <param name="Work">What is timed.</param>
/// <param name="Spec">The model. The worker knows it by the architecture's name.</param>
/// <param name="Batch">Images a step.</param>
internal sealed record PeerCase(string Name, Work Work, ModelSpec Spec, int Batch)
{
    /// <summary>Times the RefConv form of the model beside the plain one, and their ratio, in both engines.</summary>
    public bool Refocused { get; init; }

    /// <summary>The forms to time.</summary>
    public IReadOnlyList<string> Forms => Refocused ? [Plain, RefConv] : [Plain];

    /// <summary>The architecture as it is.</summary>
    public const string Plain = "plain";

    /// <summary>With re-parameterised refocusing convolutions in place of those of at least 3×3.</summary>
    public const string RefConv = "refconv";

    /// <summary>All cases. A new comparison is a new row; a new architecture is also a function in <c>torch_worker.py</c>.</summary>
    public static IReadOnlyList<PeerCase> All { get; } =
    [
        new("train.mobilenet_v1.32.b64", Work.Train, Small("mobilenet_v1"), 64),
        new("train.mobilenet_v1_x0.25.32.b64", Work.Train, Small("mobilenet_v1", 0.25), 64),
        new("train.mobilenet_v2.32.b64", Work.Train, Small("mobilenet_v2"), 64),
        new("train.resnet18.32.b64", Work.Train, Small("resnet18"), 64),
        new("refconv.mobilenet_v1.32.b64", Work.Train, Small("mobilenet_v1"), 64) { Refocused = true },
        new("infer.mobilenet_v1.32.b1", Work.Infer, Small("mobilenet_v1"), 1),
        new("infer.mobilenet_v1.32.b64", Work.Infer, Small("mobilenet_v1"), 64),
    ];

    /// <summary>The variant of an architecture for images of 32×32, 10 classes.</summary>
    private static ModelSpec Small(string architecture, double width = 1) =>
        new(architecture) { Classes = 10, ImageSize = 32, SmallImages = true, Width = width };
}
