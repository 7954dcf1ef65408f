using RefConv.Kernels;

namespace RefConv;

/// <summary>2-d convolution. See <see cref="IKernels.Conv2dForward"/>.</summary>
public sealed class Conv2dOp : Op
{
    private readonly Tensor _x, _w;
    private readonly Tensor? _b;
    private readonly bool _moments;

    internal Conv2dOp(Tensor x, Tensor w, Tensor? b, Conv2dOptions options, bool moments, string? name)
        : base("Conv2d", name, b == null ? [x, w] : [x, w, b])
    {
        (_x, _w, _b, _moments) = (x, w, b, moments);
        if (x.Shape.Rank != 4) throw Bad($"the input must be [n, h, w, c], it is {x.Shape}.");
        if (w.Shape.Rank != 4) throw Bad($"the weight must be [kh, kw, in/groups, out], it is {w.Shape}.");
        int groups = options.Groups, c = x.Shape[3], k = w.Shape[3];
        if (groups < 1 || c % groups != 0 || k % groups != 0)
            throw Bad($"groups={groups} must divide the {c} input and {k} output channels.");
        if (c / groups != w.Shape[2])
        {
            string hint = c % w.Shape[2] == 0 && k % (c / w.Shape[2]) == 0 ? $" Use groups={c / w.Shape[2]}?" : "";
            throw Bad($"input has {c} channels, weight [out {k}, in {w.Shape[2]}, {w.Shape[0]}, {w.Shape[1]}] with groups={groups} expects {w.Shape[2] * groups} (input {x.Shape[0]}×{x.Shape[1]}×{x.Shape[2]}×{c}).{hint}");
        }
        if (b != null && (b.Shape.Rank != 1 || b.Shape[0] != k)) throw Bad($"the bias must be [{k}], it is {b.Shape}.");
        if (Math.Min(options.StrideH, options.StrideW) < 1) throw Bad($"stride must be at least 1, it is {options.StrideH}×{options.StrideW}.");
        if (Math.Min(options.DilationH, options.DilationW) < 1) throw Bad($"dilation must be at least 1, it is {options.DilationH}×{options.DilationW}.");
        Geometry = options.ToGeometry(x.Shape, k, (w.Shape[0], w.Shape[1]));
        if (Geometry.P < 1 || Geometry.Q < 1)
            throw Bad($"the input {x.Shape[1]}×{x.Shape[2]} is smaller than the kernel {w.Shape[0]}×{w.Shape[1]} with dilation {options.DilationH}×{options.DilationW} and padding {options.PadTop}. Add padding or use a larger image.");
    }

    /// <summary>The whole shape.</summary>
    public Conv2dGeometry Geometry { get; }

    internal Tensor Input => _x;

    internal Tensor Weight => _w;

    internal Tensor? Bias => _b;

    /// <inheritdoc/>
    public override long Macs => Geometry.Macs;

    /// <inheritdoc/>
    public override string Attributes => Geometry.ToString();

    /// <inheritdoc/>
    internal override bool ReadsStrided(Tensor input) =>
        input == _x && input != _w && input != _b && input.Device.CanReadStrided(Geometry);

    /// <summary>The shape with the distance of the input's pixels, and the input where it lies, if the device can read it there; a dense copy of it otherwise.</summary>
    internal Conv2dGeometry Reading(out BufferView x)
    {
        bool strided = _x.IsDropped && ReadsStrided(_x);
        x = strided ? _x.Strided.FromFirst : _x.Data;
        return strided ? Geometry with { InputPitch = _x.Strided.Pitch } : Geometry;
    }

    internal Tensor Run() => Run(new Shape(Geometry.N, Geometry.P, Geometry.Q, Geometry.K));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        // Only where a backward pass will come: elsewhere what an operation saves is given back before the next one could read it.
        if (_moments && Output.RequiresGrad) Output.Moments = Save(2L * Geometry.K);
        // What a backward pass reads in its source keeps all of that: where nobody else reads it, a copy of the run takes less.
        if (_x.IsDropped && Tape.Differentiates && BackwardReads(_x) && !Tape.IsReadBackward(_x.HeldIn)) _ = _x.Data;
        var g = Reading(out var x);
        kernels.Conv2dForward(g, x, _w.Data, _b?.Data ?? default, Output.Data, Output.Moments);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => (tensor == _x && Needs(_w)) || (tensor == _w && Needs(_x));

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_w))
        {
            var g = Reading(out var x);
            kernels.Conv2dWeightGradient(g, x, dy, Gradient(_w, out bool accumulate), accumulate);
        }
        if (Needs(_b))
        {
            var rows = new ReduceGeometry(1, dy.Length / Geometry.K, Geometry.K);
            kernels.ReduceSum(rows, dy, Gradient(_b!, out bool accumulate), 1, accumulate);
        }
        if (!Needs(_x)) return;
        if (ReadsStrided(_x) && _x.Producer is SliceOp)
        {
            var dx = StridedGradient(_x, out bool accumulate);
            kernels.Conv2dInputGradient(Geometry with { InputPitch = dx.Pitch }, dy, _w.Data, dx.FromFirst, accumulate);
        }
        else
        {
            kernels.Conv2dInputGradient(Geometry, dy, _w.Data, Gradient(_x, out bool accumulate), accumulate);
        }
    }
}

/// <summary>Everything of a convolution but its tensors.</summary>
/// <param name="Groups">Channel groups.</param>
public readonly record struct Conv2dOptions(int Groups)
{
    /// <summary>Stride 1, no padding, no dilation, one group. (Without this constructor <c>new()</c> would mean all zeros.)</summary>
    public Conv2dOptions()
        : this(1)
    {
    }

    /// <summary>As <c>torch.nn.Conv2d</c> takes them: one number for both axes and all sides.</summary>
    public Conv2dOptions(int stride, int padding, int dilation, int groups)
        : this(groups)
    {
        StrideH = StrideW = stride;
        PadTop = PadBottom = PadLeft = PadRight = padding;
        DilationH = DilationW = dilation;
    }

    /// <summary>Step between output rows.</summary>
    public int StrideH { get; init; } = 1;

    /// <summary>Step between output columns.</summary>
    public int StrideW { get; init; } = 1;

    /// <summary>Zero rows above; negative crops.</summary>
    public int PadTop { get; init; }

    /// <summary>Zero rows below; negative crops.</summary>
    public int PadBottom { get; init; }

    /// <summary>Zero columns on the left; negative crops.</summary>
    public int PadLeft { get; init; }

    /// <summary>Zero columns on the right; negative crops.</summary>
    public int PadRight { get; init; }

    /// <summary>Distance between kernel rows.</summary>
    public int DilationH { get; init; } = 1;

    /// <summary>Distance between kernel columns.</summary>
    public int DilationW { get; init; } = 1;

    /// <summary>The whole shape, with the input and the kernel that these options are for.</summary>
    internal Conv2dGeometry ToGeometry(Shape input, int outChannels, (int H, int W) kernelSize) =>
        new(input[0], input[1], input[2], input[3], outChannels, kernelSize.H, kernelSize.W)
        {
            StrideH = StrideH,
            StrideW = StrideW,
            PadTop = PadTop,
            PadBottom = PadBottom,
            PadLeft = PadLeft,
            PadRight = PadRight,
            DilationH = DilationH,
            DilationW = DilationW,
            Groups = Groups,
        };
}
