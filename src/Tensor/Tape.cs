using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// Records operations and owns the memory of their results. Open one around every forward pass:
/// <c>using var tape = Tape.Train();</c> … <c>tape.Backward(loss);</c>. When it closes, all intermediate memory goes back to
/// the device's pool, except what <see cref="Keep"/> took out.
/// </summary>
/// <remarks>The innermost open tape of the current thread is used; tapes may be nested. Use a tape on the thread that opened it.</remarks>
public sealed class Tape : IDisposable
{
    [ThreadStatic]
    private static Tape? s_current;
    private static long s_steps;

    /// <summary>4 MB: with what it is computed from and two gradients it still fits the last cache (32 MB where this was measured; at 8 MB a step took 2 % longer).</summary>
    private const long MostElementsInCache = 1 << 20;

    private readonly Tape? _outer;
    private readonly HashSet<DeviceBuffer> _owned = [];
    private readonly List<Op> _nodes = [];
    private readonly HashSet<Tensor> _borrowers = [];
    private readonly HashSet<DeviceBuffer> _retained = [];
    private readonly HashSet<DeviceBuffer> _readBackward = []; // what the backward pass of a recorded node will read
    private bool _disposed, _walked;

    private DeviceBuffer? _placeholder;

    private Tape(bool differentiates, bool isTrace, long step = 0, ulong? seed = null, bool isSymbolic = false, bool savesMemory = false)
    {
        (IsSymbolic, SavesMemory) = (isSymbolic, savesMemory);
        (Step, Seed) = (step, seed);
        Differentiates = differentiates;
        IsTrace = isTrace;
        _outer = s_current;
        s_current = this;
    }

    /// <summary>Operations recorded so far, in the order they ran.</summary>
    public IReadOnlyList<Op> Nodes => _nodes;

    /// <summary>Gradients can be computed.</summary>
    public bool Differentiates { get; }

    /// <summary>Every operation is recorded and every result kept until the tape closes.</summary>
    public bool IsTrace { get; }

    /// <summary>What depends on a symbolic input is recorded and not computed; the rest (a kernel made of parameters) is computed as ever.</summary>
    internal bool IsSymbolic { get; }

    /// <summary>The innermost open tape of this thread.</summary>
    /// <exception cref="InvalidOperationException">None is open.</exception>
    public static Tape Current => s_current ?? throw new InvalidOperationException(
        "No tape is open on this thread. Open one around the computation: `using var tape = Tape.Train();` to train, `using var tape = Tape.Inference();` otherwise.");

    /// <summary>Which training step this is: dropout draws another mask for every step.</summary>
    public long Step { get; }

    /// <summary>
    /// The run's seed, if one was given: dropout then draws its masks from it and not from the seed its layer was made with, which a model
    /// read back from a file does not have.
    /// </summary>
    public ulong? Seed { get; }

    /// <summary>
    /// All results of batch norms are given back as soon as the forward pass has read them, and computed again, bit for bit, when the backward pass wants them; otherwise only
    /// small ones are. A step needs a half to three quarters of the memory and takes 5 to 10 % longer.
    /// </summary>
    public bool SavesMemory { get; }

    /// <summary>A tape that can compute gradients.</summary>
    /// <param name="step">The training step, for a run that must be repeatable; left out, the process counts.</param>
    /// <param name="seed">The run's seed; left out, every layer has its own.</param>
    /// <param name="saveMemory">See <see cref="SavesMemory"/>.</param>
    public static Tape Train(long? step = null, ulong? seed = null, bool saveMemory = false) =>
        new(differentiates: true, isTrace: false, step ?? Interlocked.Increment(ref s_steps), seed, savesMemory: saveMemory);

    /// <summary>A tape that records nothing: results can be released early, and there is no backward pass.</summary>
    public static Tape Inference() => new(differentiates: false, isTrace: false);

    /// <summary>An inference tape that records every operation and keeps every result: for summaries, exports and comparisons layer by layer.</summary>
    public static Tape Trace() => new(differentiates: false, isTrace: true);

    /// <summary>A tape that records what would be computed from <see cref="SymbolicInput"/>, without computing it.</summary>
    internal static Tape Symbolic() => new(differentiates: false, isTrace: false, isSymbolic: true);

    /// <summary>A tensor that has a shape and no values.</summary>
    internal Tensor SymbolicInput(Device device, Shape shape) => new(shape, Placeholder(device, shape.Count)) { IsSymbolic = true };

    /// <summary>A view of the right length over no memory to speak of: only operations that are not computed ever see it.</summary>
    internal BufferView Placeholder(Device device, long length)
    {
        if (_placeholder == null) Own(_placeholder = device.Rent(1));
        return new BufferView(_placeholder, 0, length);
    }

    /// <summary>
    /// Computes the gradients of everything the loss depends on and that wants one. Parameters add to the gradient they have;
    /// call <c>ZeroGrad</c> between steps. Results on the tape are given back as the pass goes, except the loss and what <see cref="Retain"/> named.
    /// </summary>
    /// <param name="loss">A tensor of one element.</param>
    /// <exception cref="InvalidOperationException">Not a training tape; or the tape was walked already; or the loss depends on nothing that wants a gradient.</exception>
    /// <exception cref="ShapeException">The loss has more than one element.</exception>
    public void Backward(Tensor loss)
    {
        if (loss.Shape.Count != 1)
            throw new ShapeException($"Backward starts from a loss of one element, not from {loss.Shape}. Give the gradient of the result as second argument.");
        CheckCanWalk(loss);
        loss.Device.Kernels.Fill(loss.GradientTarget(out _), 1);
        Walk(loss);
    }

    /// <summary>As <see cref="Backward(Tensor)"/>, from any tensor and its given gradient.</summary>
    /// <param name="result">Where to start.</param>
    /// <param name="gradient">The gradient of it, of the same shape.</param>
    public void Backward(Tensor result, Tensor gradient)
    {
        if (result.Shape != gradient.Shape) throw new ShapeException($"The gradient given to Backward is {gradient.Shape}, the result {result.Shape}.");
        CheckCanWalk(result);
        result.Device.Kernels.Scale(gradient.Data, result.GradientTarget(out _), 1, accumulate: false);
        Walk(result);
    }

    /// <summary>Keeps a result readable until the tape closes, through <see cref="Backward(Tensor)"/> and <see cref="Release"/>.</summary>
    public Tensor Retain(Tensor tensor)
    {
        _retained.Add(tensor.Data.Buffer);
        return tensor;
    }

    /// <summary>Takes a result off the tape: the returned tensor outlives it and belongs to the caller. No gradient flows through it.</summary>
    public Tensor Keep(Tensor tensor)
    {
        if (TryTake(tensor.Data.Buffer)) return new Tensor(tensor.Shape, tensor.Data);
        var copy = Tensor.Empty(tensor.Device, tensor.Shape);
        tensor.Device.Kernels.Scale(tensor.Data, copy.Data, 1, accumulate: false);
        return copy;
    }

    /// <summary>
    /// Says that nothing but a backward pass will read this result again. On an inference tape its memory goes back at once; on a training tape when no backward pass will
    /// read it either (<see cref="Op.BackwardReads"/>), or when it is cheap to compute again (see also <see cref="SavesMemory"/>). On other tapes, and for tensors that are not the tape's, nothing happens.
    /// </summary>
    public void Release(Tensor tensor)
    {
        if (IsTrace || IsSymbolic || KeepsReleased) return;
        var buffer = tensor.HeldIn;
        bool isRead = Differentiates && IsReadBackward(buffer);
        if (tensor.IsDropped)
        {
            // A run of channels that was never copied has no memory to give back, and need not be copied when its source goes.
            if (!isRead) _borrowers.Remove(tensor);
            return;
        }
        if (_retained.Contains(buffer)) return;
        if (!isRead) GiveBack(buffer);
        else if (Drops(tensor)) tensor.IsDropped = GiveBack(buffer);
    }

    /// <summary>
    /// Whether a result that a backward pass reads is rather computed again. A small one always, if that is cheap: its reader finds it in the caches, and the backward pass of
    /// the node finds there what it was computed from, so it costs no more than reading it from memory.
    /// </summary>
    private bool Drops(Tensor tensor) => tensor.Producer is { CanRecompute: true } node && !tensor.HasView &&
        (SavesMemory || (node.RecomputesCheaply && tensor.Shape.Count <= MostElementsInCache && !tensor.Device.IsAsynchronous));

    /// <summary>For tests: <see cref="Release"/> does nothing.</summary>
    internal bool KeepsReleased { get; set; }

    /// <summary>Gives all memory back and makes the tape around this one current again.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        if (s_current == this) s_current = _outer;
        foreach (var node in _nodes)
        {
            node.Output.ReleaseGradient();
        }
        foreach (var buffer in _owned) buffer.Dispose();
        _owned.Clear();
        _borrowers.Clear();
        _nodes.Clear();
    }

    /// <summary>Makes the tape give this buffer back when it closes.</summary>
    internal void Own(DeviceBuffer buffer) => _owned.Add(buffer);

    /// <summary>What one layer computes and another one of the same model uses, under the path of the layer that computes it.</summary>
    internal Dictionary<string, Tensor> Shared { get; } = [];

    /// <summary>A tensor of one value throughout that ends with the tape.</summary>
    internal Tensor Constant(Device device, Shape shape, double value)
    {
        var t = Tensor.Full(device, shape, value);
        Own(t.Data.Buffer);
        return t;
    }

    /// <summary>Leaves a buffer of this tape to the caller, who gives it back; false if it is not this tape's.</summary>
    internal bool TryTake(DeviceBuffer buffer)
    {
        CopyBorrowers(buffer);
        return _owned.Remove(buffer);
    }

    /// <summary>Its memory went back.</summary>
    internal bool IsClosed => _disposed;

    /// <summary>Gives a buffer of this tape back now; false if it is not this tape's.</summary>
    internal bool GiveBack(DeviceBuffer buffer)
    {
        if (!_owned.Contains(buffer)) return false;
        CopyBorrowers(buffer);
        _owned.Remove(buffer);
        buffer.Dispose();
        return true;
    }

    /// <summary>Makes a result that lies in the memory of its source. Only of what the tape owns: it copies what is still wanted before it gives that back, and nobody else can.</summary>
    internal bool TryBorrow(Tensor view)
    {
        if (!_owned.Contains(view.HeldIn)) return false;
        _borrowers.Add(view);
        return true;
    }

    /// <summary>The last chance of what lies in this memory to be copied.</summary>
    private void CopyBorrowers(DeviceBuffer lender)
    {
        if (_borrowers.Count == 0) return;
        foreach (var borrower in _borrowers.Where(b => b.HeldIn == lender).ToArray())
        {
            _borrowers.Remove(borrower);
            _ = borrower.Data;
        }
    }

    internal void Record(Op node)
    {
        _nodes.Add(node);
        if (!Differentiates) return;
        foreach (var input in node.Inputs)
        {
            if (node.BackwardReads(input) || node.CanRecompute) MarkRead(input.HeldIn);
        }
        if (node.BackwardReads(node.Output)) MarkRead(node.Output.HeldIn);
    }

    /// <summary>A backward pass will read this memory. It is the memory that is marked, not the tensor: others may show the same.</summary>
    internal void MarkRead(DeviceBuffer buffer)
    {
        for (var tape = this; tape != null; tape = tape._outer) tape._readBackward.Add(buffer); // it may be an outer tape's
    }

    /// <summary>The backward pass of a recorded node will read this memory.</summary>
    internal bool IsReadBackward(DeviceBuffer buffer) => _readBackward.Contains(buffer);

    private void CheckCanWalk(Tensor from)
    {
        if (!Differentiates) throw new InvalidOperationException("This tape computes no gradients. Open it with Tape.Train().");
        if (_walked) throw new InvalidOperationException("Backward ran on this tape already and gave its results back. Open a new tape for the next step.");
        if (!from.RequiresGrad)
            throw new InvalidOperationException("Backward: the result depends on no parameter or input that wants a gradient. Are all parameters frozen?");
        _walked = true;
    }

    private void Walk(Tensor root)
    {
        _retained.Add(root.Data.Buffer);
        for (int i = _nodes.Count - 1; i >= 0; i--)
        {
            var node = _nodes[i];
            var output = node.Output;
            if (output.HasGradient) node.RunBackward();
            // Everything that reads this result ran after it, so its reader's backward is done: only the node itself still needed it.
            output.ReleaseGradient();
            node.ReleaseSaved();
            _borrowers.Remove(output);
            if (!node.IsView && !output.IsDropped && !_retained.Contains(output.Data.Buffer)) GiveBack(output.Data.Buffer);
        }
        _nodes.Clear();
    }
}
