namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void ActivationForward(ActivationKind kind, BufferView x, BufferView y)
    {
        var xs = S(x);
        var ys = S(y);
        for (int i = 0; i < ys.Length; i++) ys[i] = Activate(kind, xs[i]);
    }

    public void ActivationBackward(ActivationKind kind, BufferView x, BufferView dy, BufferView dx, bool accumulate)
    {
        var xs = S(x);
        var dys = S(dy);
        var dxs = S(dx);
        for (int i = 0; i < dxs.Length; i++) Put(ref dxs[i], ActivationSlope(kind, xs[i]) * dys[i], accumulate);
    }

    /// <summary>f(x)</summary>
    private static double Activate(ActivationKind kind, double x) => kind switch
    {
        ActivationKind.Identity => x,
        ActivationKind.ReLU => Math.Max(x, 0),
        ActivationKind.ReLU6 => Math.Min(Math.Max(x, 0), 6),
        ActivationKind.Hardsigmoid => Math.Min(Math.Max(x + 3, 0), 6) / 6,
        ActivationKind.Hardswish => x * Math.Min(Math.Max(x + 3, 0), 6) / 6,
        ActivationKind.Sigmoid => Sigmoid(x),
        ActivationKind.SiLU => x * Sigmoid(x),
        ActivationKind.GELU => x * NormalDistribution(x),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not an activation the kernels know."),
    };

    /// <summary>f′(x)</summary>
    private static double ActivationSlope(ActivationKind kind, double x) => kind switch
    {
        ActivationKind.Identity => 1,
        ActivationKind.ReLU => x > 0 ? 1 : 0,
        ActivationKind.ReLU6 => x > 0 && x < 6 ? 1 : 0,
        ActivationKind.Hardsigmoid => x > -3 && x < 3 ? 1.0 / 6 : 0,
        ActivationKind.Hardswish => x > -3 ? x < 3 ? (x / 3) + 0.5 : 1 : 0,
        ActivationKind.Sigmoid => Sigmoid(x) * (1 - Sigmoid(x)),
        ActivationKind.SiLU => Sigmoid(x) * (1 + (x * (1 - Sigmoid(x)))),
        ActivationKind.GELU => NormalDistribution(x) + (x * Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI)),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not an activation the kernels know."),
    };

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>P(Z ≤ x) for a standard normal Z: ½·(1 + erf(x/√2)).</summary>
    private static double NormalDistribution(double x) => 0.5 * ErrorFunction.Erfc(-x / Math.Sqrt(2));
}
