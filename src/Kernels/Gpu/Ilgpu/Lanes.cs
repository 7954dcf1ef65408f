namespace RefConv.Kernels;

/// <summary>
/// What a kernel handles at a time: <see cref="Float4"/> where channel counts divide by 4 and operands begin on multiples of 16 bytes, <see cref="Float1"/>
/// otherwise. A kernel that is generic over it is written once; each of the two is compiled only where it is used.
/// </summary>
internal interface ILanes<F> where F : unmanaged, ILanes<F>
{
    static abstract F operator +(F a, F b);

    static abstract F operator -(F a, F b);

    static abstract F operator *(F a, F b);

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
}

/// <summary>One float, for operands that cannot be read four at a time.</summary>
internal struct Float1 : ILanes<Float1>
{
    public float X;

    public static Float1 operator +(Float1 a, Float1 b) => new() { X = a.X + b.X };

    public static Float1 operator -(Float1 a, Float1 b) => new() { X = a.X - b.X };

    public static Float1 operator *(Float1 a, Float1 b) => new() { X = a.X * b.X };

    public static Float1 operator /(Float1 a, Float1 b) => new() { X = a.X / b.X };

    public static Float1 Broadcast(float value) => new() { X = value };

    public static Float1 Sqrt(Float1 a) => new() { X = MathF.Sqrt(a.X) };

    public static Float1 AtMost(Float1 a, Float1 b, Float1 yes, Float1 no) => new() { X = a.X <= b.X ? yes.X : no.X };

    public static float Total(Float1 a) => a.X;

    public static float Largest(Float1 a) => a.X;
}

internal partial struct Float4 : ILanes<Float4>
{
    public static Float4 operator -(Float4 a, Float4 b) => new() { X = a.X - b.X, Y = a.Y - b.Y, Z = a.Z - b.Z, W = a.W - b.W };

    public static Float4 operator /(Float4 a, Float4 b) => new() { X = a.X / b.X, Y = a.Y / b.Y, Z = a.Z / b.Z, W = a.W / b.W };

    public static Float4 Broadcast(float value) => new() { X = value, Y = value, Z = value, W = value };

    public static Float4 Sqrt(Float4 a) => new() { X = MathF.Sqrt(a.X), Y = MathF.Sqrt(a.Y), Z = MathF.Sqrt(a.Z), W = MathF.Sqrt(a.W) };

    public static Float4 AtMost(Float4 a, Float4 b, Float4 yes, Float4 no) => new()
    {
        X = a.X <= b.X ? yes.X : no.X,
        Y = a.Y <= b.Y ? yes.Y : no.Y,
        Z = a.Z <= b.Z ? yes.Z : no.Z,
        W = a.W <= b.W ? yes.W : no.W,
    };

    public static float Total(Float4 a) => (a.X + a.Y) + (a.Z + a.W);

    public static float Largest(Float4 a)
    {
        float low = a.X > a.Y ? a.X : a.Y, high = a.Z > a.W ? a.Z : a.W;
        return low > high ? low : high;
    }
}
