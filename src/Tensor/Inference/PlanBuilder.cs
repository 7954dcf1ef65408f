using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// Turns recorded operations into steps. What follows a convolution and has no other reader is fused into it: batch norm, residual sum, activation, in this
/// order. Everything else stays the operation it was.
/// </summary>
internal sealed class PlanBuilder
{
    private readonly List<PlanStep> _steps = [];
    private readonly Dictionary<Tensor, int> _readers = [];   // how many operations read a tensor
    private readonly Dictionary<Tensor, List<Op>> _readersOf = []; // which (a lookup over pairs would be compiled anew at every start)
    private readonly Dictionary<Tensor, int> _producer = [];  // the step that computes a tensor

    public PlanBuilder(IReadOnlyList<Op> nodes, Tensor input, Tensor output, Conv2dAccuracy accuracy)
    {
        (Input, Output) = (input, output);
        var needed = Needed(nodes, output);
        foreach (var tensor in needed.SelectMany(n => n.Inputs).Append(output)) _readers[tensor] = _readers.GetValueOrDefault(tensor) + 1;
        foreach (var node in needed)
        {
            foreach (var tensor in node.Inputs)
            {
                if (!_readersOf.TryGetValue(tensor, out var readers)) _readersOf[tensor] = readers = [];
                readers.Add(node);
            }
        }
        foreach (var node in needed) Lower(node);
        foreach (var step in _steps.OfType<ConvStep>()) step.Pack(input.Device, accuracy);
    }

    public IReadOnlyList<PlanStep> Steps => _steps;

    public Tensor Input { get; }

    public Tensor Output { get; }

    /// <summary>Results that lie in other tensors: the same under another shape, or some of their channels.</summary>
    public List<(Tensor View, Tensor Of)> Views { get; } = [];

    /// <summary>The operations that the output depends on, in order; constants are values already.</summary>
    internal static List<Op> Needed(IReadOnlyList<Op> nodes, Tensor output)
    {
        HashSet<Tensor> wanted = [output];
        List<Op> needed = [];
        foreach (var node in nodes.Reverse())
        {
            if (!node.Output.IsSymbolic || !wanted.Contains(node.Output)) continue;
            needed.Add(node);
            wanted.UnionWith(node.Inputs);
        }
        needed.Reverse();
        return needed;
    }

    private void Lower(Op node)
    {
        switch (node)
        {
            case { IsForTraining: true }: throw new NotSupportedException($"{node.Kind}{(node.Name.Length == 0 ? "" : $" '{node.Name}'")} belongs to training and cannot be part of an inference plan. Compile the model in evaluation mode, without its loss.");
            case { IsView: true }: Views.Add((node.Output, node.Inputs[0])); break;
            case SliceOp slice when StaysInPlace(slice):
                slice.Output.IsDropped = true;
                Views.Add((slice.Output, slice.Inputs[0]));
                break;
            case Conv2dOp { Weight.IsSymbolic: false, Bias: not { IsSymbolic: true } } conv:
                Add(new ConvStep(node.Name, conv.Reading(out _), conv.Input, conv.Weight, conv.Bias, node.Output));
                break;
            case LinearOp { Weight.IsSymbolic: false, Bias: not { IsSymbolic: true } } linear:
                Add(new ConvStep(node.Name, linear.AsConv2d, linear.Input, linear.Weight, linear.Bias, node.Output));
                break;
            case BatchNorm2dOp norm: Lower(norm); break;
            case ActivationOp activation when Open(activation.Inputs[0]) is { } conv: Fuse(conv, () => conv.Activate(activation.Function, node.Output)); break;
            case MultiplyChannelsOp { Factors: { IsSymbolic: false } scale } multiply when scale.Shape.Count == scale.Shape[-1] && Open(multiply.Input) is { } conv:
                Fuse(conv, () => conv.Fold(scale.ToDoubleArray(), new double[scale.Shape.Count], multiply.Output)); // ConvNeXt's layer scale
                break;
            case AddOp add: Lower(add); break;
            default: Add(new OpStep(node)); break;
        }
    }

    private void Lower(BatchNorm2dOp norm)
    {
        if (norm.IsTraining)
            throw new InvalidOperationException($"Batch norm '{norm.Name}' is in training mode, where the result depends on the batch. Call Eval() on the model first.");
        if (Open(norm.Input) is not { } conv || (norm.ResidualInput is { } skip && !IsBefore(skip, conv)))
        {
            Add(new NormStep(norm));
            return;
        }
        var (scale, shift) = norm.AsAffine();
        Fuse(conv, () =>
        {
            conv.Fold(scale, shift, norm.Output);
            if (norm.ResidualInput is { } residual) conv.Add(residual, norm.Output);
            if (norm.Geometry.Activation != ActivationKind.Identity) conv.Activate(norm.Geometry.Activation, norm.Output);
        });
    }

    private void Lower(AddOp add)
    {
        var (a, b) = (add.Inputs[0], add.Inputs[1]);
        if (a.IsSymbolic && b.IsSymbolic && a != b)
        {
            foreach (var (sum, residual) in new[] { (a, b), (b, a) })
            {
                if (Open(sum) is not { } conv || !IsBefore(residual, conv)) continue;
                Fuse(conv, () => conv.Add(residual, add.Output));
                return;
            }
        }
        Add(new OpStep(add));
    }

    /// <summary>Everything that reads these channels can step over those between them.</summary>
    private bool StaysInPlace(SliceOp slice) => slice.CanBorrow && slice.Output != Output && _readersOf[slice.Output].All(reader => reader.ReadsStrided(slice.Output));

    /// <summary>The convolution whose result this is, if nothing else reads that result and nothing stands in the way of fusing more into it.</summary>
    private ConvStep? Open(Tensor tensor) =>
        _readers[tensor] == 1 && _producer.TryGetValue(tensor, out int i) && _steps[i] is ConvStep { IsOpen: true } conv ? conv : null;

    /// <summary>The tensor is there when the convolution runs.</summary>
    private bool IsBefore(Tensor tensor, ConvStep conv)
    {
        while (Views.Find(v => v.View == tensor) is { Of: not null } view) tensor = view.Of;
        return !_producer.TryGetValue(tensor, out int i) || i < _steps.IndexOf(conv);
    }

    private void Fuse(ConvStep conv, Action change)
    {
        int i = _producer[conv.Output];
        _producer.Remove(conv.Output);
        change();
        _producer[conv.Output] = i;
    }

    private void Add(PlanStep step)
    {
        _producer[step.Output] = _steps.Count;
        _steps.Add(step);
    }
}
