namespace RefConv.Kernels;

/// <summary>The activations on one value, for kernels that apply one to their result: f(x) and f′(x). The kind is the same for a whole launch, so no thread diverges.</summary>
internal static class GpuActivation
{
    public static float Apply(ActivationKind kind, float x)
    {
        if (kind == ActivationKind.Identity) return x;
        if (kind == ActivationKind.ReLU) return x < 0 ? 0 : x; // NaN stays
        if (kind == ActivationKind.ReLU6) return Relu6(x);
        if (kind == ActivationKind.Hardsigmoid) return Relu6(x + 3) * (1f / 6);
        if (kind == ActivationKind.Hardswish) return x * (Relu6(x + 3) * (1f / 6));
        if (kind == ActivationKind.Sigmoid) return Sigmoid(x);
        if (kind == ActivationKind.SiLU) return x * Sigmoid(x);
        return x * NormalDistribution(x);
    }

    /// <summary>f′(x), at the kinks as <see cref="IKernels.ActivationBackward"/> says.</summary>
    public static float Slope(ActivationKind kind, float x)
    {
        if (kind == ActivationKind.Identity) return 1;
        if (kind == ActivationKind.ReLU) return x > 0 ? 1 : 0;
        if (kind == ActivationKind.ReLU6) return x > 0 && x < 6 ? 1 : 0;
        if (kind == ActivationKind.Hardsigmoid) return x > -3 && x < 3 ? 1f / 6 : 0;
        if (kind == ActivationKind.Hardswish) return x <= -3 ? 0 : x < 3 ? (x * (1f / 3)) + 0.5f : 1;
        float s = Sigmoid(x);
        if (kind == ActivationKind.Sigmoid) return s * (1 - s);
        if (kind == ActivationKind.SiLU) return s * (1 + (x * (1 - s)));
        return NormalDistribution(x) + (x * 0.398942280401f * MathF.Exp(-0.5f * x * x)); // φ(x) = e^(−x²/2)/√(2π)
    }

    private static float Relu6(float x) => x < 0 ? 0 : x > 6 ? 6 : x;

    private static float Sigmoid(float x) => 1 / (1 + MathF.Exp(-x));

    /// <summary>Φ(x): the formula of the processor's kernels, which see for its source.</summary>
    private static float NormalDistribution(float x)
    {
        float t = 1 / (1 + (0.353553390593f * (x < 0 ? -x : x)));
        float p = (0.17087277f * t) - 0.82215223f;
        p = (p * t) + 1.48851587f;
        p = (p * t) - 1.13520398f;
        p = (p * t) + 0.27886807f;
        p = (p * t) - 0.18628806f;
        p = (p * t) + 0.09678418f;
        p = (p * t) + 0.37409196f;
        p = (p * t) + 1.00002368f;
        p = (p * t) - 1.26551223f;
        float half = 0.5f * t * MathF.Exp((-0.5f * x * x) + p);
        return x > 0 ? 1 - half : half;
    }
}
