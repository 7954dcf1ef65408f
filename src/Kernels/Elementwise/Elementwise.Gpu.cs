using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void Fill(BufferView y, double value, bool accumulate = false) =>
        Map<ConstantFunction>(default, default, y, new() { Factor = (float)value }, accumulate);

    public void Scale(BufferView x, BufferView y, double scale, bool accumulate) =>
        Map<ScaleFunction>(x, default, y, new() { Factor = (float)scale }, accumulate);

    public void Add(BufferView a, BufferView b, BufferView y) => Map<SumFunction>(a, b, y, default, accumulate: false);

    public void Multiply(BufferView a, BufferView b, BufferView y, bool accumulate) => Map<ProductFunction>(a, b, y, default, accumulate);

    /// <summary>y[i] (+)= f(a[i], b[i])</summary>
    private void Map<F>(BufferView a, BufferView b, BufferView y, FunctionParameters parameters, bool accumulate) where F : struct, IGpuFunction
    {
        bool wide = AreAligned(a, b, y);
        foreach (var (first, count) in Pieces(y.Length, 1))
        {
            var arguments = new MapArguments
            {
                A = V(Rows(a, first, count, 1)), B = V(Rows(b, first, count, 1)), Y = V(Rows(y, first, count, 1)), Count = (int)count,
                Parameters = parameters, Accumulate = accumulate ? 1 : 0,
            };
            if (wide) LaunchElements(MapKernel<Float4, F>, Math.Max(1, count / 4), arguments);
            else LaunchElements(MapKernel<Float1, F>, count, arguments);
        }
    }

    internal struct MapArguments
    {
        public ArrayView<float> A, B, Y;
        public int Count, Accumulate;
        public FunctionParameters Parameters;
    }

    /// <remarks>
    /// Bytes: every operand once, 12 an element with two inputs. Bound by memory on every GPU: some 10 instructions a Float4, where an H100 has 270 in the time that
    /// 32 bytes take at 3.35 TB/s. 2048 threads a multiprocessor with 16 to 32 bytes under way each keep it at the copy ceiling (expected: above 90 %).
    /// </remarks>
    [GpuKernel(ElementGroup, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4), typeof(ScaleFunction)), GpuVariant(typeof(Float4), typeof(SumFunction)), GpuVariant(typeof(Float4), typeof(ProductFunction))]
    [GpuVariant(typeof(Float4), typeof(ConstantFunction)), GpuVariant(typeof(Float4), typeof(ActivationFunction)), GpuVariant(typeof(Float4), typeof(ActivationGradientFunction)), GpuVariant(typeof(Float4), typeof(LerpFunction))]
    [GpuVariant(typeof(Float1), typeof(ScaleFunction)), GpuVariant(typeof(Float1), typeof(SumFunction)), GpuVariant(typeof(Float1), typeof(ProductFunction))]
    [GpuVariant(typeof(Float1), typeof(ConstantFunction)), GpuVariant(typeof(Float1), typeof(ActivationFunction)), GpuVariant(typeof(Float1), typeof(ActivationGradientFunction)), GpuVariant(typeof(Float1), typeof(LerpFunction))]
    private static void MapKernel<L, F>(MapArguments a) where L : unmanaged, ILanes<L> where F : struct, IGpuFunction
    {
        int lanes = a.Count / L.Width;
        for (int i = GpuThread.First; i < lanes; i += GpuThread.Step) MapAt<L, F>(a, i);
        // The last one to three elements.
        int tail = (lanes * L.Width) + GpuThread.First;
        if (tail < a.Count) MapAt<Float1, F>(a, tail);
    }

    private static void MapAt<L, F>(MapArguments arguments, int i) where L : unmanaged, ILanes<L> where F : struct, IGpuFunction
    {
        var y = arguments.Y.Cast<L>();
        L a = default, b = default;
        if (F.ReadsA) a = arguments.A.Cast<L>()[i];
        if (F.ReadsB) b = arguments.B.Cast<L>()[i];
        L value = F.Apply(arguments.Parameters, a, b);
        if (arguments.Accumulate != 0) value = y[i] + value;
        y[i] = value;
    }
}
