namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void Lerp(BufferView x, BufferView y, double weight) => Map<LerpFunction>(x, y, y, new() { Factor = (float)weight }, accumulate: false);

    /// <summary>b + factor · (a − b)</summary>
    internal struct LerpFunction : IGpuFunction
    {
        public static bool ReadsA => true;

        public static bool ReadsB => true;

        public static L Apply<L>(FunctionParameters parameters, L a, L b) where L : unmanaged, ILanes<L> => b + (parameters.Factor * (a - b));
    }
}
