namespace RefConv.Bench;

/// <summary>One thing to time.</summary>
/// <param name="Name">What, without the operation: <c>resnet.l3.3x3</c>, <c>train.mobilenet_v1.224.b16</c>.</param>
/// <param name="Class">Which kind of work it is: the geometric means are taken over the cases of a class.</param>
/// <param name="Op">The operation: forward, train, …</param>
/// <param name="Batch">Images.</param>
internal abstract record BenchCase(string Name, string Class, string Op, int Batch)
{
    /// <summary>Its name among all cases: what <c>--only</c> looks at.</summary>
    public virtual string Title => Name;

    /// <summary>Why it cannot be timed yet; null if it can.</summary>
    public string? Unavailable { get; init; }

    /// <summary>Roughly how long it takes beside another, to tell the time left.</summary>
    public abstract double Weight { get; }
}

/// <summary>A class of cases: a value of <c>--class</c> and a line of the geometric means.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Cases">The class its cases carry. Two classes of results share their cases where two peers do the same work.</param>
/// <param name="Peer">The peer, where the class is a comparison with one of several; null otherwise.</param>
/// <param name="Description">For people.</param>
internal sealed record CaseClass(string Name, string Cases, string? Peer, string Description)
{
    public const string Dense = "dense", DenseFast = "dense_fast", Pointwise = "pointwise", Winograd = "winograd", DepthwiseForwardInput = "depthwise_forward_input",
        DepthwiseWeight = "depthwise_weight", Grouped = "grouped", Train = "train", TrainSmall = "train_small", TrainBlocks = "train_blocks", TrainFast = "train_fast", Infer = "infer", Refocus = "refocus",
        Memory = "memory", MemorySaved = "memory_saved", StartUp = "startup";

    /// <summary>Names of the peers as they appear in the results.</summary>
    public const string PyTorch = "pytorch", OnnxRuntime = "onnxruntime";

    /// <summary>All classes, in the order of the results.</summary>
    public static IReadOnlyList<CaseClass> All { get; } =
    [
        new(Dense, Dense, null, "k×k convolutions of one group, all three directions"),
        new(DenseFast, DenseFast, null, "3×3 stride-1 convolutions, all three directions, where our side may use Winograd's algorithm in training (--convolution fast)"),
        new(Pointwise, Pointwise, null, "1×1 convolutions, all three directions"),
        new(Winograd, Winograd, null, "3×3 stride-1 forward under the fast inference setting"),
        new(DepthwiseForwardInput, DepthwiseForwardInput, null, "depthwise convolutions, forward and input gradient"),
        new(DepthwiseWeight, DepthwiseWeight, null, "depthwise convolutions, weight gradient"),
        new(Grouped, Grouped, null, "k×k convolutions of several groups, all three directions"),
        new(Train, Train, null, "whole training steps"),
        new(TrainSmall, TrainSmall, null, "more training steps, outside the mean of train"),
        new(TrainBlocks, TrainBlocks, null, "whole training steps of networks with branch blocks (RepVGG, ACB, DBB)"),
        new(TrainFast, TrainFast, null, "whole training steps of networks made of 3×3 convolutions, where our side may use Winograd's algorithm (--convolution fast)"),
        new(Infer, Infer, null, "inference (both peers)"),
        new(Of(Infer, OnnxRuntime), Infer, OnnxRuntime, "inference beside ONNX Runtime"),
        new(Of(Infer, PyTorch), Infer, PyTorch, "inference beside PyTorch"),
        new(Refocus, Refocus, null, "RefConv training step beside the plain one"),
        new(Memory, Memory, null, "peak memory of a training step"),
        new(MemorySaved, MemorySaved, null, "the same where our side keeps less and computes it again (--save-memory)"),
        new(StartUp, StartUp, null, "start of a process to the first answer (both peers)"),
        new(Of(StartUp, OnnxRuntime), StartUp, OnnxRuntime, "the same beside ONNX Runtime"),
        new(Of(StartUp, PyTorch), StartUp, PyTorch, "the same beside PyTorch"),
    ];

    /// <summary>The class of a result: that of its case, and the peer's where the case meets several.</summary>
    public static string Of(string caseClass, string? peer) => peer != null && caseClass is (Infer or StartUp) ? $"{caseClass}_{peer}" : caseClass;
}
