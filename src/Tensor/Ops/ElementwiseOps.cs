using RefConv.Kernels;

namespace RefConv;

/// <summary>An activation function applied to every element.</summary>
public sealed class ActivationOp : Op
{
    private readonly Tensor _x;

    internal ActivationOp(Tensor x, ActivationKind function, string? name)
        : base(function.ToString(), name, x) => (_x, Function) = (x, function);

    /// <summary>Which function.</summary>
    public ActivationKind Function { get; }

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.ActivationForward(Function, _x.Data, Output.Data);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor == _x;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) =>
        kernels.ActivationBackward(Function, _x.Data, dy, Gradient(_x, out bool accumulate), accumulate);
}

/// <summary>Sum of two tensors of one shape.</summary>
public sealed class AddOp : Op
{
    private readonly Tensor _a, _b;

    internal AddOp(Tensor a, Tensor b, string? name)
        : base("Add", name, a, b)
    {
        (_a, _b) = (a, b);
        if (a.Shape != b.Shape) throw Bad($"shapes {a.Shape} and {b.Shape} differ.");
    }

    internal Tensor Run() => Run(_a.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.Add(_a.Data, _b.Data, Output.Data);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_a) && Needs(_b)) kernels.Scale(dy, Gradient(_b, out bool accumulate), 1, accumulate);
        PassGradient(kernels, Needs(_a) ? _a : _b);
    }
}

/// <summary>Product of two tensors of one shape.</summary>
public sealed class MultiplyOp : Op
{
    private readonly Tensor _a, _b;

    internal MultiplyOp(Tensor a, Tensor b, string? name)
        : base("Multiply", name, a, b)
    {
        (_a, _b) = (a, b);
        if (a.Shape != b.Shape) throw Bad($"shapes {a.Shape} and {b.Shape} differ. To scale channels give [n, 1, 1, c].");
    }

    internal Tensor Run() => Run(_a.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.Multiply(_a.Data, _b.Data, Output.Data, accumulate: false);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => (tensor == _a && Needs(_b)) || (tensor == _b && Needs(_a));

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_a)) kernels.Multiply(dy, _b.Data, Gradient(_a, out bool accumulate), accumulate);
        if (Needs(_b)) kernels.Multiply(dy, _a.Data, Gradient(_b, out bool accumulate), accumulate);
    }
}

/// <summary>A feature map times one factor per image and channel (squeeze-excitation, attention).</summary>
public sealed class MultiplyChannelsOp : Op
{
    private readonly Tensor _x, _s;
    private readonly BroadcastGeometry _g;

    internal MultiplyChannelsOp(Tensor x, Tensor s, string? name)
        : base("MultiplyChannels", name, x, s)
    {
        (_x, _s) = (x, s);
        int c = x.Shape[-1];
        bool perImage = s.Shape.Count == (long)x.Shape[0] * c, shared = s.Shape.Count == c;
        if (s.Shape[-1] != c || !(perImage || shared)) throw Bad($"factors {s.Shape} do not match {x.Shape}: give [n, 1, 1, c] or [1, 1, 1, c].");
        int n = perImage ? x.Shape[0] : 1;
        _g = new BroadcastGeometry(n, x.Shape.Count / ((long)n * c), c);
    }

    /// <inheritdoc/>
    public override string Attributes => _g.ToString();

    internal Tensor Input => _x;

    internal Tensor Factors => _s;

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.MultiplyChannels(_g, _x.Data, _s.Data, Output.Data, accumulate: false);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => (tensor == _x && Needs(_s)) || (tensor == _s && Needs(_x));

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_s)) kernels.MultiplyChannelsScaleGradient(_g, _x.Data, dy, Gradient(_s, out bool accumulate), accumulate);
        if (Needs(_x)) kernels.MultiplyChannels(_g, dy, _s.Data, Gradient(_x, out bool accumulate), accumulate);
    }
}

/// <summary>A number added to every element.</summary>
public sealed class ShiftOp : Op
{
    private readonly Tensor _x;
    private readonly double _amount;

    internal ShiftOp(Tensor x, double amount, string? name)
        : base("Shift", name, x) => (_x, _amount) = (x, amount);

    /// <summary>The number.</summary>
    public double Amount => _amount;

    /// <inheritdoc/>
    public override string Attributes => $"{_amount}";

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        kernels.Scale(_x.Data, Output.Data, 1, accumulate: false);
        kernels.Fill(Output.Data, _amount, accumulate: true);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) => PassGradient(kernels, _x);
}

/// <summary>Random zeros while training. See <see cref="IKernels.Dropout"/>.</summary>
public sealed class DropoutOp : Op
{
    private readonly Tensor _x;
    private readonly double _p;
    private readonly ulong _seed, _stream;

    internal DropoutOp(Tensor x, double p, ulong seed, ulong stream, string? name)
        : base("Dropout", name, x)
    {
        (_x, _p, _seed, _stream) = (x, p, seed, stream);
        if (!(p >= 0 && p < 1)) throw Bad($"p must be at least 0 and below 1, it is {p}.");
    }

    internal override bool IsForTraining => true;

    /// <inheritdoc/>
    public override string Attributes => $"p={_p}";

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.Dropout(_seed, _stream, _p, _x.Data, Output.Data, accumulate: false);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) =>
        kernels.Dropout(_seed, _stream, _p, dy, Gradient(_x, out bool accumulate), accumulate);
}
