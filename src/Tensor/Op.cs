using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// One operation on a tape: what went in, what came out, what it costs, and how its gradient is computed. A derived class is one
/// file in <c>Ops/</c>: its constructor checks shapes, <see cref="Forward"/> and <see cref="Backward"/> stand next to each other.
/// </summary>
public abstract class Op
{
    private readonly List<DeviceBuffer> _saved = [];

    /// <summary>Makes a node.</summary>
    /// <param name="kind">The operation's name: <c>Conv2d</c>.</param>
    /// <param name="name">The module it runs in, for messages and traces: <c>layer2.0.conv1</c>; or null.</param>
    /// <param name="inputs">Tensors read. All on one device.</param>
    protected Op(string kind, string? name, params Tensor[] inputs)
    {
        Kind = kind;
        Name = name ?? "";
        Inputs = inputs;
    }

    /// <summary>The operation's name.</summary>
    public string Kind { get; }

    /// <summary>The module it runs in; empty outside modules.</summary>
    public string Name { get; }

    /// <summary>Tensors read.</summary>
    public IReadOnlyList<Tensor> Inputs { get; }

    /// <summary>The result.</summary>
    public Tensor Output { get; private set; } = null!;

    /// <summary>Multiply-adds of the forward pass.</summary>
    public virtual long Macs => 0;

    /// <summary>The result shares its first input's memory (a reshape).</summary>
    public virtual bool IsView => false;

    /// <summary>The result can stay where it is, inside its first input's memory, until somebody needs it dense: then it is computed.</summary>
    internal virtual bool CanBorrow => false;

    /// <summary>Reads this input through <see cref="Tensor.Strided"/> wherever it reads it.</summary>
    internal virtual bool ReadsStrided(Tensor input) => false;

    /// <summary>What is special about this node, for people: the geometry.</summary>
    public virtual string Attributes => "";

    /// <summary>The tape it is on.</summary>
    protected Tape Tape { get; private set; } = null!;

    /// <inheritdoc/>
    public override string ToString() => $"{Label} {Attributes} {string.Join(" ", Inputs.Select(i => i.Shape))} -> {Output?.Shape}";

    /// <summary>Operation and module for messages: <c>Conv2d 'layer2.0.conv1'</c>.</summary>
    protected string Label => Name.Length == 0 ? Kind : $"{Kind} '{Name}'";

    /// <summary>Computes <see cref="Output"/>.</summary>
    protected abstract void Forward(IKernels kernels);

    /// <summary>
    /// Adds this node's part to the gradients of its inputs: for each input with <see cref="Needs"/>, write to <see cref="Gradient"/>.
    /// </summary>
    /// <param name="kernels">The device's kernels.</param>
    /// <param name="dy">Gradient of the output.</param>
    protected internal abstract void Backward(IKernels kernels, BufferView dy);

    /// <summary>
    /// <see cref="Backward"/> reads the elements of this input, or of <see cref="Output"/> (its shape and its gradient do not count). Where nobody's does, the memory goes
    /// back as soon as the forward pass is done with it (<see cref="RefConv.Tape.Release"/>). Unless overridden everything is read, which is never wrong.
    /// </summary>
    /// <param name="tensor">One of <see cref="Inputs"/>, or <see cref="Output"/>.</param>
    protected internal virtual bool BackwardReads(Tensor tensor) => true;

    /// <summary>A gradient of this input is wanted.</summary>
    protected static bool Needs(Tensor? input) => input is { RequiresGrad: true };

    /// <summary>Where to write the gradient of an input; accumulate says whether to add to what is there.</summary>
    protected static BufferView Gradient(Tensor input, out bool accumulate) => input.GradientTarget(out accumulate);

    /// <summary>As <see cref="Gradient"/>, for writers that can step over channels: the gradient of a run of channels is a part of its source's.</summary>
    internal static StridedRows StridedGradient(Tensor input, out bool accumulate)
    {
        if (input.Producer is SliceOp slice)
        {
            var (source, first) = slice.Origin;
            return new(source.GradientTarget(first, input.Shape[-1], out accumulate), source.Shape[-1], first);
        }
        return new(Gradient(input, out accumulate), input.Shape[-1], 0);
    }

    /// <summary>
    /// Where to write the gradients of two inputs that one reduction gives, with one flag for both. One of them may have a gradient already and the other none (a parameter that a
    /// step before this one wrote to, beside an intermediate of this step): then the missing one begins at 0.
    /// </summary>
    protected static (BufferView A, BufferView B) Gradients(IKernels kernels, Tensor a, Tensor b, out bool accumulate)
    {
        var (da, db) = (Gradient(a, out bool toA), Gradient(b, out bool toB));
        accumulate = toA || toB;
        if (accumulate && !toA) kernels.Fill(da, 0);
        if (accumulate && !toB) kernels.Fill(db, 0);
        return (da, db);
    }

    /// <summary>
    /// Passes the output's gradient on unchanged to an input: hands its memory over where nothing is there yet, adds it otherwise.
    /// Call it last, and for one input only; the output's gradient may be gone afterwards.
    /// </summary>
    protected void PassGradient(IKernels kernels, Tensor input)
    {
        var dy = Output.GradientData;
        if (Output.TryMoveGradientTo(input)) return;
        kernels.Scale(dy, Gradient(input, out bool accumulate), 1, accumulate);
    }

    /// <summary>Part of training only: refused by an <see cref="InferencePlan"/>.</summary>
    internal virtual bool IsForTraining => false;

    /// <summary>The result can be computed again, with the same bits, as long as the node's inputs are there.</summary>
    internal virtual bool CanRecompute => false;

    /// <summary>And that takes hardly more than writing it.</summary>
    internal virtual bool RecomputesCheaply => CanRecompute;

    /// <summary>Computes a result that was given back again, into fresh memory of the tape.</summary>
    internal BufferView Recompute()
    {
        if (Tape.IsClosed) throw DeviceBuffer.Disposed();
        var buffer = Inputs[0].Device.Rent(Output.Shape.Count);
        Tape.Own(buffer);
        // Something else would not have been computed again without a backward pass that reads it; a run of channels is read if its source is.
        if (!CanBorrow || Tape.IsReadBackward(Inputs[0].HeldIn)) Tape.MarkRead(buffer);
        try
        {
            Recompute(Inputs[0].Device.Kernels, buffer.View);
        }
        catch
        {
            Tape.GiveBack(buffer);
            throw;
        }
        return buffer.View;
    }

    /// <summary>Computes the result again; only where <see cref="CanRecompute"/>.</summary>
    /// <param name="kernels">The device's kernels.</param>
    /// <param name="result">Where to.</param>
    internal virtual void Recompute(IKernels kernels, BufferView result) => throw new NotSupportedException();

    /// <summary>Computes the result again, into the memory that the output has now: a step of an <see cref="InferencePlan"/>.</summary>
    internal void Execute() => Forward(Output.Device.Kernels);

    /// <summary>Memory for something the backward pass will need; given back with the tape.</summary>
    /// <exception cref="NotSupportedException">In an inference plan, where there is no backward pass.</exception>
    protected BufferView Save(long length)
    {
        // What depends on parameters alone is computed while a plan is recorded: there its memory is lent for a moment, as in any forward pass.
        if (Tape.IsSymbolic && Output.IsSymbolic) throw new NotSupportedException($"{Label} belongs to training and cannot be part of an inference plan.");
        var buffer = Inputs[0].Device.Rent(length);
        _saved.Add(buffer);
        Tape.Own(buffer);
        return buffer.View;
    }

    /// <summary>Throws a <see cref="ShapeException"/> that starts with the operation and the module.</summary>
    protected ShapeException Bad(string problem) => new($"{Label}: {problem}");

    /// <summary>Allocates the output, runs the forward pass and puts the node on the current tape.</summary>
    /// <param name="shape">Shape of the result.</param>
    protected Tensor Run(Shape shape)
    {
        Tape = Tape.Current;
        foreach (var input in Inputs)
        {
            if (input.Device != Inputs[0].Device)
                throw new InvalidOperationException($"{Label}: inputs are on two devices, {Inputs[0].Device} and {input.Device}. Make both on the same one.");
        }
        if (Tape.IsSymbolic && Inputs.Any(i => i.IsSymbolic))
        {
            Output = new Tensor(shape, Tape.Placeholder(Inputs[0].Device, shape.Count)) { Producer = this, IsSymbolic = true };
            Tape.Record(this);
            return Output;
        }
        bool requiresGrad = Tape.Differentiates && Inputs.Any(i => i.RequiresGrad);
        try
        {
            if (IsView) Inputs[0].HasView = true;
            if (!TryBorrow(shape, requiresGrad))
            {
                Output = new Tensor(shape, IsView ? Inputs[0].Data : OutputMemory(shape), requiresGrad) { Producer = this };
                Forward(Inputs[0].Device.Kernels);
            }
        }
        catch (OutOfMemoryException e)
        {
            throw MemoryNames.Of(e, $"{Label}, whose result is {shape}");
        }
        if (requiresGrad || Tape.IsTrace) Tape.Record(this);
        else ReleaseSaved();
        return Output;
    }

    /// <summary>The backward pass of this node.</summary>
    internal void RunBackward()
    {
        try
        {
            Backward(Output.Device.Kernels, Output.GradientData);
        }
        catch (OutOfMemoryException e)
        {
            throw MemoryNames.Of(e, $"the gradients of {Label}, whose inputs are {string.Join(" and ", Inputs.Select(i => i.Shape))}");
        }
    }

    private bool TryBorrow(Shape shape, bool requiresGrad)
    {
        if (!CanBorrow) return false;
        var view = new Tensor(shape, new BufferView(Inputs[0].HeldIn, 0, shape.Count), requiresGrad) { Producer = this, IsDropped = true };
        if (!Tape.TryBorrow(view)) return false;
        Inputs[0].HasView = true;
        Output = view;
        return true;
    }

    private BufferView OutputMemory(Shape shape)
    {
        var buffer = Inputs[0].Device.Rent(shape.Count);
        Tape.Own(buffer);
        return buffer.View;
    }

    /// <summary>Gives back what <see cref="Save"/> lent.</summary>
    internal void ReleaseSaved()
    {
        foreach (var buffer in _saved) Tape.GiveBack(buffer);
        _saved.Clear();
    }
}
