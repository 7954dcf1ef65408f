namespace RefConv.Kernels;

/// <summary>A function of one or two elements, for the kernels that go through memory element by element: f(a, b).</summary>
internal interface IGpuFunction
{
    /// <summary>Whether a matters; where not, it is not read.</summary>
    static abstract bool ReadsA { get; }

    /// <summary>Whether b matters.</summary>
    static abstract bool ReadsB { get; }

    static abstract L Apply<L>(FunctionParameters parameters, L a, L b) where L : unmanaged, ILanes<L>;
}

/// <summary>What is the same for all elements.</summary>
internal struct FunctionParameters
{
    public float Factor;
    public ActivationKind Kind;
}

internal sealed partial class GpuKernels
{
    /// <summary>factor</summary>
    internal struct ConstantFunction : IGpuFunction
    {
        public static bool ReadsA => false;

        public static bool ReadsB => false;

        public static L Apply<L>(FunctionParameters parameters, L a, L b) where L : unmanaged, ILanes<L> => L.Broadcast(parameters.Factor);
    }

    /// <summary>factor · a</summary>
    internal struct ScaleFunction : IGpuFunction
    {
        public static bool ReadsA => true;

        public static bool ReadsB => false;

        public static L Apply<L>(FunctionParameters parameters, L a, L b) where L : unmanaged, ILanes<L> => parameters.Factor * a;
    }

    /// <summary>a + b</summary>
    internal struct SumFunction : IGpuFunction
    {
        public static bool ReadsA => true;

        public static bool ReadsB => true;

        public static L Apply<L>(FunctionParameters parameters, L a, L b) where L : unmanaged, ILanes<L> => a + b;
    }

    /// <summary>a · b</summary>
    internal struct ProductFunction : IGpuFunction
    {
        public static bool ReadsA => true;

        public static bool ReadsB => true;

        public static L Apply<L>(FunctionParameters parameters, L a, L b) where L : unmanaged, ILanes<L> => a * b;
    }

    /// <summary>factor · b: what a broadcast is.</summary>
    internal struct ScaleOtherFunction : IGpuFunction
    {
        public static bool ReadsA => false;

        public static bool ReadsB => true;

        public static L Apply<L>(FunctionParameters parameters, L a, L b) where L : unmanaged, ILanes<L> => parameters.Factor * b;
    }

    /// <summary>activation(a)</summary>
    internal struct ActivationFunction : IGpuFunction
    {
        public static bool ReadsA => true;

        public static bool ReadsB => false;

        public static L Apply<L>(FunctionParameters parameters, L a, L b) where L : unmanaged, ILanes<L> => L.Activate(parameters.Kind, a);
    }

    /// <summary>activation′(a) · b</summary>
    internal struct ActivationGradientFunction : IGpuFunction
    {
        public static bool ReadsA => true;

        public static bool ReadsB => true;

        public static L Apply<L>(FunctionParameters parameters, L a, L b) where L : unmanaged, ILanes<L> => L.Slope(parameters.Kind, a) * b;
    }
}
