namespace RefConv.Kernels;

/// <summary>
/// What a thread works on at a time: four neighbouring channels (<see cref="Float4"/>) where every operand begins on 16 bytes and the channels divide by four, else
/// one (<see cref="Float1"/>). Kernels are written once, over <typeparamref name="L"/>; ILGPU compiles one for each lane that is used.
/// </summary>
internal interface ILane<L> where L : unmanaged, ILane<L>
{
    /// <summary>Floats.</summary>
    static abstract int Width { get; }

    /// <summary>One value in every place.</summary>
    static abstract L Of(float value);

    static abstract L operator +(L a, L b);

    static abstract L operator *(L a, L b);

    static abstract L operator *(float a, L b);

    static abstract L Activate(ActivationKind kind, L x);

    static abstract L Slope(ActivationKind kind, L x);

    /// <summary>Where a value is larger than the best so far, it and its number take their place. The first of equals stays; a NaN beats every number.</summary>
    static abstract void KeepLargest(ref L best, ref L number, L value, float valueNumber);

    /// <summary>The value where the number is <paramref name="wanted"/>, else 0.</summary>
    static abstract L Where(L number, float wanted, L value);
}

/// <summary>One float, for operands and channel counts that do not allow <see cref="Float4"/>.</summary>
internal struct Float1 : ILane<Float1>
{
    public float X;

    public static int Width => 1;

    public static Float1 Of(float value) => new() { X = value };

    public static Float1 operator +(Float1 a, Float1 b) => new() { X = a.X + b.X };

    public static Float1 operator *(Float1 a, Float1 b) => new() { X = a.X * b.X };

    public static Float1 operator *(float a, Float1 b) => new() { X = a * b.X };

    public static Float1 Activate(ActivationKind kind, Float1 x) => new() { X = GpuActivation.Apply(kind, x.X) };

    public static Float1 Slope(ActivationKind kind, Float1 x) => new() { X = GpuActivation.Slope(kind, x.X) };

    public static void KeepLargest(ref Float1 best, ref Float1 number, Float1 value, float valueNumber) =>
        KeepLargest(ref best.X, ref number.X, value.X, valueNumber);

    public static Float1 Where(Float1 number, float wanted, Float1 value) => new() { X = number.X == wanted ? value.X : 0 };

    public static void KeepLargest(ref float best, ref float number, float value, float valueNumber)
    {
        bool larger = value > best || (float.IsNaN(value) && !float.IsNaN(best));
        best = larger ? value : best;
        number = larger ? valueNumber : number;
    }
}

internal partial struct Float4 : ILane<Float4>
{
    public static int Width => 4;

    public static Float4 Of(float value) => new() { X = value, Y = value, Z = value, W = value };

    public static Float4 Activate(ActivationKind kind, Float4 x) => GpuActivation.Apply(kind, x);

    public static Float4 Slope(ActivationKind kind, Float4 x) => new()
    {
        X = GpuActivation.Slope(kind, x.X), Y = GpuActivation.Slope(kind, x.Y), Z = GpuActivation.Slope(kind, x.Z), W = GpuActivation.Slope(kind, x.W),
    };

    public static void KeepLargest(ref Float4 best, ref Float4 number, Float4 value, float valueNumber)
    {
        Float1.KeepLargest(ref best.X, ref number.X, value.X, valueNumber);
        Float1.KeepLargest(ref best.Y, ref number.Y, value.Y, valueNumber);
        Float1.KeepLargest(ref best.Z, ref number.Z, value.Z, valueNumber);
        Float1.KeepLargest(ref best.W, ref number.W, value.W, valueNumber);
    }

    public static Float4 Where(Float4 number, float wanted, Float4 value) => new()
    {
        X = number.X == wanted ? value.X : 0, Y = number.Y == wanted ? value.Y : 0, Z = number.Z == wanted ? value.Z : 0, W = number.W == wanted ? value.W : 0,
    };
}
