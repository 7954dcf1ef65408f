namespace RefConv.Kernels;

/// <summary>
/// What a thread works on at a time: four neighbouring channels (<see cref="Float4"/>) where every operand begins on a multiple of 16 bytes and the channels divide by
/// four, else one (<see cref="Float1"/>). Kernels are written once, over <typeparamref name="F"/>; ILGPU compiles one for each of the two that is used.
/// </summary>
internal interface ILanes<F> where F : unmanaged, ILanes<F>
{
    /// <summary>Floats.</summary>
    static abstract int Width { get; }

    static abstract F operator +(F a, F b);

    static abstract F operator -(F a, F b);

    static abstract F operator *(F a, F b);

    static abstract F operator *(float a, F b);

    static abstract F operator /(F a, F b);

    /// <summary>The same value in every lane.</summary>
    static abstract F Broadcast(float value);

    static abstract F Sqrt(F a);

    /// <summary>Lane by lane a ≤ b ? yes : no; what is no number is not ≤ anything.</summary>
    static abstract F AtMost(F a, F b, F yes, F no);

    /// <summary>The sum of the lanes.</summary>
    static abstract float Total(F a);

    /// <summary>The largest lane.</summary>
    static abstract float Largest(F a);

    static abstract F Activate(ActivationKind kind, F x);

    static abstract F Slope(ActivationKind kind, F x);

    /// <summary>Where a value is larger than the best so far, it and its number take their place. The first of equals stays; a NaN beats every number.</summary>
    static abstract void KeepLargest(ref F best, ref F number, F value, float valueNumber);

    /// <summary>The value where the number is <paramref name="wanted"/>, else 0.</summary>
    static abstract F Where(F number, float wanted, F value);

    /// <summary>a0 b0 a1 b1 …: the first Width of it.</summary>
    static abstract F InterleaveFirst(F a, F b);

    /// <summary>The rest of it.</summary>
    static abstract F InterleaveSecond(F a, F b);

    /// <summary>Of two that follow one another, elements 0 2 4 …</summary>
    static abstract F Even(F first, F second);

    /// <summary>Elements 1 3 5 …</summary>
    static abstract F Odd(F first, F second);
}

/// <summary>One float, for operands and channel counts that do not allow <see cref="Float4"/>.</summary>
internal struct Float1 : ILanes<Float1>
{
    public float X;

    public static int Width => 1;

    public static Float1 operator +(Float1 a, Float1 b) => new() { X = a.X + b.X };

    public static Float1 operator -(Float1 a, Float1 b) => new() { X = a.X - b.X };

    public static Float1 operator *(Float1 a, Float1 b) => new() { X = a.X * b.X };

    public static Float1 operator *(float a, Float1 b) => new() { X = a * b.X };

    public static Float1 operator /(Float1 a, Float1 b) => new() { X = a.X / b.X };

    public static Float1 Broadcast(float value) => new() { X = value };

    public static Float1 Sqrt(Float1 a) => new() { X = MathF.Sqrt(a.X) };

    public static Float1 AtMost(Float1 a, Float1 b, Float1 yes, Float1 no) => new() { X = a.X <= b.X ? yes.X : no.X };

    public static float Total(Float1 a) => a.X;

    public static float Largest(Float1 a) => a.X;

    public static Float1 Activate(ActivationKind kind, Float1 x) => new() { X = GpuActivation.Apply(kind, x.X) };

    public static Float1 Slope(ActivationKind kind, Float1 x) => new() { X = GpuActivation.Slope(kind, x.X) };

    public static void KeepLargest(ref Float1 best, ref Float1 number, Float1 value, float valueNumber) =>
        KeepLargest(ref best.X, ref number.X, value.X, valueNumber);

    public static Float1 Where(Float1 number, float wanted, Float1 value) => new() { X = number.X == wanted ? value.X : 0 };

    public static Float1 InterleaveFirst(Float1 a, Float1 b) => a;

    public static Float1 InterleaveSecond(Float1 a, Float1 b) => b;

    public static Float1 Even(Float1 first, Float1 second) => first;

    public static Float1 Odd(Float1 first, Float1 second) => second;

    public static void KeepLargest(ref float best, ref float number, float value, float valueNumber)
    {
        bool larger = value > best || (float.IsNaN(value) && !float.IsNaN(best));
        best = larger ? value : best;
        number = larger ? valueNumber : number;
    }
}

internal partial struct Float4 : ILanes<Float4>
{
    public static int Width => 4;

    public static Float4 operator -(Float4 a, Float4 b) => new() { X = a.X - b.X, Y = a.Y - b.Y, Z = a.Z - b.Z, W = a.W - b.W };

    public static Float4 operator /(Float4 a, Float4 b) => new() { X = a.X / b.X, Y = a.Y / b.Y, Z = a.Z / b.Z, W = a.W / b.W };

    public static Float4 Broadcast(float value) => new() { X = value, Y = value, Z = value, W = value };

    public static Float4 Sqrt(Float4 a) => new() { X = MathF.Sqrt(a.X), Y = MathF.Sqrt(a.Y), Z = MathF.Sqrt(a.Z), W = MathF.Sqrt(a.W) };

    public static Float4 AtMost(Float4 a, Float4 b, Float4 yes, Float4 no) => new()
    {
        X = a.X <= b.X ? yes.X : no.X, Y = a.Y <= b.Y ? yes.Y : no.Y, Z = a.Z <= b.Z ? yes.Z : no.Z, W = a.W <= b.W ? yes.W : no.W,
    };

    public static float Total(Float4 a) => (a.X + a.Y) + (a.Z + a.W);

    public static float Largest(Float4 a)
    {
        float low = a.X > a.Y ? a.X : a.Y, high = a.Z > a.W ? a.Z : a.W;
        return low > high ? low : high;
    }

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

    public static Float4 InterleaveFirst(Float4 a, Float4 b) => new() { X = a.X, Y = b.X, Z = a.Y, W = b.Y };

    public static Float4 InterleaveSecond(Float4 a, Float4 b) => new() { X = a.Z, Y = b.Z, Z = a.W, W = b.W };

    public static Float4 Even(Float4 first, Float4 second) => new() { X = first.X, Y = first.Z, Z = second.X, W = second.Z };

    public static Float4 Odd(Float4 first, Float4 second) => new() { X = first.Y, Y = first.W, Z = second.Y, W = second.W };
}
