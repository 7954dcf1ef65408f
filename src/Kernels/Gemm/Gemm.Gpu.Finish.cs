using ILGPU;

namespace RefConv.Kernels;

/// <summary>What becomes of the sums of a tile: <c>y = act(sum + b + residual)</c>, or the sums as they are when others are to be added to them.</summary>
internal static class ProductFinish
{
    /// <summary>Element of Y at which a row of this group and split begins.</summary>
    public static int RowStart(ProductArguments a, int row, int group, int split)
    {
        int start = (group * a.GroupY) + (split * a.SplitY) + a.FirstY;
        if (a.IsDense != 0) return start + (row * a.PitchY);
        int image = row / (a.Pixels.H * a.Pixels.W);
        int inImage = row - (image * a.Pixels.H * a.Pixels.W);
        int p = inImage / a.Pixels.W;
        return start + (image * a.ImageY) + (p * a.StrideYH) + ((inImage - (p * a.Pixels.W)) * a.StrideYW);
    }

    public static Float4 Bias(ProductArguments a, int column, int group, bool isWide)
    {
        Float4 b = default;
        if (a.HasBias == 0) return b;
        int i = (group * a.Columns) + column;
        if (isWide) return column < a.Columns ? a.Bias.Cast<Float4>()[i >> 2] : b;
        if (column < a.Columns) b.X = a.Bias[i];
        if (column + 1 < a.Columns) b.Y = a.Bias[i + 1];
        if (column + 2 < a.Columns) b.Z = a.Bias[i + 2];
        if (column + 3 < a.Columns) b.W = a.Bias[i + 3];
        return b;
    }

    public static void Quad(ProductArguments a, int rowStart, int column, Float4 sum, Float4 bias, bool isWide)
    {
        if (column >= a.Columns) return;
        Float4 v = sum + bias;
        if (isWide)
        {
            int i = (rowStart + column) >> 2;
            if (a.HasResidual != 0) v += a.Residual.Cast<Float4>()[i];
            if (a.Activation.IsGiven != 0) v = new() { X = a.Activation.Apply(v.X), Y = a.Activation.Apply(v.Y), Z = a.Activation.Apply(v.Z), W = a.Activation.Apply(v.W) };
            a.Y.Cast<Float4>()[i] = v;
            return;
        }
        int start = rowStart + (column * a.ColumnY);
        One(a, start, v.X);
        if (column + 1 < a.Columns) One(a, start + a.ColumnY, v.Y);
        if (column + 2 < a.Columns) One(a, start + (2 * a.ColumnY), v.Z);
        if (column + 3 < a.Columns) One(a, start + (3 * a.ColumnY), v.W);
    }

    /// <summary>Two neighbouring columns, bias added already.</summary>
    public static void Pair(ProductArguments a, int start, float x, float y)
    {
        Float2 v = new() { X = x, Y = y };
        if (a.HasResidual != 0)
        {
            Float2 r = a.Residual.Cast<Float2>()[start >> 1];
            v.X += r.X;
            v.Y += r.Y;
        }
        if (a.Activation.IsGiven != 0)
        {
            v.X = a.Activation.Apply(v.X);
            v.Y = a.Activation.Apply(v.Y);
        }
        a.Y.Cast<Float2>()[start >> 1] = v;
    }

    private static void One(ProductArguments a, int i, float v)
    {
        if (a.HasResidual != 0) v += a.Residual[i];
        a.Y[i] = a.Activation.IsGiven != 0 ? a.Activation.Apply(v) : v;
    }
}

/// <summary>
/// All activations but GELU in one form: <c>t = clamp(v · Scale + Shift, Low, High)</c> or the sigmoid of v, and then <c>t</c> or <c>v · t</c>. Written out one by one
/// they would be most of a product kernel's code.
/// </summary>
internal struct ProductActivation
{
    public int IsGiven, IsSigmoid, IsTimesInput;
    public float Scale, Shift, Low, High;

    /// <summary>The kind in this form; not given if it has none (<see cref="IsOne"/>).</summary>
    public static ProductActivation Of(ActivationKind kind) => kind switch
    {
        ActivationKind.ReLU => new() { IsGiven = 1, Scale = 1, High = float.PositiveInfinity },
        ActivationKind.ReLU6 => new() { IsGiven = 1, Scale = 1, High = 6 },
        ActivationKind.Hardsigmoid => new() { IsGiven = 1, Scale = 1f / 6, Shift = 0.5f, High = 1 },
        ActivationKind.Hardswish => new() { IsGiven = 1, Scale = 1f / 6, Shift = 0.5f, High = 1, IsTimesInput = 1 },
        ActivationKind.Sigmoid => new() { IsGiven = 1, IsSigmoid = 1 },
        ActivationKind.SiLU => new() { IsGiven = 1, IsSigmoid = 1, IsTimesInput = 1 },
        _ => default,
    };

    /// <summary>Whether a kind has this form.</summary>
    public static bool IsOne(ActivationKind kind) => kind != ActivationKind.GELU;

    public readonly float Apply(float v)
    {
        float t;
        if (IsSigmoid != 0)
        {
            t = 1 / (1 + MathF.Exp(-v));
        }
        else
        {
            t = (v * Scale) + Shift;
            t = t < Low ? Low : t; // NaN stays
            t = t > High ? High : t;
        }
        return IsTimesInput != 0 ? v * t : t;
    }
}
