using System.Runtime.InteropServices;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;
using RefConv.Optim;

namespace RefConv.Bench;

/// <summary>Parts of a step, for the profile.</summary>
internal enum Phase
{
    Forward,
    Backward,
    Optimizer,
}

/// <summary>A number both engines compute.</summary>
/// <param name="Value">The number.</param>
/// <param name="Scale">What its error is relative to.</param>
internal readonly record struct CheckedValue(double Value, double Scale);

/// <summary>Our side of a case: the model, a batch, and the work on it.</summary>
internal sealed class OwnModel : IDisposable
{
    /// <summary>The same on both sides; the worker is told.</summary>
    public const double LearningRate = 0.01, Momentum = 0.9, WeightDecay = 1e-4;

    private const ulong Seed = 7;
    private readonly ModelCase _case;
    private readonly Model _model;
    private readonly float[] _images, _labels;
    private readonly Tensor _x, _y;
    private readonly Sgd _optimizer;
    private readonly InferencePlan? _plan;
    private long? _macs;

    public OwnModel(ModelCase row, string form, Device device)
    {
        _case = row;
        var plain = Zoo.Create(row.Spec, new Initializer(device, Seed));
        _model = form == ModelCase.Plain ? plain : plain.Expand(Reparameterizations.Create(form), seed: Seed);
        if (form != ModelCase.Plain) plain.Dispose();
        var shape = _model.InputShape(row.Batch);
        var random = new RandomStream(Seed, ulong.MaxValue);
        _images = [.. Enumerable.Range(0, (int)shape.Count).Select(_ => (float)random.NextNormal())];
        _labels = [.. Enumerable.Range(0, row.Batch).Select(i => (float)(i % row.Spec.Classes))];
        _x = Tensor.From(device, _images, shape);
        _y = Tensor.From(device, _labels, new Shape(row.Batch));
        _optimizer = new Sgd([new ParameterGroup([.. _model.NamedParameters().Where(p => p.Parameter.Trainable)], WeightDecay)], Momentum);
        if (row.Trains) return;
        SettleStatistics();
        _plan = _model.Compile(row.Batch);
    }

    /// <summary>Operations of one step: multiply and add are two, and the backward pass counts as two forward passes.</summary>
    public double Flops => (_case.Trains ? 6.0 : 2.0) * _case.Batch * (_macs ??= ModelSummary.Of(_model).TrainMacs);

    /// <summary>The model.</summary>
    public Model Model => _model;

    /// <summary>Told which part of a training step begins.</summary>
    public Action<Phase>? OnPhase { get; set; }

    /// <summary>Writes weights, images (n, c, h, w) and labels where the worker can read them: a safetensors file.</summary>
    public void Save(string path)
    {
        var entries = StateDict.Of(_model).Select(e => SafeTensorsEntry.FromFloats(e.Key, Long(e.Value.Shape), e.Value.Read())).ToList();
        var layout = ImageLayout;
        entries.Add(SafeTensorsEntry.FromFloats("bench.images", Long(layout.TorchShape), layout.ToTorch<float>(_images)));
        entries.Add(SafeTensorsEntry.FromFloats("bench.labels", [_labels.Length], _labels));
        SafeTensorsWriter.Write(path, entries);

        static IEnumerable<long> Long(Shape s) => s.Sizes.ToArray().Select(v => (long)v);
    }

    /// <summary>Writes the batch as bare floats, [n, c, h, w] or [n, h, w, c].</summary>
    public void SaveImages(string path, bool channelsFirst) =>
        File.WriteAllBytes(path, MemoryMarshal.AsBytes((channelsFirst ? ImageLayout.ToTorch<float>(_images) : _images).AsSpan()));

    /// <summary>Does the work so many times; milliseconds of one.</summary>
    public double Run(int times)
    {
        using var accuracy = new AccuracySetting(_model.Device, _case.Accuracy);
        var clock = Clock.Start(_model.Device.Threads);
        for (int i = 0; i < times; i++) Step();
        return clock.Milliseconds / times;
    }

    /// <summary>
    /// What both engines must agree on, by name: the scores; or the loss of a step and, of every parameter's gradient, Σ gᵢ·cos i over its
    /// elements in PyTorch's order (a number that also changes when elements trade places). Computed on a copy, without dropout and stochastic depth, whose
    /// random numbers differ.
    /// </summary>
    /// <remarks>
    /// Not the losses of later steps: from fresh weights the gradient of a MobileNetV1 is so large that rounding alone moves the second loss
    /// by several per cent, also between PyTorch's own memory formats.
    /// </remarks>
    public Dictionary<string, CheckedValue> Check()
    {
        if (_plan != null)
        {
            double[] scores = _plan.Run(_x).ToDoubleArray();
            double largest = scores.Max(Math.Abs);
            return scores.Select((v, i) => (v, i)).ToDictionary(s => $"score {s.i}", s => new CheckedValue(s.v, largest));
        }
        using var accuracy = new AccuracySetting(_model.Device, _case.Accuracy);
        using var model = (Model)_model.Clone();
        foreach (var (name, module) in model.NamedModules().Where(m => m.Module is Dropout or StochasticDepth).ToArray())
            model.Replace(name, module is Dropout ? new Dropout(new Initializer(model.Device), 0) : new StochasticDepth(new Initializer(model.Device), 0)).Dispose();
        using var tape = Tape.Train();
        var loss = tape.Retain(model.Forward(_x).CrossEntropy(_y));
        tape.Backward(loss);
        var values = new Dictionary<string, CheckedValue> { ["loss"] = new(loss.Item(), 1) };
        var gradients = model.NamedParameters().Where(p => p.Parameter.Trainable)
            .Select(p => (p.Name, Values: p.Parameter.Layout.ToTorch<double>(p.Parameter.GradientToDoubleArray()))).ToArray();
        // Some gradients are zero but for rounding (a bias whose effect the next batch norm takes away): judge those by the others' size.
        double floor = 1e-4 * gradients.Max(g => Norm(g.Values));
        foreach (var (name, g) in gradients) values["gradient of " + name] = new(g.Select((v, i) => v * Math.Cos(i)).Sum(), Math.Max(Norm(g), floor));
        return values;

        static double Norm(double[] v) => Math.Sqrt(v.Sum(x => x * x));
    }

    /// <summary>Between our order of an image's elements and PyTorch's.</summary>
    private ParameterLayout ImageLayout
    {
        get
        {
            var s = _x.Shape;
            var torch = new Shape(s[0], s[3], s[1], s[2]);
            return new ParameterLayout(torch, torch, [0, 2, 3, 1]);
        }
    }

    public void Dispose()
    {
        _plan?.Dispose();
        _optimizer.Dispose();
        _model.Dispose();
        _x.Dispose();
        _y.Dispose();
    }

    private void Step()
    {
        OnPhase?.Invoke(Phase.Forward);
        if (_plan != null)
        {
            _plan.Run(_x);
            return;
        }
        using var tape = Tape.Train(saveMemory: _case.SavesMemory);
        var loss = _model.Forward(_x).CrossEntropy(_y);
        OnPhase?.Invoke(Phase.Backward);
        tape.Backward(loss);
        OnPhase?.Invoke(Phase.Optimizer);
        _optimizer.Step(LearningRate);
        _optimizer.ZeroGrad();
    }

    /// <summary>
    /// Running statistics as after some training. With fresh ones (mean 0, variance 1) the signal of a deep network dies out on the way: the
    /// scores would be the same for every picture, and comparing them would prove nothing. A variance that starts from 0 is right up to a
    /// factor of 1 − 0.9ⁿ after n batches.
    /// </summary>
    private void SettleStatistics()
    {
        foreach (var (_, module) in _model.NamedModules())
        {
            if (module is BatchNorm2d norm) norm.RunningVar.FromTorch(new float[norm.Channels]);
        }
        for (int i = 0; i < 20; i++)
        {
            using var tape = Tape.Inference();
            _model.Forward(_x);
        }
        _model.Eval();
    }
}
