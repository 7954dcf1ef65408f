using System.Diagnostics;
using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models.Analysis;

/// <summary>What training in refocused form costs beside training the plain model: counted, and measured here and now.</summary>
public static class TrainingCost
{
    /// <summary>Steps measured of each layer and model, after two that are not.</summary>
    private const int Steps = 7;

    /// <summary>Counts and measures.</summary>
    /// <param name="spec">The architecture.</param>
    /// <param name="refocus">The method.</param>
    /// <param name="layers">Which layers are refocused; null for the method's own choice.</param>
    /// <param name="batch">Pictures a step.</param>
    /// <param name="openDevice">Opens a device; each form is measured on one of its own, so that peaks do not mix.</param>
    /// <exception cref="ArgumentException">The method would change nothing, or the batch is empty.</exception>
    public static CostResults Measure(ModelSpec spec, RefConvMethod refocus, LayerPolicy? layers, int batch, Func<Device> openDevice)
    {
        if (batch < 1) throw new ArgumentException($"A step needs at least one picture; it is {batch}.");
        var (plain, plainTimes, plainMemory, plainStep) = MeasureForm(spec, model => model, batch, openDevice);
        var (refocused, times, memory, step) = MeasureForm(spec, model => { using (model) return model.Expand(refocus, layers); }, batch, openDevice);
        var plainRows = plain.Layers.ToDictionary(l => l.Name);
        List<CostRow> rows = [.. times.Keys.Select(name =>
            new CostRow(name, Cost([plainRows[name]], batch, plainTimes[name], computed: false), Cost([refocused.Layers.First(l => l.Name == name)], batch, times[name], computed: true)))];
        if (rows.Count == 0) throw new ArgumentException("No layer of this model is refocused, so there is nothing to compare.");
        var computed = refocused.Layers.Where(l => times.ContainsKey(l.Name)).ToArray();
        long kernels = computed.Sum(l => l.DeployParameters) * sizeof(float);
        var whole = Cost(refocused.Layers, batch, step, computed: false);
        rows.Add(new CostRow("total", Cost(plain.Layers, batch, plainStep, computed: false), whole with { Bytes = whole.Bytes + kernels }));
        return new CostResults(rows, new CostMemory(plainMemory, memory), new CostTime(plainStep, step), batch);
    }

    /// <summary>One form on a device of its own: counts, the times of the layers that are or would be refocused, most memory, time of a step.</summary>
    private static (ModelSummary Summary, Dictionary<string, double> LayerTimes, long Peak, double Step) MeasureForm(ModelSpec spec, Func<Model, Model> form, int batch, Func<Device> openDevice)
    {
        long peak;
        double step;
        // The whole model first: what measuring layers lends must not count as its peak.
        using (var device = openDevice())
        {
            using var model = form(Zoo.Create(spec, new Initializer(device)));
            step = StepTime.Milliseconds(model, batch, Steps);
            // StepTime trains a copy, so the model itself was lent in vain.
            peak = device.Memory.PeakRentedBytes - model.NamedParameters().Sum(p => p.Parameter.Shape.Count * ElementBytes(device));
        }
        using (var device = openDevice())
        {
            using var model = form(Zoo.Create(spec, new Initializer(device)));
            var summary = ModelSummary.Of(model);
            return (summary, LayerTimes(model, batch), peak, step);
        }
    }

    /// <summary>Of every convolution larger than 1×1 and every refocused layer: forward and backward pass alone, on random maps of the size it gets in the model.</summary>
    private static Dictionary<string, double> LayerTimes(Model model, int batch)
    {
        Dictionary<string, Shape> inputs = [];
        bool anyForm = model.NamedModules().Any(m => m.Module is RefConv2d);
        using (var tape = Tape.Symbolic())
        {
            model.Eval();
            model.Forward(tape.SymbolicInput(model.Device, model.InputShape(batch)));
            foreach (var node in tape.Nodes.Where(n => n.Kind == "Conv2d")) inputs[node.Name] = node.Inputs[0].Shape;
        }
        model.Train();
        var layers = model.NamedModules().Where(m => inputs.ContainsKey(m.Name) && (m.Module is RefConv2d || (!anyForm && m.Module is Conv2d { KernelSize: not (1, 1) })));
        return layers.ToDictionary(l => l.Name, l => Milliseconds(l.Module, inputs[l.Name]));
    }

    private static double Milliseconds(Module layer, Shape input)
    {
        var device = layer.NamedParameters().First().Parameter.Device;
        using var x = Random(device, input, 1, requiresGrad: true);
        Tensor? dy = null;
        double[] times = new double[Steps];
        for (int i = -2; i < Steps; i++)
        {
            long started = Stopwatch.GetTimestamp();
            using (var tape = Tape.Train())
            {
                var y = layer.Forward(x);
                dy ??= Random(device, y.Shape, 2, requiresGrad: false);
                tape.Backward(y, dy);
            }
            StepTime.Wait(x);
            if (i >= 0) times[i] = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
            layer.ZeroGrad();
            x.ZeroGrad();
        }
        dy?.Dispose();
        Array.Sort(times);
        return times[Steps / 2];
    }

    private static Tensor Random(Device device, Shape shape, ulong stream, bool requiresGrad)
    {
        var random = new RandomStream(1, stream);
        float[] values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextUniform(-1, 1);
        return Tensor.From(device, values, shape, requiresGrad);
    }

    /// <param name="layers">Counted for one picture.</param>
    /// <param name="batch">Pictures.</param>
    /// <param name="milliseconds">Measured.</param>
    /// <param name="computed">Its kernel is computed, so it is written, too.</param>
    private static LayerCost Cost(IReadOnlyList<LayerSummary> layers, int batch, double milliseconds, bool computed)
    {
        long parameters = layers.Sum(l => l.TrainParameters), kernels = computed ? layers.Sum(l => l.DeployParameters) : 0;
        return new LayerCost(parameters, layers.Sum(l => (l.TrainMacs * batch) + l.TransformMacs), layers.Sum(l => l.TrainBytes * batch) + ((parameters + kernels) * sizeof(float)), milliseconds);
    }

    private static long ElementBytes(Device device) => device is ReferenceDevice ? sizeof(double) : sizeof(float);
}
