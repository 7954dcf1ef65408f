using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>Everything needed to build an architecture again: written into checkpoints.</summary>
/// <param name="Architecture">A name from <see cref="Zoo.Names"/>: <c>mobilenet_v1</c>.</param>
public sealed record ModelSpec(string Architecture)
{
    /// <summary>Number of classes.</summary>
    public int Classes { get; init; } = 1000;

    /// <summary>Width multiplier, where the architecture has one.</summary>
    public double Width { get; init; } = 1;

    /// <summary>The usual variant for small images (about 32×32): the first strides are left out.</summary>
    public bool SmallImages { get; init; }

    /// <summary>Channels of the input: 3 for colour.</summary>
    public int InChannels { get; init; } = 3;

    /// <summary>Rows and columns of the images it is meant for.</summary>
    public int ImageSize { get; init; } = 224;

    /// <inheritdoc/>
    public override string ToString() => Architecture + (Width == 1 ? "" : $" ×{Width}") + (SmallImages ? " (small images)" : "") + $", {Classes} classes";
}

/// <summary>What a model is for: what it is trained with, and what its result means.</summary>
public enum ModelTask
{
    /// <summary>Class scores of a picture, [n, classes].</summary>
    Classification,

    /// <summary>The brightness of a picture, enlarged: [n, h·s, w·s, 1] from [n, h, w, 1] of any size.</summary>
    SuperResolution,
}

/// <summary>A model of the zoo: takes [n, size, size, channels]; a classifier gives class scores [n, classes].</summary>
/// <param name="spec">What it is.</param>
public abstract class Model(ModelSpec spec) : Module
{
    // Nobody disposes it: it holds no more than memory of models that are gone, and its threads are those that all devices share.
    private static readonly Lazy<CpuDevice> s_sharedDevice = new(() => new CpuDevice());

    /// <summary>What it is.</summary>
    public ModelSpec Spec { get; } = spec;

    /// <summary>What it is for.</summary>
    public virtual ModelTask Task => ModelTask.Classification;

    /// <summary>The training forms it is in, in the order they were put on; empty for a plain model.</summary>
    public IReadOnlyList<TrainingForm> Forms { get; private set; } = [];

    /// <summary>Whether <see cref="Merge"/> has anything to do: a layer is in training form.</summary>
    public bool IsMergeable => NamedModules().Any(m => Reparameterization.IsTrainingForm(m.Module));

    /// <summary>The device its parameters are on.</summary>
    public Device Device => NamedParameters().First().Parameter.Device;

    /// <summary>
    /// Reads a model file, in the form it was saved in and in evaluation mode. The file says everything: architecture, options, methods. See
    /// <see cref="ModelFile.Load(string, Device)"/>, and <see cref="ModelFile.LoadWeights"/> for weights from elsewhere.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="device">Where to put it. Left out: a CPU device with all cores that all models loaded so share and that lives as long as the program.</param>
    /// <exception cref="IO.FileFormatException">Damaged, or not a model of ours.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="StateDictException">The tensors do not fit the architecture that the file names.</exception>
    public static Model Load(string path, Device? device = null) => ModelFile.Load(path, device ?? s_sharedDevice.Value);

    /// <summary>The shape of a batch it is meant for.</summary>
    public Shape InputShape(int batch) => new(batch, Spec.ImageSize, Spec.ImageSize, Spec.InChannels);

    /// <summary>Random images to try the model on: normally distributed, always the same.</summary>
    public Tensor Probe(int batch = 2)
    {
        var shape = InputShape(batch);
        var random = new RandomStream(1, 1);
        float[] values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextNormal();
        return Tensor.From(Device, values, shape);
    }

    /// <summary>
    /// A copy with the training form of a method in place of the chosen layers; see <see cref="Reparameterization.Expand"/>.
    /// </summary>
    public Model Expand(IReparameterization method, LayerPolicy? policy = null, ulong seed = 0)
    {
        // Two images: the pass that is recorded may be one of training, where a norm refuses a map of a single value per channel. Nothing is computed.
        var expanded = Reparameterization.ExpandLayers(this, method, policy, seed, InputShape(2), out var layers);
        expanded.Forms = [.. Forms, new TrainingForm(method, layers)];
        return expanded;
    }

    /// <summary>
    /// The plain model of this architecture that computes the same, and how it was checked; see <see cref="Reparameterization.Merge"/>. Where a method has
    /// layers that no plain one can stand for, they stay, and <see cref="Forms"/> of the merged model says which.
    /// </summary>
    public (Model Merged, MergeReport Report) Merge()
    {
        using var probe = Probe();
        var (merged, report) = Reparameterization.Merge(this, probe);
        merged.Forms = [.. Forms.Where(f => f.Method.Remainder != null).Select(f => f with { Method = f.Method.Remainder! })];
        return (merged, report);
    }

    /// <summary>Makes the model ready to answer batches of one size: see <see cref="InferencePlan"/>.</summary>
    /// <param name="batch">Images a run.</param>
    /// <param name="accuracy">What may be traded for speed.</param>
    public InferencePlan Compile(int batch = 1, Conv2dAccuracy accuracy = Conv2dAccuracy.Fast) => Compile(InputShape(batch), accuracy);

    /// <summary>Class scores of a batch, under a tape of its own. For applications that ask once; <see cref="Compile(int, Conv2dAccuracy)"/> is for those that ask often.</summary>
    /// <param name="images">[n, h, w, c] values, normalised as in training.</param>
    /// <param name="batch">n</param>
    /// <returns>[n, classes] scores.</returns>
    public float[] Predict(ReadOnlySpan<float> images, int batch)
    {
        using var x = Tensor.From(Device, images, InputShape(batch));
        using var tape = Tape.Inference();
        return Forward(x).ToArray();
    }
}
