using RefConv.Kernels;
using RefConv.Models;

namespace RefConv.Bench;

/// <summary>What is measured of a model.</summary>
internal enum Work
{
    /// <summary>Forward pass, cross-entropy, backward pass and one SGD step (momentum 0.9, weight decay) of a batch.</summary>
    Train,

    /// <summary>Forward pass of a batch in evaluation mode, no gradients.</summary>
    Infer,

    /// <summary>A training step of the RefConv form beside one of the plain form.</summary>
    Refocus,

    /// <summary>Peak memory of a training step, in a process of its own.</summary>
    Memory,

    /// <summary>Start of a process to its first answer.</summary>
    StartUp,
}

/// <summary>A model at work: the same model, batch and work for every engine.</summary>
/// <param name="Name">As given to <c>--only</c>.</param>
/// <param name="Class">See <see cref="CaseClass"/>.</param>
/// <param name="Work">What is measured.</param>
/// <param name="Spec">The model. The workers know it by the architecture's name.</param>
/// <param name="Batch">Images a step.</param>
internal sealed record ModelCase(string Name, string Class, Work Work, ModelSpec Spec, int Batch) : BenchCase(Name, Class, Work.ToString().ToLowerInvariant(), Batch)
{
    /// <summary>The architecture as it is.</summary>
    public const string Plain = "plain";

    /// <summary>With re-parameterised refocusing convolutions in place of those of at least 3×3.</summary>
    public const string RefConv = "refconv";

    /// <summary>Our side trains with <see cref="Tape.SavesMemory"/>.</summary>
    public bool SavesMemory { get; init; }

    /// <summary>What convolutions of our side may trade for speed in training.</summary>
    public Conv2dAccuracy Accuracy => Class == CaseClass.TrainFast ? Conv2dAccuracy.Fast : Conv2dAccuracy.Exact;

    /// <summary>The form that trains: <see cref="Plain"/>, or a method that the worker knows too.</summary>
    public string Form { get; init; } = Plain;

    /// <summary>The forms to time.</summary>
    public IReadOnlyList<string> Forms => Work == Work.Refocus ? [Plain, RefConv] : [Form];

    /// <summary>A training step is what runs.</summary>
    public bool Trains => Work is Work.Train or Work.Refocus or Work.Memory;

    /// <inheritdoc/>
    public override double Weight => Work switch { Work.Train => 10, Work.Infer => 8, Work.Refocus => 20, _ => 7 };

    /// <summary>Two models, and one case of each kind of work: for <c>--quick</c>.</summary>
    public static IReadOnlyList<string> Quick { get; } =
    [
        "train.mobilenet_v2.32.b64", "infer.mobilenet_v2.224.b1", "refconv.mobilenet_v1.32.b64", "memory.mobilenet_v1.32.b64", "startup.mobilenet_v2.224.b1",
    ];

    private static readonly string[] s_large = ["mobilenet_v2", "resnet18", "shufflenet_v2_x1_0", "mobilenet_v3_small", "efficientnet_b0", "mobilenet_v1"];

    private static readonly ModelCase[] s_training =
    [
        .. s_large.Select(name => new ModelCase($"train.{name}.224.b16", CaseClass.Train, Work.Train, Large(name), 16)),
        new("train.mobilenet_v1.32.b64", CaseClass.Train, Work.Train, Small("mobilenet_v1"), 64),
        new("train.mobilenet_v2.32.b64", CaseClass.Train, Work.Train, Small("mobilenet_v2"), 64),
    ];

    /// <summary>
    /// All cases. A new comparison is a new row; a new architecture is also a function in <c>torch_models.py</c>. Rows whose architecture the
    /// zoo does not have are listed and wait for it.
    /// </summary>
    public static IReadOnlyList<ModelCase> All { get; } = [.. Make().Select(c => c with { Unavailable = Zoo.Names.Contains(c.Spec.Architecture) ? null : "the zoo does not have it yet" })];

    private static IEnumerable<ModelCase> Make()
    {
        foreach (var row in s_training) yield return row;
        yield return new("train.mobilenet_v1_x0.25.32.b64", CaseClass.TrainSmall, Work.Train, Small("mobilenet_v1", 0.25), 64);
        yield return new("train.resnet18.32.b64", CaseClass.TrainSmall, Work.Train, Small("resnet18"), 64);
        foreach (string method in (string[])["repvgg", "acb", "dbb"])
            yield return new($"train.{method}.resnet18.32.b64", CaseClass.TrainBlocks, Work.Train, Small("resnet18"), 64) { Form = method };
        yield return new("train_fast.resnet18.224.b16", CaseClass.TrainFast, Work.Train, Large("resnet18"), 16);
        foreach (string form in (string[])[Plain, "repvgg", "acb", "dbb"])
            yield return new($"train_fast.{(form == Plain ? "" : form + ".")}resnet18.32.b64", CaseClass.TrainFast, Work.Train, Small("resnet18"), 64) { Form = form };
        foreach (string name in s_large)
        foreach (int batch in (int[])[1, 16])
            yield return new($"infer.{name}.224.b{batch}", CaseClass.Infer, Work.Infer, Large(name), batch);
        foreach (int batch in (int[])[1, 64]) yield return new($"infer.mobilenet_v1.32.b{batch}", CaseClass.Infer, Work.Infer, Small("mobilenet_v1"), batch);
        foreach (string name in (string[])["mobilenet_v1", "mobilenet_v2"])
        {
            yield return new($"refconv.{name}.32.b64", CaseClass.Refocus, Work.Refocus, Small(name), 64);
            yield return new($"refconv.{name}.224.b16", CaseClass.Refocus, Work.Refocus, Large(name), 16);
        }
        foreach (var row in s_training)
        {
            var memory = row with { Name = row.Name.Replace("train.", "memory."), Class = CaseClass.Memory, Op = "memory", Work = Work.Memory };
            yield return memory;
            yield return memory with { Name = memory.Name.Replace("memory.", "memory_saved."), Class = CaseClass.MemorySaved, SavesMemory = true };
        }
        yield return new("startup.mobilenet_v2.224.b1", CaseClass.StartUp, Work.StartUp, Large("mobilenet_v2"), 1);
    }

    /// <summary>For images of 224×224, 1000 classes.</summary>
    private static ModelSpec Large(string architecture) => new(architecture);

    /// <summary>The variant of an architecture for images of 32×32, 10 classes.</summary>
    private static ModelSpec Small(string architecture, double width = 1) =>
        new(architecture) { Classes = 10, ImageSize = 32, SmallImages = true, Width = width };
}
