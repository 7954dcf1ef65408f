namespace RefConv.Kernels;

/// <summary>The activations on one value, for kernels that apply one to their result: f(x) and f′(x). The kind is the same for a whole launch, so no thread diverges.</summary>
internal static class GpuActivation
{
    public static float Apply(ActivationKind kind, float x)
    {
        if (kind == ActivationKind.Identity) return x;
        if (kind == ActivationKind.ReLU) return Relu(x);
        if (kind == ActivationKind.ReLU6) return Relu6(x);
        if (kind == ActivationKind.Hardsigmoid) return Relu6(x + 3) * (1f / 6);
        if (kind == ActivationKind.Hardswish) return x * (Relu6(x + 3) * (1f / 6));
        if (kind == ActivationKind.Sigmoid) return Sigmoid(x);
        if (kind == ActivationKind.SiLU) return x * Sigmoid(x);
        return x * NormalDistribution(x);
    }

    /// <summary>The same of four values, asking for the kind once.</summary>
    public static Float4 Apply(ActivationKind kind, Float4 x)
    {
        if (kind == ActivationKind.Identity) return x;
        if (kind == ActivationKind.ReLU) return new() { X = Relu(x.X), Y = Relu(x.Y), Z = Relu(x.Z), W = Relu(x.W) };
        if (kind == ActivationKind.ReLU6) return Relu6(x);
        if (kind == ActivationKind.Hardsigmoid) return (1f / 6) * Relu6(x + Float4.Broadcast(3));
        if (kind == ActivationKind.Hardswish) return x * ((1f / 6) * Relu6(x + Float4.Broadcast(3)));
        if (kind == ActivationKind.Sigmoid) return Sigmoid(x);
        if (kind == ActivationKind.SiLU) return x * Sigmoid(x);
        return x * new Float4() { X = NormalDistribution(x.X), Y = NormalDistribution(x.Y), Z = NormalDistribution(x.Z), W = NormalDistribution(x.W) };
    }

    /// <remarks>1f and 0f, not 1 and 0: of a comparison turned into a whole number and that into a float, ILGPU's OpenCL makes the float with the bits of the whole number.</remarks>
    /// <summary>f′(x), at the kinks as <see cref="IKernels.ActivationBackward"/> says.</summary>
    public static float Slope(ActivationKind kind, float x)
    {
        if (kind == ActivationKind.Identity) return 1;
        if (kind == ActivationKind.ReLU) return x > 0 ? 1f : 0f;
        if (kind == ActivationKind.ReLU6) return x > 0 ? x < 6 ? 1f : 0f : 0f;
        if (kind == ActivationKind.Hardsigmoid) return x > -3 ? x < 3 ? 1f / 6 : 0f : 0f;
        if (kind == ActivationKind.Hardswish) return x > -3 ? x < 3 ? (x * (1f / 3)) + 0.5f : 1f : 0f;
        float s = Sigmoid(x);
        if (kind == ActivationKind.Sigmoid) return s * (1 - s);
        if (kind == ActivationKind.SiLU) return s * (1 + (x * (1 - s)));
        return NormalDistribution(x) + (x * 0.398942280401f * MathF.Exp(-0.5f * x * x)); // φ(x) = e^(−x²/2)/√(2π)
    }

    // Of NaN both comparisons are false: it stays.
    private static float Relu(float x) => x < 0 ? 0f : x;

    private static float Relu6(float x) => x < 0 ? 0f : x > 6 ? 6f : x;

    private static Float4 Relu6(Float4 x) => new() { X = Relu6(x.X), Y = Relu6(x.Y), Z = Relu6(x.Z), W = Relu6(x.W) };

    private static float Sigmoid(float x) => 1 / (1 + MathF.Exp(-x));

    private static Float4 Sigmoid(Float4 x) => new() { X = Sigmoid(x.X), Y = Sigmoid(x.Y), Z = Sigmoid(x.Z), W = Sigmoid(x.W) };

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
