using ILGPU;

namespace RefConv.Kernels;

/// <summary>Four neighbouring floats of a map row, loaded at once where everything is aligned, one by one where it is not.</summary>
internal interface IRefocusQuads
{
    /// <summary>Four floats from a place on; those past the end of the row, of which <paramref name="left"/> are left, are 0.</summary>
    Float4 Load(ArrayView<float> view, int at, int left);

    /// <summary>Stores those of the four that lie before the end of the row.</summary>
    void Store(ArrayView<float> view, int at, int left, Float4 value);
}

/// <summary>Rows that begin on 16 bytes and are a multiple of four long.</summary>
internal readonly struct WideQuads : IRefocusQuads
{
    public Float4 Load(ArrayView<float> view, int at, int left) => view.Cast<Float4>()[at >> 2];

    public void Store(ArrayView<float> view, int at, int left, Float4 value) => view.Cast<Float4>()[at >> 2] = value;
}

/// <summary>Any rows. The lines are in the first-level cache after the first of four loads.</summary>
internal readonly struct NarrowQuads : IRefocusQuads
{
    public Float4 Load(ArrayView<float> view, int at, int left)
    {
        var value = new Float4 { X = view[at] };
        if (left > 1) value.Y = view[at + 1];
        if (left > 2) value.Z = view[at + 2];
        if (left > 3) value.W = view[at + 3];
        return value;
    }

    public void Store(ArrayView<float> view, int at, int left, Float4 value)
    {
        view[at] = value.X;
        if (left > 1) view[at + 1] = value.Y;
        if (left > 2) view[at + 2] = value.Z;
        if (left > 3) view[at + 3] = value.W;
    }
}

/// <summary>What becomes of the gradient of the map: written, added, or used up by a step of the optimiser in the place where it was computed.</summary>
internal struct RefocusMapTarget
{
    public const int Write = 0, Add = 1, Step = 2, FirstStep = 3, MomentumStep = 4;

    /// <summary>The gradient's memory, or the weights that are updated.</summary>
    public ArrayView<float> Map;

    public ArrayView<float> Velocity;

    public int Mode;

    public RefocusSgd Constants;

    /// <summary>The velocities before the first step were never written.</summary>
    public readonly bool ReadsVelocity => Mode == MomentumStep;

    /// <summary>New values of four weights (or of the stored gradient); their velocities are updated. Branches once for all four: a branch an element would be most of the code.</summary>
    public readonly Float4 Next(Float4 gradient, Float4 old, ref Float4 velocity)
    {
        if (Mode == Write) return gradient;
        if (Mode == Add) return old + gradient;
        return Constants.Next(gradient, old, ref velocity, Mode);
    }
}

/// <summary>Constants of <see cref="IKernels.SgdStep"/>, and its step for one weight, in its order of operations: the fused step must give its bits.</summary>
internal struct RefocusSgd(in SgdStepGeometry g)
{
    public float LearningRate = (float)g.LearningRate, Momentum = (float)g.Momentum, WeightDecay = (float)g.WeightDecay;
    public int Nesterov = g.Nesterov ? 1 : 0;

    public readonly Float4 Next(Float4 gradient, Float4 weight, ref Float4 velocity, int mode)
    {
        var d = (WeightDecay * weight) + gradient;
        if (mode != RefocusMapTarget.Step)
        {
            if (mode == RefocusMapTarget.FirstStep) velocity = d;
            else velocity = (Momentum * velocity) + d;
            if (Nesterov != 0) d = (Momentum * velocity) + d;
            else d = velocity;
        }
        return weight + (-LearningRate * d); // the bits of w − η·d: a sign costs no rounding
    }
}
